"""Artifacts over HTTP: who may, what is read, what goes (contract 6)."""

import asyncio
import os
from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import httpx
import pytest

from hedgerow.domain import run_tokens
from hedgerow.domain.clock import FixedClock
from hedgerow.operations import artifact_collection
from tests.api.artifact_desk import TEXT, Desk, files_of, staged
from tests.api.conftest import PUBLIC_URL


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
    taken, waiting = await staged(desk, b"taken"), await staged(desk, b"waiting")
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
