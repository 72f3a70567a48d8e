"""Artifacts that come in the body of a request (contract 6)."""

import asyncio
import base64
import re
from collections.abc import AsyncGenerator, AsyncIterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest

from hedgerow.api import create_api
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.operations import artifact_collection
from hedgerow.storage import ObjectInfo, StoredObject
from hedgerow.storage.local import LocalStore
from tests.api.artifact_desk import TEXT, Desk, files_of
from tests.api.conftest import MISSING, PUBLIC_URL, Served


async def test_inline_artifacts_come_last_in_the_order_of_the_request_and_keep_every_byte(desk: Desk) -> None:
    await desk.inline(TEXT)
    binary = base64.b64encode(b"\x00\xff").decode()
    entries = await desk.inline(
        {"name": "dir/one.bin", "type": "output", "source": "agent", "content": binary, "content_encoding": "base64"},
        {"name": "two.md", "type": "plan", "content": "# two", "content_type": "text/markdown"},
    )
    assert [entry["name"] for entry in entries] == ["notes.txt", "one.bin", "two.md"]
    assert list(entries[1]) == ["id", "name", "type", "source", "size", "content_type", "storage_path", "uploaded_at"]
    assert (entries[1]["source"], entries[1]["size"], entries[1]["content_type"]) == ("agent", 2, "")
    assert re.fullmatch(r"[0-9a-f]{32}", entries[1]["id"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", entries[1]["uploaded_at"])
    assert re.fullmatch(
        rf"tasks/artifacts/team_\d+/task_[0-9a-f-]+/run_[0-9a-f-]+/{entries[1]['id'][:8]}_one\.bin", entries[1]["storage_path"]
    )
    assert await desk.manifest() == entries
    assert (await desk.content(entries[0]["storage_path"])).content == b"  kept as it is\n"
    assert (await desk.content(entries[1]["storage_path"])).content == b"\x00\xff"
    assert (await desk.content(entries[2]["storage_path"])).headers["content-type"] == "text/markdown"


async def test_the_manifest_stands_in_every_answer_that_shows_the_run(desk: Desk) -> None:
    entries = await desk.inline(TEXT)
    task_url = desk.url.partition("runs/")[0]
    client = desk.served.client
    assert (await client.get(f"{task_url}runs/")).json()["results"][0]["artifacts"] == entries
    assert (await client.get(task_url)).json()["latest_run"]["artifacts"] == entries
    assert (await client.get(desk.served.tasks)).json()["results"][0]["latest_run"]["artifacts"] == entries
    assert (await client.patch(desk.url, json={"stage": "build"})).json()["artifacts"] == entries
    appended = await client.post(f"{desk.url}append_log/", json={"entries": [{"type": "info"}]})
    assert appended.json()["artifacts"] == entries


async def test_artifacts_that_come_at_the_same_moment_are_all_there(desk: Desk) -> None:
    await asyncio.gather(*[desk.inline({**TEXT, "name": f"{number}.txt"}, TEXT) for number in range(8)])
    names = [entry["name"] for entry in await desk.manifest()]
    assert sorted(name for name in names if name != "notes.txt") == [f"{number}.txt" for number in range(8)]
    assert names[1::2] == ["notes.txt"] * 8


@pytest.mark.parametrize(
    ("change", "attr", "code"),
    [
        ({"name": ""}, "name", "blank"),
        ({"name": "x" * 256}, "name", "max_length"),
        ({"name": "a\x00b"}, "name", "invalid_input"),
        ({"type": "picture"}, "type", "invalid_choice"),
        ({"source": "x" * 65}, "source", "max_length"),
        ({"content": ""}, "content", "blank"),
        ({"content": None}, "content", "null"),
        ({"content": "not base64!", "content_encoding": "base64"}, "content", "invalid_input"),
        ({"content": "YWJj\nZGVm", "content_encoding": "base64"}, "content", "invalid_input"),
        ({"content": "YWJj=", "content_encoding": "base64"}, "content", "invalid_input"),
        ({"content_encoding": "gzip"}, "content_encoding", "invalid_choice"),
        ({"content_type": "text/\r\nX-Evil: 1"}, "content_type", "invalid_input"),
        ({"content_type": "x" * 256}, "content_type", "max_length"),
        ({"content": "a" * 31_457_281}, "content", "max_value"),
    ],
)
async def test_what_is_wrong_with_an_inline_artifact_is_named_with_its_place(
    desk: Desk, change: dict[str, Any], attr: str, code: str
) -> None:
    answer = await desk.post("artifacts/", artifacts=[TEXT, {**TEXT, **change}])
    problem = answer.json()
    assert (answer.status_code, problem["type"], problem["code"]) == (400, "validation_error", code)
    assert problem["attr"] == f"artifacts__1__{attr}"
    assert await desk.manifest() == []
    assert files_of(desk) == []


@pytest.mark.parametrize(
    ("body", "attr", "code"),
    [({}, "artifacts", "required"), ({"artifacts": []}, "artifacts", "empty"), ({"artifacts": ["x"]}, "artifacts__0", "not_a_dict")],
)
async def test_a_body_without_artifacts_is_refused_before_the_run_is_looked_for(served: Served, body: Any, attr: str, code: str) -> None:
    task = await served.a_task()
    for path in ("artifacts/", "artifacts/prepare_upload/", "artifacts/finalize_upload/"):
        answer = await served.client.post(f"{served.tasks}{task['id']}/runs/{MISSING}/{path}", json=body)
        assert (answer.status_code, answer.json()["attr"], answer.json()["code"]) == (400, attr, code)


async def test_a_sound_body_for_a_run_or_a_task_that_is_not_there_is_not_found(served: Served) -> None:
    task = await served.a_task()
    sent = {"id": "0" * 32, "name": "a", "type": "plan", "storage_path": "p"}
    bodies: dict[str, dict[str, Any]] = {
        "artifacts/": {"artifacts": [TEXT]},
        "artifacts/prepare_upload/": {"artifacts": [{**TEXT, "size": 1}]},
        "artifacts/finalize_upload/": {"artifacts": [sent]},
        "artifacts/presign/": {"storage_path": "p"},
        "artifacts/download/": {"storage_path": "p"},
    }
    places = {f"{task['id']}/runs/{MISSING}/{path}": body for path, body in bodies.items()}
    for path in ("prepare_upload/", "finalize_upload/"):
        places[f"{MISSING}/staged_artifacts/{path}"] = bodies[f"artifacts/{path}"]
    for path, body in places.items():
        answer = await served.client.post(served.tasks + path, json=body)
        assert (answer.status_code, answer.json().get("code")) == (404, "not_found"), path


async def test_an_artifact_of_thirty_megabytes_in_base64_is_taken(desk: Desk) -> None:
    content = bytes(range(256)) * 122_880
    (entry,) = await desk.inline(
        {"name": "big", "type": "tree_snapshot", "content": base64.b64encode(content).decode(), "content_encoding": "base64"}
    )
    assert entry["size"] == 31_457_280
    assert (await desk.content(entry["storage_path"])).content == content


async def test_the_same_key_stores_artifacts_once(desk: Desk) -> None:
    headers = {"Idempotency-Key": "once"}
    first = await desk.served.client.post(f"{desk.url}artifacts/", json={"artifacts": [TEXT]}, headers=headers)
    again = await desk.served.client.post(f"{desk.url}artifacts/", json={"artifacts": [TEXT]}, headers=headers)
    assert first.content == again.content
    assert again.headers["idempotent-replay"] == "true"
    assert len(await desk.manifest()) == 1
    assert len(files_of(desk)) == 1
    other = await desk.served.client.post(f"{desk.url}artifacts/", json={"artifacts": [TEXT] * 2}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (409, "idempotency_conflict")


async def test_under_a_key_too_the_store_is_written_to_outside_of_any_transaction(desk: Desk) -> None:
    """So that an object is known to the collector before it is written, and a slow store keeps no connection."""
    backends, known = desk.served.backends, []

    class Watched(LocalStore):
        async def put(self, key: str, pieces: AsyncIterable[bytes], *, content_type: str = "") -> ObjectInfo:
            async with backends.database.statement() as tx:
                found = await tx.connection.execute("SELECT 1 FROM loose_objects WHERE storage_path = %s", [key])
                known.append(await found.fetchone() is not None)
            return await super().put(key, pieces, content_type=content_type)

    assert isinstance(backends.storage, LocalStore)
    storage = Watched(backends.storage.folder, backends.rules.secrets)
    transport = httpx.ASGITransport(create_api(replace(backends, storage=storage)))
    headers = {**desk.served.client.headers, "Idempotency-Key": "k"}
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as client:
        answers = await asyncio.gather(*(client.post(f"{desk.url}artifacts/", json={"artifacts": [TEXT]}) for _ in range(3)))
    assert set(known) == {True}
    assert len({answer.content for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replay", "") for answer in answers) == ["", "true", "true"]
    assert len(await desk.manifest()) == 1
    await artifact_collection.collect(replace(backends, clock=FixedClock(backends.clock.now() + timedelta(hours=25))))
    assert len(files_of(desk)) == 1


async def test_a_store_that_cannot_be_read_is_a_refusal(desk: Desk) -> None:
    class Broken(LocalStore):
        async def read(self, key: str) -> StoredObject:
            async def fail() -> AsyncGenerator[bytes, None]:
                raise UnavailableError("The object store cannot be used.")
                yield b""

            return StoredObject(ObjectInfo(key=key, size_bytes=1), fail())

    (entry,) = await desk.inline(TEXT)
    backends = desk.served.backends
    assert isinstance(backends.storage, LocalStore)
    storage = Broken(backends.storage.folder, backends.rules.secrets)
    transport = httpx.ASGITransport(create_api(replace(backends, storage=storage)))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=desk.served.client.headers) as client:
        answer = await client.post(f"{desk.url}artifacts/download/", json={"storage_path": entry["storage_path"]})
    assert answer.status_code == 400
    assert list(answer.json()) == ["error"]


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("../../etc/passwd", "passwd"),
        ("..", "artifact"),
        ("a/", "artifact"),
        ("C:\\x\\y.txt", "y.txt"),
        ("a\nb.txt", "a_b.txt"),
        ("字" * 255, "字" * 170),
    ],
)
async def test_hostile_names_become_plain_ones(desk: Desk, name: str, safe: str) -> None:
    (entry,) = await desk.inline({**TEXT, "name": name})
    assert entry["name"] == safe
    answer = await desk.content(entry["storage_path"])
    assert answer.content == b"  kept as it is\n"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert (await desk.upload(b"x", name=name))["name"] == safe
