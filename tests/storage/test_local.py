"""Objects in a folder: nothing half, nothing left over, and forms that permit what they say."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hedgerow.domain.errors import ForbiddenError, InvalidError, UnavailableError
from hedgerow.storage import open_store
from hedgerow.storage.local import LocalStore
from hedgerow.storage.signed_forms import Permit, Signer

SECRET, OLD = b"the present secret of the tests", b"an earlier secret of the tests"
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
PERMIT = Permit("tasks/a/b.txt", "text/plain", 100)


async def _opened(folder: Path) -> LocalStore:
    store = await open_store(f"file://{folder}", [SECRET])
    assert isinstance(store, LocalStore)
    return store


async def _pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def _files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_an_object_is_a_plain_file_under_its_key_with_its_type_beside_it(tmp_path: Path) -> None:
    store = await _opened(tmp_path)
    await store.put("tasks/a/notes.txt", _pieces(b"plain"), content_type="text/plain")
    assert (tmp_path / "tasks/a/notes.txt").read_bytes() == b"plain"
    assert _files(tmp_path) == ["tasks/a/.type-notes.txt", "tasks/a/notes.txt"]


async def test_what_is_being_read_stays_what_it_was(tmp_path: Path) -> None:
    store = await _opened(tmp_path)
    await store.put("a/b", _pieces(b"first"), content_type="text/plain")
    first = await store.read("a/b")
    await store.put("a/b", _pieces(b"the second one"))
    second = await store.read("a/b")
    await store.delete("a/b")
    assert (first.info.size_bytes, first.info.content_type, [piece async for piece in first.pieces]) == (5, "text/plain", [b"first"])
    assert (second.info.size_bytes, second.info.content_type, [piece async for piece in second.pieces]) == (14, "", [b"the second one"])


async def test_deleting_takes_the_type_and_the_empty_folders_with_it(tmp_path: Path) -> None:
    store = await _opened(tmp_path)
    await store.put("tasks/a/one", _pieces(b"1"), content_type="text/plain")
    await store.put("tasks/b/two", _pieces(b"2"))
    await store.delete("tasks/a/one")
    assert _files(tmp_path) == ["tasks/b/two"]
    assert not (tmp_path / "tasks/a").exists()


async def test_objects_come_while_the_last_others_of_their_folder_go(tmp_path: Path) -> None:
    store = await _opened(tmp_path)

    async def come_and_go(name: str) -> None:
        for number in range(40):
            key = f"tasks/a/staged/{name}{number}/x"
            await store.put(key, _pieces(b"x"), content_type="text/plain")
            await store.delete(key)

    await asyncio.gather(*map(come_and_go, "abcd"))
    assert _files(tmp_path) == []


async def test_an_upload_that_is_cancelled_half_way_leaves_no_file(tmp_path: Path) -> None:
    store = await _opened(tmp_path)
    begun = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        yield b"x" * 1_000_000
        begun.set()
        await asyncio.Event().wait()

    upload = asyncio.create_task(store.put("tasks/a", endless()))
    await begun.wait()
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert _files(tmp_path) == []


_HALF_AN_UPLOAD = """
import asyncio, sys
from hedgerow.storage import open_store
async def pieces():
    yield b"x" * 1_000_000
    print("half", flush=True)
    await asyncio.Event().wait()
async def main():
    store = await open_store(sys.argv[1], [b"secret"])
    await store.put("tasks/a", pieces())
asyncio.run(main())
"""


async def test_what_a_killed_process_left_is_swept_and_the_upload_of_a_living_one_is_not(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HALF_AN_UPLOAD, f"file://{tmp_path}", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"half\n"
    await _opened(tmp_path)
    assert len(_files(tmp_path)) == 1
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert len(_files(tmp_path)) == 1
    await _opened(tmp_path)
    assert _files(tmp_path) == []


async def test_a_full_disk_is_told_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await _opened(tmp_path)
    monkeypatch.setattr(os, "fsync", _full_disk)
    with pytest.raises(UnavailableError, match="full"):
        await store.put("tasks/a", _pieces(b"x"))
    assert _files(tmp_path) == []


def _full_disk(descriptor: int) -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"x")


async def test_a_folder_that_cannot_be_written_is_told_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UnavailableError):
        await open_store(f"file://{tmp_path}/file/objects", [SECRET])


@pytest.mark.parametrize("url", ["file://", "file:///", "file://elsewhere/objects", "ftp://host/objects"])
async def test_an_address_that_means_no_store_is_refused(url: str) -> None:
    with pytest.raises(InvalidError):
        await open_store(url, [SECRET])


async def test_two_objects_where_one_would_lie_inside_the_other_are_told(tmp_path: Path) -> None:
    store = await _opened(tmp_path)
    await store.put("tasks/a", _pieces(b"x"))
    with pytest.raises(UnavailableError):
        await store.put("tasks/a/b", _pieces(b"x"))
    assert await store.head("tasks/a/b") is None
    assert await store.head("tasks") is None
    assert _files(tmp_path) == ["tasks/a"]


def test_a_form_permits_what_it_was_signed_for() -> None:
    fields = Signer([SECRET]).form(PERMIT, LATER, "http://hedgerow.test").fields
    assert Signer([SECRET]).permit(fields, NOW) == PERMIT


def test_a_form_without_a_type_takes_any() -> None:
    signer = Signer([SECRET])
    fields = dict(signer.form(Permit("k", "", 5), LATER, "").fields)
    assert signer.permit(fields, NOW) == Permit("k", "", 5)
    assert signer.permit({**fields, "Content-Type": "image/png"}, NOW) == Permit("k", "image/png", 5)


@pytest.mark.parametrize("content_type", ["text/plain\r\nX: y", "ü", "x" * 256, "\x00"])
def test_a_type_that_is_no_header_is_refused(content_type: str) -> None:
    signer = Signer([SECRET])
    with pytest.raises(InvalidError) as refused:
        signer.permit({**signer.form(Permit("k", "", 5), LATER, "").fields, "Content-Type": content_type}, NOW)
    assert refused.value.attr == "Content-Type"


def test_what_earlier_secrets_signed_still_counts() -> None:
    fields = Signer([OLD]).form(PERMIT, LATER, "").fields
    assert Signer([SECRET, OLD]).permit(fields, NOW) == PERMIT
    with pytest.raises(ForbiddenError):
        Signer([SECRET]).permit(fields, NOW)


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "tasks/a/other"},
        {"Content-Type": "text/html"},
        {"Content-Type": ""},
        {"signature": "0" * 64},
        {"signature": "ü"},
        {"policy": "e30="},
        {"policy": "\ud800"},
    ],
)
def test_a_form_that_was_changed_is_refused(changes: dict[str, str]) -> None:
    signer = Signer([SECRET])
    with pytest.raises(ForbiddenError):
        signer.permit({**signer.form(PERMIT, LATER, "").fields, **changes}, NOW)


@pytest.mark.parametrize("name", ["key", "policy", "signature"])
def test_a_form_without_one_of_its_fields_is_refused_by_name(name: str) -> None:
    fields = dict(Signer([SECRET]).form(PERMIT, LATER, "").fields)
    del fields[name]
    with pytest.raises(InvalidError) as refused:
        Signer([SECRET]).permit(fields, NOW)
    assert refused.value.attr == name


def test_forms_and_addresses_expire() -> None:
    signer = Signer([SECRET])
    with pytest.raises(ForbiddenError, match="expired"):
        signer.permit(signer.form(PERMIT, NOW, "").fields, NOW)
    query = {"key": "k", "expires": str(int(NOW.timestamp())), "signature": signer._sign("read", f"{int(NOW.timestamp())} k")}
    with pytest.raises(ForbiddenError, match="expired"):
        signer.check_url(query, NOW)
    assert signer.check_url(query, NOW - timedelta(seconds=1)) == "k"
    with pytest.raises(ForbiddenError):
        signer.check_url({**query, "key": "other"}, NOW - timedelta(seconds=1))
