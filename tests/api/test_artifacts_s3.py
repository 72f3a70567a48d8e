"""Artifacts of an API whose objects lie in a real S3 server: forms go there, and never through hedgerow (contract 6)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from hedgerow.api import create_api
from tests.api.conftest import PUBLIC_URL, Served
from tests.radosgw import S3Server
from tests.storage.stores import s3_store

pytestmark = pytest.mark.s3

PHOTO = {"name": "a photo+ü.png", "type": "user_attachment", "size": 3_000_000, "content_type": "image/png"}
BYTES = bytes(range(250)) * 12_000


@dataclass(frozen=True)
class Desk:
    """A run of an API on S3, and somebody without a key."""

    served: Served
    run: str
    anybody: httpx.AsyncClient

    async def call(self, path: str, **body: Any) -> httpx.Response:
        return await self.served.client.post(path, json=body)

    async def prepare(self, base: str, **changes: Any) -> dict[str, Any]:
        answer = await self.call(f"{base}prepare_upload/", artifacts=[PHOTO | changes])
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["artifacts"][0])

    async def send(self, prepared: dict[str, Any], content: bytes = BYTES) -> httpx.Response:
        form = prepared["presigned_post"]
        return await self.anybody.post(form["url"], data=form["fields"], files={"file": ("x", content)})

    async def finalize(self, base: str, prepared: dict[str, Any]) -> httpx.Response:
        names = ("id", "name", "type", "source", "storage_path", "content_type")
        return await self.call(f"{base}finalize_upload/", artifacts=[{name: prepared[name] for name in names}])


@pytest_asyncio.fixture(loop_scope="session")
async def desk(served: Served, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A run, and its API, on a store with nothing in it."""
    async with s3_store(request) as storage, httpx.AsyncClient(trust_env=False) as anybody:
        backends = replace(served.backends, storage=storage)
        transport = httpx.ASGITransport(create_api(backends), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=served.client.headers) as client:
            on_s3 = replace(served, backends=backends, client=client)
            run, _ = await on_s3.a_run()
            yield Desk(on_s3, run, anybody)


async def test_an_upload_goes_to_s3_by_form_and_is_read_by_address_and_through_the_api(desk: Desk, s3_server: S3Server) -> None:
    base = f"{desk.run}artifacts/"
    prepared = await desk.prepare(base)
    assert prepared["presigned_post"]["url"].startswith(s3_server.endpoint)
    answer = await desk.send(prepared)
    assert answer.is_success, answer.text
    answer = await desk.finalize(base, prepared)
    (entry,) = answer.json()["artifacts"]
    assert (answer.status_code, entry["size"], entry["content_type"]) == (200, len(BYTES), "image/png")
    answer = await desk.call(f"{base}presign/", storage_path=entry["storage_path"])
    assert (await desk.anybody.get(answer.json()["url"])).content == BYTES
    answer = await desk.call(f"{base}download/", storage_path=entry["storage_path"])
    assert (answer.status_code, answer.headers["content-type"], answer.content) == (200, "image/png", BYTES)


async def test_finalizing_tags_the_object(desk: Desk, s3_server: S3Server) -> None:
    base = f"{desk.run}artifacts/"
    prepared = await desk.prepare(base, name="a.png")
    await desk.send(prepared)
    (entry,) = (await desk.finalize(base, prepared)).json()["artifacts"]
    url = urlsplit((await desk.call(f"{base}presign/", storage_path=entry["storage_path"])).json()["url"])
    tags = s3_server.request("GET", f"{url.path[1:]}?tagging").text
    assert "<Key>ttl_days</Key><Value>30</Value>" in tags
    assert f"<Value>{desk.served.project.id}</Value>" in tags


async def test_what_was_not_uploaded_or_was_refused_by_s3_is_not_finalized(desk: Desk) -> None:
    base = f"{desk.run}artifacts/"
    prepared = await desk.prepare(base, size=10)
    assert (await desk.finalize(base, prepared)).status_code == 400
    assert (await desk.send(prepared, bytes(10 + 65_536 + 1))).status_code == 400
    answer = await desk.finalize(base, prepared)
    assert (answer.status_code, list(answer.json())) == (400, ["error"])
    assert (await desk.served.client.get(desk.run)).json()["artifacts"] == []


async def test_a_staged_upload_is_taken_over_by_the_run_that_names_it(desk: Desk) -> None:
    task = await desk.served.a_task(description="Mend it")
    base = f"{desk.served.tasks}{task['id']}/staged_artifacts/"
    prepared = await desk.prepare(base)
    await desk.send(prepared)
    (staged,) = (await desk.finalize(base, prepared)).json()["artifacts"]
    answer = await desk.call(f"{desk.served.tasks}{task['id']}/run/", pending_user_artifact_ids=[staged["id"]], pending_user_message="look")
    assert answer.status_code == 200, answer.text
    run = answer.json()["latest_run"]
    assert run["artifacts"] == [staged]
    answer = await desk.call(f"{desk.served.tasks}{task['id']}/runs/{run['id']}/artifacts/download/", storage_path=staged["storage_path"])
    assert answer.content == BYTES


async def test_inline_artifacts_lie_in_s3_too(desk: Desk) -> None:
    item = {"name": "line\nbreak ${filename} 100%.txt", "type": "output", "content": "  kept\n", "content_type": "text/plain"}
    answer = await desk.call(f"{desk.run}artifacts/", artifacts=[item])
    (entry,) = answer.json()["artifacts"]
    answer = await desk.call(f"{desk.run}artifacts/download/", storage_path=entry["storage_path"])
    assert (answer.status_code, answer.content) == (200, b"  kept\n")


async def test_hedgerow_serves_no_objects_of_its_own_then(desk: Desk) -> None:
    assert (await desk.served.client.get("/api/objects/?key=a&expires=1&signature=b")).status_code == 404
