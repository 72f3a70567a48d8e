"""Artifacts over HTTP (contract 6)."""

import asyncio
import base64
import os
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest

from hedgerow.api import create_api
from hedgerow.domain import run_tokens
from hedgerow.domain.artifacts import ArtifactRules
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.operations import artifact_collection
from hedgerow.storage import ObjectInfo, StoredObject
from hedgerow.storage.local import LocalStore
from tests.api.conftest import MISSING, PUBLIC_URL, Served

TEXT = {"name": "notes.txt", "type": "artifact", "content": "  kept as it is\n"}


@dataclass(frozen=True)
class Desk:
    """Calls on the artifacts of one run."""

    served: Served
    url: str

    async def post(self, path: str, **body: Any) -> httpx.Response:
        return await self.served.client.post(f"{self.url}{path}", json=body)

    async def inline(self, *items: dict[str, Any]) -> list[dict[str, Any]]:
        answer = await self.post("artifacts/", artifacts=list(items))
        assert answer.status_code == 200, answer.text
        return list(answer.json()["artifacts"])

    async def upload(self, content: bytes, base: str | None = None, **fields: Any) -> dict[str, Any]:
        """An upload by form, up to the form; what finalize is to be sent."""
        wanted = {"name": "photo.png", "type": "user_attachment", "size": max(len(content), 1), "content_type": "image/png"} | fields
        base = base or f"{self.url}artifacts/"
        answer = await self.served.client.post(f"{base}prepare_upload/", json={"artifacts": [wanted]})
        assert answer.status_code == 200, answer.text
        (prepared,) = answer.json()["artifacts"]
        form = prepared["presigned_post"]
        sent = await self.served.client.post(
            form["url"], data=form["fields"], files={"file": ("x", content)}, headers={"Authorization": ""}
        )
        assert sent.status_code == 204, sent.text
        return {name: prepared[name] for name in ("id", "name", "type", "source", "storage_path", "content_type")}

    async def manifest(self) -> list[dict[str, Any]]:
        return list((await self.served.client.get(self.url)).json()["artifacts"])

    async def content(self, storage_path: str) -> httpx.Response:
        return await self.post("artifacts/download/", storage_path=storage_path)


@pytest.fixture
async def desk(served: Served) -> Desk:
    url, _ = await served.a_run()
    return Desk(served, url)


def files_of(desk: Desk) -> list[str]:
    """Every file that the local store holds of this project."""
    folder = desk.served.backends.storage._folder  # type: ignore[attr-defined]
    own = [path for path in folder.rglob("*") if path.is_file() and f"team_{desk.served.project.id}/" in str(path)]
    return [str(path) for path in (*own, *(folder / ".uploads").iterdir())]


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
    storage = Watched(backends.storage._folder, backends.rules.secrets)
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
    storage = Broken(backends.storage._folder, backends.rules.secrets)
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


async def test_presign_gives_an_absolute_address_that_needs_no_key_and_only_for_the_runs_own(desk: Desk) -> None:
    (entry,) = await desk.inline({**TEXT, "content_type": "text/html"})
    answer = await desk.post("artifacts/presign/", storage_path=entry["storage_path"])
    assert answer.json()["expires_in"] == 3600
    url = answer.json()["url"]
    assert url.startswith(f"{PUBLIC_URL}/api/objects/?")
    read = await desk.served.client.get(url, headers={"Authorization": ""})
    assert (read.status_code, read.content, read.headers["content-length"]) == (200, b"  kept as it is\n", "16")
    assert read.headers["content-disposition"].startswith("attachment")
    other_url, _ = await desk.served.a_run()
    foreign = await Desk(desk.served, other_url).post("artifacts/presign/", storage_path=entry["storage_path"])
    assert (foreign.status_code, list(foreign.json())) == (404, ["error"])
    too_long = await desk.post("artifacts/presign/", storage_path="x" * 501)
    assert (too_long.status_code, too_long.json()["code"]) == (400, "max_length")


async def test_a_resumed_run_downloads_from_the_run_before_and_does_not_sign_for_it(desk: Desk) -> None:
    (entry,) = await desk.inline(TEXT)
    task_url, _, rest = desk.url.partition("runs/")
    answer = await desk.served.client.post(f"{task_url}run/", json={"resume_from_run_id": rest.strip("/")})
    resumed = Desk(desk.served, f"{task_url}runs/{answer.json()['latest_run']['id']}/")
    assert (await resumed.content(entry["storage_path"])).content == b"  kept as it is\n"
    assert (await resumed.post("artifacts/presign/", storage_path=entry["storage_path"])).status_code == 404
    assert (await resumed.content("tasks/other")).status_code == 404


async def test_a_file_that_was_removed_by_hand_is_not_found(desk: Desk) -> None:
    (entry,) = await desk.inline(TEXT)
    await desk.served.backends.storage.delete(entry["storage_path"])
    answer = await desk.content(entry["storage_path"])
    assert (answer.status_code, list(answer.json())) == (404, ["error"])


async def _staged(desk: Desk, content: bytes = b"staged", **fields: Any) -> dict[str, Any]:
    base = f"{desk.url.partition('runs/')[0]}staged_artifacts/"
    sent = await desk.upload(content, base, **fields)
    answer = await desk.served.client.post(f"{base}finalize_upload/", json={"artifacts": [sent]})
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["artifacts"][0])


async def test_a_run_takes_staged_artifacts_over_once_as_they_are(desk: Desk) -> None:
    one, two = await _staged(desk), await _staged(desk, name="second.txt")
    assert f"/staged/{one['id']}/photo.png" in one["storage_path"]
    task_url = desk.url.partition("runs/")[0]
    body = {"pending_user_message": "Look", "pending_user_artifact_ids": [two["id"], one["id"], one["id"]]}
    answer = await desk.served.client.post(f"{task_url}run/", json=body)
    run = answer.json()["latest_run"]
    assert run["artifacts"] == [two, one]
    assert run["state"]["pending_user_artifact_ids"] == [two["id"], one["id"], one["id"]]
    again = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"], "nope", one["id"]]})
    assert (again.status_code, again.json()["missing_artifact_ids"]) == (400, [one["id"], "nope"])
    assert "detail" in again.json()
    taken = Desk(desk.served, f"{task_url}runs/{run['id']}/")
    assert (await taken.content(one["storage_path"])).content == b"staged"
    async with desk.served.backends.database.transaction() as tx:
        rows = await (await tx.connection.execute("SELECT artifacts FROM messages WHERE run_id = %s", [run["id"]])).fetchall()
    assert [row["artifacts"] for row in rows] == [[two, one]]


async def test_unknown_ids_leave_staged_artifacts_where_they_are(desk: Desk) -> None:
    one = await _staged(desk)
    task_url = desk.url.partition("runs/")[0]
    refused = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"], "nope"]})
    assert refused.json()["missing_artifact_ids"] == ["nope"]
    assert len((await desk.served.client.get(f"{task_url}runs/")).json()["results"]) == 1
    accepted = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [one["id"]]})
    assert accepted.json()["latest_run"]["artifacts"] == [one]


async def test_start_and_commands_take_artifacts_of_the_run_and_no_others(desk: Desk) -> None:
    (entry,) = await desk.inline(TEXT)
    unknown = await desk.post("start/", pending_user_artifact_ids=["b", entry["id"], "a"])
    assert (unknown.status_code, unknown.json()["missing_artifact_ids"]) == (400, ["b", "a"])
    assert "detail" in unknown.json()
    started = await desk.post("start/", pending_user_message="Go", pending_user_artifact_ids=[entry["id"]])
    assert started.json()["latest_run"]["state"]["pending_user_artifact_ids"] == [entry["id"]]
    command = {"jsonrpc": "2.0", "method": "user_message", "params": {"artifact_ids": [entry["id"]]}}
    assert (await desk.post("command/", **command)).json()["result"]["queued"] is True
    wrong = await desk.post("command/", jsonrpc="2.0", method="user_message", params={"artifact_ids": ["x"]})
    assert (wrong.status_code, wrong.json()["missing_artifact_ids"]) == (400, ["x"])
    assert "error" in wrong.json()
    run_id = desk.url.rstrip("/").rpartition("/")[2]
    async with desk.served.backends.database.transaction() as tx:
        rows = await (
            await tx.connection.execute("SELECT content, artifacts FROM messages WHERE run_id = %s ORDER BY position", [run_id])
        ).fetchall()
    assert [(row["content"], row["artifacts"]) for row in rows] == [("Go", [entry]), (None, [entry])]


async def test_a_run_token_writes_the_artifacts_of_its_own_run_and_epoch_only(desk: Desk) -> None:
    secret = desk.served.backends.rules.secrets[0]
    run_id = desk.url.rstrip("/").rpartition("/")[2]

    def header(epoch: int) -> dict[str, str]:
        return {"Authorization": f"Bearer {run_tokens.mint(secret, UUID(run_id), epoch)}"}

    body = {"artifacts": [TEXT]}
    own = await desk.served.client.post(f"{desk.url}artifacts/", json=body, headers=header(0))
    assert own.status_code == 200
    path = own.json()["artifacts"][0]["storage_path"]
    read = await desk.served.client.post(f"{desk.url}artifacts/download/", json={"storage_path": path}, headers=header(0))
    assert read.content == b"  kept as it is\n"
    old = await desk.served.client.post(f"{desk.url}artifacts/", json=body, headers=header(7))
    assert old.status_code == 403
    other_url, _ = await desk.served.a_run()
    for place in ("artifacts/", "artifacts/prepare_upload/"):
        items = {"artifacts": [{**TEXT, "size": 1}]}
        assert (await desk.served.client.post(f"{other_url}{place}", json=items, headers=header(0))).status_code == 403
    task_url = desk.url.partition("runs/")[0]
    staged = await desk.served.client.post(
        f"{task_url}staged_artifacts/prepare_upload/", json={"artifacts": [{**TEXT, "size": 1}]}, headers=header(0)
    )
    assert staged.status_code == 403
    assert len(await desk.manifest()) == 1


async def test_scopes_are_asked_for(desk: Desk) -> None:
    reader = await desk.served.key_with("task:read")
    (entry,) = await desk.inline(TEXT)
    place = {"storage_path": entry["storage_path"]}
    for path in ("presign/", "download/"):
        assert (await desk.served.client.post(f"{desk.url}artifacts/{path}", json=place, headers=reader)).status_code == 200
    for path in ("", "prepare_upload/", "finalize_upload/"):
        assert (await desk.served.client.post(f"{desk.url}artifacts/{path}", json={}, headers=reader)).status_code == 403


async def test_a_full_disk_answers_503_and_leaves_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync
    calls = []

    def second_fails(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 5:
            raise OSError(28, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", second_fails)
    answer = await desk.post("artifacts/", artifacts=[TEXT] * 10)
    monkeypatch.undo()
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    assert await desk.manifest() == []
    assert files_of(desk) == []


async def test_what_is_over_goes_and_what_is_needed_stays(desk: Desk) -> None:
    backends = desk.served.backends
    (kept,) = await desk.inline(TEXT)
    taken, waiting = await _staged(desk, b"taken"), await _staged(desk, b"waiting")
    never = await desk.upload(b"never finalized")
    task_url = desk.url.partition("runs/")[0]
    await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [taken["id"]]})

    async def stored() -> list[bool]:
        return [await backends.storage.head(item["storage_path"]) is not None for item in (kept, taken, waiting, never)]

    async def collect_after(**time: float) -> None:
        clock = FixedClock(backends.clock.now() + timedelta(**time))
        await artifact_collection.collect(replace(backends, clock=clock))

    await collect_after(hours=23)
    assert await stored() == [True] * 4
    await collect_after(hours=24.5)
    assert await stored() == [True, True, False, True]
    await collect_after(hours=26)
    assert await stored() == [True, True, False, False]
    gone = await desk.served.client.post(f"{task_url}run/", json={"pending_user_artifact_ids": [waiting["id"]]})
    assert gone.json()["missing_artifact_ids"] == [waiting["id"]]
    assert (await desk.post("artifacts/finalize_upload/", artifacts=[never])).status_code == 400
    await collect_after(days=31)
    assert await stored() == [False] * 4
    assert await desk.manifest() == [kept]
    assert (await desk.content(kept["storage_path"])).status_code == 404


async def test_an_upload_is_finalized_or_collected_and_never_half_of_each(desk: Desk) -> None:
    backends = desk.served.backends
    sent = [await desk.upload(b"x", name=f"{number}.png") for number in range(8)]
    late = replace(backends, clock=FixedClock(backends.clock.now() + timedelta(hours=26)))
    answers = await asyncio.gather(
        *(desk.post("artifacts/finalize_upload/", artifacts=[item]) for item in sent[:4]),
        artifact_collection.collect(late),
        *(desk.post("artifacts/finalize_upload/", artifacts=[item]) for item in sent[4:]),
        artifact_collection.collect(late),
    )
    statuses = [answer.status_code for answer in answers if isinstance(answer, httpx.Response)]
    kept = [await backends.storage.head(item["storage_path"]) is not None for item in sent]
    named = {entry["storage_path"] for entry in await desk.manifest()}
    assert [status == 200 for status in statuses] == kept == [item["storage_path"] in named for item in sent]


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
