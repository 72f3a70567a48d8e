"""Artifacts that are uploaded by form, and what bounds them (contract 6)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from hedgerow.api import create_api
from hedgerow.domain.artifacts import ArtifactRules
from tests.api.artifact_desk import TEXT, Desk
from tests.api.conftest import PUBLIC_URL


async def test_an_upload_by_form_is_finalized_with_its_real_size_and_again_as_it_stands(desk: Desk) -> None:
    sent = await desk.upload(b"123456789", size=5)
    answer = await desk.post("artifacts/finalize_upload/", artifacts=[sent])
    (entry,) = answer.json()["artifacts"]
    assert (entry["id"], entry["size"], entry["content_type"]) == (sent["id"], 9, "image/png")
    await desk.inline(TEXT)
    again = await desk.post("artifacts/finalize_upload/", artifacts=[{**sent, "name": "other"}])
    assert again.json()["artifacts"] == [entry]
    assert [known["name"] for known in await desk.manifest()] == ["photo.png", "notes.txt"]
    assert (await desk.content(entry["storage_path"])).content == b"123456789"


async def test_an_upload_that_is_named_twice_in_one_request_is_one_artifact(desk: Desk) -> None:
    sent = await desk.upload(b"x")
    answer = await desk.post("artifacts/finalize_upload/", artifacts=[sent, sent])
    assert len(answer.json()["artifacts"]) == 2
    assert len(await desk.manifest()) == 1


async def test_two_that_finalize_the_same_upload_at_once_get_the_same_entry(desk: Desk) -> None:
    sent = await desk.upload(b"x")
    answers = await asyncio.gather(*[desk.post("artifacts/finalize_upload/", artifacts=[sent]) for _ in range(5)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1
    assert len(await desk.manifest()) == 1


async def test_finalize_is_all_or_nothing(desk: Desk) -> None:
    sent = await desk.upload(b"x")
    never = (await desk.post("artifacts/prepare_upload/", artifacts=[{"name": "a", "type": "plan", "size": 1}])).json()["artifacts"][0]
    answer = await desk.post("artifacts/finalize_upload/", artifacts=[sent, never])
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]
    assert await desk.manifest() == []


async def test_paths_that_were_not_prepared_for_this_run_are_refused(desk: Desk) -> None:
    sent = await desk.upload(b"x")
    other_url, _ = await desk.served.a_run()
    prefix = sent["storage_path"].rpartition("/")[0]
    paths = [
        f"{prefix}/00000000_photo.png",
        f"{prefix}/../{prefix.rpartition('/')[2]}/{sent['id'][:8]}_photo.png",
        f"{prefix}/deeper/{sent['id'][:8]}_photo.png",
        f"{prefix}/{sent['id'][:8]}_",
        "/etc/passwd",
    ]
    for path in paths:
        answer = await desk.post("artifacts/finalize_upload/", artifacts=[{**sent, "storage_path": path}])
        assert (answer.status_code, list(answer.json())) == (400, ["error"]), path
    foreign = await Desk(desk.served, other_url).post("artifacts/finalize_upload/", artifacts=[sent])
    assert (foreign.status_code, list(foreign.json())) == (400, ["error"])
    assert (await desk.post("artifacts/finalize_upload/", artifacts=[{**sent, "id": "../x"}])).status_code == 400


async def test_a_pdf_that_a_person_attaches_may_have_ten_megabytes(desk: Desk) -> None:
    wanted = {"name": "a.PDF", "type": "user_attachment", "size": 10_485_761}
    answer = await desk.post("artifacts/prepare_upload/", artifacts=[wanted])
    assert (answer.status_code, answer.json()["attr"]) == (400, "artifacts__0__size")
    assert "10485760" in answer.json()["detail"]
    typed = {**wanted, "name": "a", "content_type": "application/pdf; v=1"}
    assert (await desk.post("artifacts/prepare_upload/", artifacts=[typed])).status_code == 400
    assert (await desk.post("artifacts/prepare_upload/", artifacts=[{**wanted, "type": "output"}])).status_code == 200
    sent = await desk.upload(b"x" * 10_500_000, name="report.pdf", size=10_485_760, content_type="application/pdf")
    refused = await desk.post("artifacts/finalize_upload/", artifacts=[sent])
    assert (refused.status_code, list(refused.json())) == (400, ["error"])


@pytest.mark.parametrize(("size", "code"), [(0, "min_value"), (31_457_281, "max_value"), (True, "invalid_input"), (None, "null")])
async def test_a_size_that_makes_no_sense_is_refused(desk: Desk, size: Any, code: str) -> None:
    answer = await desk.post("artifacts/prepare_upload/", artifacts=[{"name": "a", "type": "plan", "size": size}])
    assert (answer.status_code, answer.json()["code"], answer.json()["attr"]) == (400, code, "artifacts__0__size")


async def test_limits_are_the_operators(desk: Desk) -> None:
    rules = replace(desk.served.backends.rules, artifacts=ArtifactRules(largest_bytes=10, root="files", form_seconds=60))
    transport = httpx.ASGITransport(create_api(replace(desk.served.backends, rules=rules)))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=desk.served.client.headers) as client:
        items = [{"name": "a", "type": "plan", "size": 10}]
        (prepared,) = (await client.post(f"{desk.url}artifacts/prepare_upload/", json={"artifacts": items})).json()["artifacts"]
        assert prepared["expires_in"] == 60
        assert prepared["storage_path"].startswith("files/artifacts/")
        items[0]["size"] = 11
        refused = await client.post(f"{desk.url}artifacts/prepare_upload/", json={"artifacts": items})
        assert "10" in refused.json()["detail"]


async def test_large_bodies_wait_for_a_place_which_nobody_holds_for_ever(desk: Desk) -> None:
    rules = replace(desk.served.backends.rules, artifacts=ArtifactRules(inline_at_once=1, inline_seconds=0.3))
    transport = httpx.ASGITransport(create_api(replace(desk.served.backends, rules=rules)))
    arrived, going_on = asyncio.Event(), asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"artifacts": ['
        arrived.set()
        await going_on.wait()

    headers = {**desk.served.client.headers, "Content-Type": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as client:
        first = asyncio.create_task(client.post(f"{desk.url}artifacts/", content=stalled()))
        await arrived.wait()
        small = await client.post(f"{desk.url}artifacts/", json={"artifacts": [TEXT]})
        assert (small.status_code, first.done()) == (200, False)
        large = await client.post(f"{desk.url}artifacts/", json={"artifacts": [{**TEXT, "content": "x" * 2_000_000}]})
        assert large.status_code == 200
        assert ((await first).status_code, (await first).json()["code"]) == (408, "body_too_slow")
    assert [entry["size"] for entry in await desk.manifest()] == [len(TEXT["content"]), 2_000_000]
