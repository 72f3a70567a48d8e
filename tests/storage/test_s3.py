"""Objects in S3: what an address means, what is signed, and what happens where a server refuses, dies, or was never there."""

import asyncio
import contextlib
import os
import resource
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.storage import open_store
from hedgerow.storage.s3 import S3Place, S3Store, s3_place
from hedgerow.storage.s3_signing import Keys
from tests.radosgw import S3Server
from tests.storage.stores import PUBLIC_URL, SECRETS, s3_store

MEBIBYTE = 1024 * 1024
LATER = datetime.now(UTC) + timedelta(hours=1)
KEYS = Keys("AKIDTEST", "a very secret key", None)


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


async def _zeros(mebibytes: int) -> AsyncIterator[bytes]:
    for _ in range(4 * mebibytes):
        yield bytes(MEBIBYTE // 4)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def _refused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _a_store(url: str, keys: Keys = KEYS) -> S3Store:
    return S3Store(s3_place(url), lambda: keys, "eu-west-1")


def test_a_bucket_of_amazon_stands_in_the_name_of_the_host_unless_it_has_a_dot() -> None:
    assert s3_place("s3://farm").address("eu-west-1") == "https://farm.s3.eu-west-1.amazonaws.com"
    assert s3_place("s3://farm.example").address("eu-west-1") == "https://s3.eu-west-1.amazonaws.com/farm.example"


def test_at_an_endpoint_the_bucket_stands_in_the_path_and_others_may_reach_it_elsewhere() -> None:
    place = s3_place("s3://farm/hedge/rows/?endpoint=http://10.0.0.1:9000/&public_endpoint=https://objects.example&region=here")
    assert place == S3Place(
        bucket="farm", prefix="hedge/rows/", endpoint="http://10.0.0.1:9000", public_endpoint="https://objects.example", region="here"
    )
    assert place.address("here") == "http://10.0.0.1:9000/farm"
    assert place.public_address("here") == "https://objects.example/farm"


def test_the_standard_variable_names_the_endpoint_where_the_address_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://10.0.0.2:9000")
    assert s3_place("s3://farm").endpoint == "http://10.0.0.2:9000"
    assert s3_place("s3://farm?endpoint=http://10.0.0.1:9000").endpoint == "http://10.0.0.1:9000"


@pytest.mark.parametrize(
    ("url", "word"),
    [
        ("s3://", "bucket"),
        ("s3://farm:80", "bucket"),
        ("s3://key:secret@farm", "AWS_ACCESS_KEY_ID"),
        ("s3://farm/a/../b", "relative path"),
        ("s3://farm?colour=red", "colour"),
        ("s3://farm?region=", "region"),
        ("s3://farm?region=a&region=b", "region"),
        ("s3://farm?endpoint=ftp://host", "endpoint"),
        ("s3://farm?endpoint=http://host:99999", "endpoint"),
        ("s3://farm?endpoint=http://[::1", "endpoint"),
        ("s3://farm?public_endpoint=https://user:secret@host", "public_endpoint"),
    ],
)
async def test_an_address_that_means_nothing_is_refused_with_the_part_at_fault(url: str, word: str) -> None:
    with pytest.raises(InvalidError, match=word) as caught:
        await open_store(url, SECRETS)
    assert "secret" not in str(caught.value)


async def test_without_credentials_the_store_does_not_open() -> None:
    with pytest.raises(UnavailableError, match="AWS_ACCESS_KEY_ID"):
        await open_store("s3://farm?endpoint=http://127.0.0.1:1", SECRETS)


async def test_a_server_that_does_not_answer_is_told_of_with_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEYS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", KEYS.secret_key)
    with pytest.raises(UnavailableError) as caught:
        await open_store(f"s3://farm?endpoint=http://127.0.0.1:{_refused_port()}", SECRETS)
    assert caught.value.__cause__ is not None
    assert KEYS.secret_key not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_forms_and_addresses_are_for_the_public_endpoint_and_carry_a_session_token() -> None:
    store = _a_store("s3://farm?endpoint=http://10.0.0.1:9000&public_endpoint=https://objects.example", Keys("AKID", "unseen", "a token"))
    form = await store.upload_form("a b", content_type="", largest_bytes=1, expires_at=LATER, public_url=PUBLIC_URL)
    url = await store.read_url("a b", expires_at=LATER, public_url=PUBLIC_URL)
    assert form.url == "https://objects.example/farm/"
    assert form.fields["x-amz-security-token"] == "a token"
    assert url.startswith("https://objects.example/farm/a%20b?")
    assert "X-Amz-Security-Token=a%20token" in url
    assert "unseen" not in f"{url} {dict(form.fields)} {store!r} {form!r} {Keys('AKID', 'unseen', None)!r}"
    await store.close()


async def test_no_two_keys_are_the_same_in_the_bucket() -> None:
    store = _a_store("s3://farm")
    forms = [
        await store.upload_form(key, content_type="", largest_bytes=1, expires_at=LATER, public_url=PUBLIC_URL)
        for key in ("line\nbreak", "line%0Abreak", "line%250Abreak", "${filename}", "%24{filename}", "$filename")
    ]
    names = [form.fields["key"] for form in forms]
    assert names == ["line%0Abreak", "line%250Abreak", "line%25250Abreak", "%24{filename}", "%2524{filename}", "$filename"]
    await store.close()


@pytest.mark.parametrize("content_type", ["text/plain\r\nx-amz-acl: public-read", "text/ünï"])
async def test_a_type_that_no_header_can_carry_is_refused(content_type: str) -> None:
    store = _a_store("s3://farm")
    with pytest.raises(InvalidError) as caught:
        await store.put("a", _zeros(1), content_type=content_type)
    assert caught.value.attr == "content_type"
    with pytest.raises(InvalidError):
        await store.upload_form("a", content_type=content_type, largest_bytes=1, expires_at=LATER, public_url=PUBLIC_URL)
    await store.close()


@pytest.mark.s3
async def test_a_wrong_bucket_and_a_wrong_key_are_found_at_the_start(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UnavailableError, match="NoSuchBucket"):
        await open_store(f"s3://another-bucket?endpoint={s3_server.endpoint}", SECRETS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(UnavailableError, match="SignatureDoesNotMatch"):
        await open_store(s3_server.url("a"), SECRETS)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "UNKNOWN")
    with pytest.raises(UnavailableError, match="InvalidAccessKeyId"):
        await open_store(s3_server.url("a"), SECRETS)


@pytest.mark.s3
async def test_tags_lie_on_the_object(s3_server: S3Server, request: pytest.FixtureRequest) -> None:
    async with s3_store(request) as store:
        await store.put("a b+c.txt", _zeros(1))
        await store.tag("a b+c.txt", {"ttl_days": "30", "team_id": "<1&2>"})
        url = urlsplit(await store.read_url("a b+c.txt", expires_at=LATER, public_url=PUBLIC_URL))
    answer = s3_server.request("GET", f"{url.path[1:]}?tagging")
    assert "<Key>ttl_days</Key><Value>30</Value>" in answer.text
    assert "<Key>team_id</Key><Value>&lt;1&amp;2&gt;</Value>" in answer.text


@pytest.mark.s3
async def test_tags_of_nothing_are_no_error(request: pytest.FixtureRequest) -> None:
    async with s3_store(request) as store:
        await store.tag("nothing", {"ttl_days": "30"})
        assert await store.head("nothing") is None


@pytest.mark.s3
@pytest.mark.parametrize("mebibytes", [1, 5, 17])
async def test_an_upload_whose_pieces_fail_leaves_no_parts_behind(
    s3_server: S3Server, request: pytest.FixtureRequest, mebibytes: int
) -> None:
    async def failing() -> AsyncIterator[bytes]:
        async for piece in _zeros(mebibytes):
            yield piece
        raise FileNotFoundError("the pieces of another")

    async with s3_store(request) as store:
        with pytest.raises(FileNotFoundError, match="the pieces of another"):
            await store.put("cut", failing())
        assert await store.head("cut") is None
    assert "<Upload>" not in s3_server.request("GET", f"{s3_server.bucket}?uploads").text


@pytest.mark.s3
@pytest.mark.parametrize("mebibytes", [1, 5, 17])
async def test_an_upload_whose_task_is_cancelled_leaves_no_parts_behind(
    s3_server: S3Server, request: pytest.FixtureRequest, mebibytes: int
) -> None:
    waiting = asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        async for piece in _zeros(mebibytes):
            yield piece
        waiting.set()
        await asyncio.Event().wait()

    async with s3_store(request) as store:
        task = asyncio.create_task(store.put("cut", stalled()))
        await waiting.wait()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert task.cancelled()
        assert await store.head("cut") is None
    assert "<Upload>" not in s3_server.request("GET", f"{s3_server.bucket}?uploads").text


@pytest.mark.s3
@pytest.mark.parametrize("size", [0, 1, MEBIBYTE, 5 * MEBIBYTE - 1, 5 * MEBIBYTE, 5 * MEBIBYTE + 1, 10 * MEBIBYTE, 12 * MEBIBYTE + 7])
async def test_sizes_around_the_borders_of_parts_come_back_whole(request: pytest.FixtureRequest, size: int) -> None:
    data = os.urandom(1021) * (size // 1021 + 1)

    async def pieces() -> AsyncIterator[bytes]:
        yield data[: size // 3]
        yield data[size // 3 : size]

    async with s3_store(request) as store:
        assert (await store.put("a", pieces())).size_bytes == size
        assert b"".join([piece async for piece in (await store.read("a")).pieces]) == data[:size]


@pytest.mark.s3
async def test_two_hundred_megabytes_pass_in_bounded_memory(request: pytest.FixtureRequest) -> None:
    highest = 0

    async def watched() -> AsyncIterator[bytes]:
        nonlocal highest
        async for piece in _zeros(200):
            highest = max(highest, _resident_bytes())
            yield piece

    async with s3_store(request) as store:
        await store.put("warm", _zeros(20))
        before = _resident_bytes()
        await store.put("large", watched())
        size = 0
        async for piece in (await store.read("large")).pieces:
            highest = max(highest, _resident_bytes())
            size += len(piece)
    assert size == 200 * MEBIBYTE
    assert highest - before < 40 * MEBIBYTE


@pytest.mark.s3
async def test_the_event_loop_goes_on_while_an_upload_runs(request: pytest.FixtureRequest) -> None:
    longest, running = 0.0, True

    async def beat() -> None:
        nonlocal longest
        loop = asyncio.get_running_loop()
        while running:
            started = loop.time()
            await asyncio.sleep(0)
            longest = max(longest, loop.time() - started)

    async with s3_store(request) as store:
        beating = asyncio.create_task(beat())
        await store.put("a", _zeros(40))
        async for _ in (await store.read("a")).pieces:
            pass
        running = False
        await beating
    assert longest < 0.5


@dataclass
class Cable:
    """A cable to the server that can be cut: a port on loopback, from which all bytes go on to the server and back."""

    server: asyncio.Server
    ends: list[asyncio.StreamWriter]
    is_cut: bool = False

    @property
    def endpoint(self) -> str:
        """Where the server is, through the cable."""
        return f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"

    def cut(self) -> None:
        """Nothing comes through from now on."""
        self.is_cut = True
        for end in self.ends:
            end.transport.abort()


@asynccontextmanager
async def _cable(server: S3Server) -> AsyncIterator[Cable]:
    port, ends, plugged = urlsplit(server.endpoint).port, list[asyncio.StreamWriter](), set[asyncio.Task[object]]()

    async def carry(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await source.read(65536):
                target.write(data)
                await target.drain()
        target.close()
        with contextlib.suppress(ConnectionError):
            await target.wait_closed()

    async def plug_in(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        plugged.update({task} if (task := asyncio.current_task()) else ())
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        ends.extend((writer, far_writer))
        if cable.is_cut:
            cable.cut()
        await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer))

    cable = Cable(await asyncio.start_server(plug_in, "127.0.0.1", 0), ends)
    yield cable
    cable.cut()
    cable.server.close()
    await asyncio.gather(*plugged)


@pytest.mark.s3
async def test_a_server_that_goes_away_during_an_upload_is_told_of_and_the_pieces_are_let_go(
    s3_server: S3Server, request: pytest.FixtureRequest
) -> None:
    given = 0

    async def until_cut(cable: Cable) -> AsyncIterator[bytes]:
        nonlocal given
        async for piece in _zeros(400):
            given += len(piece)
            if given == 12 * MEBIBYTE:
                cable.cut()
            yield piece

    async with _cable(s3_server) as cable, s3_store(request, endpoint=cable.endpoint) as store:
        with pytest.raises(UnavailableError) as caught:
            await store.put("cut", until_cut(cable))
        assert caught.value.__cause__ is not None
    assert given < 60 * MEBIBYTE


@pytest.mark.s3
async def test_a_server_that_goes_away_during_a_download_is_told_of(s3_server: S3Server, request: pytest.FixtureRequest) -> None:
    async with _cable(s3_server) as cable, s3_store(request, endpoint=cable.endpoint) as store:
        await store.put("large", _zeros(60))
        pieces = (await store.read("large")).pieces
        await anext(pieces)
        cable.cut()
        with pytest.raises(UnavailableError):
            async for _ in pieces:
                pass


@pytest.mark.s3
async def test_others_reach_the_store_at_its_public_endpoint(s3_server: S3Server, request: pytest.FixtureRequest) -> None:
    async with _cable(s3_server) as cable, s3_store(request, public_endpoint=cable.endpoint) as store, httpx.AsyncClient() as client:
        form = await store.upload_form("a", content_type="", largest_bytes=9, expires_at=LATER, public_url=PUBLIC_URL)
        answer = await client.post(form.url, data=dict(form.fields), files={"file": b"through"})
        assert answer.is_success, answer.text
        answer = await client.get(await store.read_url("a", expires_at=LATER, public_url=PUBLIC_URL))
        assert answer.content == b"through"
        assert len(cable.ends) > 0
