"""What every object store promises (storage/base.py), checked on each of them."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio

from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.storage import ObjectInfo, ObjectStore
from tests.storage.stores import EACH, PUBLIC_URL, STORES

KEY = "tasks/artifacts/team_1/task_2/run_3/12345678_notes.txt"


@pytest_asyncio.fixture(params=EACH)
async def store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """One of the stores, with nothing in it."""
    async with STORES[request.param](request) as opened:
        yield opened


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def content(store: ObjectStore, key: str) -> bytes:
    return b"".join([piece async for piece in (await store.read(key)).pieces])


async def test_what_was_put_is_read_byte_for_byte_with_its_type_and_size(store: ObjectStore) -> None:
    info = await store.put(KEY, pieces(b"one ", b"", b"two\x00\xff"), content_type="text/plain")
    assert info == ObjectInfo(key=KEY, size_bytes=9, content_type="text/plain") == await store.head(KEY)
    assert await content(store, KEY) == b"one two\x00\xff"


async def test_an_empty_object_is_an_object(store: ObjectStore) -> None:
    await store.put(KEY, pieces())
    info = await store.head(KEY)
    assert info is not None
    assert info.size_bytes == 0
    assert await content(store, KEY) == b""


async def test_a_large_object_comes_back_whole_and_in_pieces_of_at_most_a_megabyte(store: ObjectStore) -> None:
    piece = bytes(range(256)) * 512  # 128 KiB
    info = await store.put(KEY, pieces(*[piece] * 80))
    assert info.size_bytes == 80 * len(piece)
    read = [part async for part in (await store.read(KEY)).pieces]
    assert b"".join(read) == piece * 80
    assert max(map(len, read)) <= 1024 * 1024


async def test_putting_again_replaces(store: ObjectStore) -> None:
    await store.put(KEY, pieces(b"first"), content_type="text/plain")
    await store.put(KEY, pieces(b"second one"), content_type="text/markdown")
    info = await store.head(KEY)
    assert info is not None
    assert (info.size_bytes, info.content_type) == (10, "text/markdown")
    assert await content(store, KEY) == b"second one"


async def test_an_upload_that_is_cut_short_stores_nothing_and_spares_what_was_there(store: ObjectStore) -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x" * 300_000
        raise ConnectionAbortedError("the client left")

    with pytest.raises(Exception, match=r"client left|connection abort"):
        await store.put(KEY, cut())
    assert await store.head(KEY) is None
    await store.put(KEY, pieces(b"whole"))
    with pytest.raises(Exception, match=r"client left|connection abort"):
        await store.put(KEY, cut())
    assert await content(store, KEY) == b"whole"


async def test_what_is_not_there_is_told_before_the_first_piece(store: ObjectStore) -> None:
    assert await store.head(KEY) is None
    with pytest.raises(NotFoundError):
        await store.read(KEY)


async def test_deleting_may_be_repeated(store: ObjectStore) -> None:
    await store.put(KEY, pieces(b"x"), content_type="text/plain")
    await store.delete(KEY)
    await store.delete(KEY)
    assert await store.head(KEY) is None


async def test_tags_never_fail_a_caller(store: ObjectStore) -> None:
    await store.put(KEY, pieces(b"x"))
    await store.tag(KEY, {"ttl_days": "30", "team_id": "1"})
    assert await content(store, KEY) == b"x"


@pytest.mark.parametrize("name", ["ünï cødé 字.txt", "100% sure?.txt", ".hidden", "a b+c&d=e#f", "line\nbreak", "x" * 255, "字" * 255])
async def test_hostile_names_are_kept_apart_and_come_back(store: ObjectStore, name: str) -> None:
    folder = "tasks/artifacts/team_1/"
    await store.put(folder + name, pieces(name.encode()))
    await store.put(folder + name[:-1] + "!", pieces(b"another"))
    assert await content(store, folder + name) == name.encode()


@pytest.mark.parametrize("key", ["", "/etc/passwd", "a/../b", "..", "./a", "a//b", "a/", "a\x00b", "x" * 1025, "lone \ud800"])
async def test_keys_that_are_no_plain_paths_are_refused(store: ObjectStore, key: str) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    with pytest.raises(InvalidError):
        await store.put(key, pieces(b"x"))
    with pytest.raises(InvalidError):
        await store.head(key)
    with pytest.raises(InvalidError):
        await store.read(key)
    with pytest.raises(InvalidError):
        await store.upload_form(key, content_type="", largest_bytes=1, expires_at=soon, public_url=PUBLIC_URL)
    with pytest.raises(InvalidError):
        await store.read_url(key, expires_at=soon, public_url=PUBLIC_URL)


async def test_forms_and_addresses_are_absolute_and_hide_what_opens_them(store: ObjectStore) -> None:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    form = await store.upload_form(KEY, content_type="text/plain", largest_bytes=10, expires_at=soon, public_url=PUBLIC_URL)
    assert form.url.startswith("http")
    assert form.fields["key"].endswith(KEY)  # a store may put a prefix before it
    assert form.fields["Content-Type"] == "text/plain"
    assert form.fields["policy"] not in repr(form)
    assert (await store.read_url(KEY, expires_at=soon, public_url=PUBLIC_URL)).startswith("http")
