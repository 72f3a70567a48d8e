"""Clients that send too much, too slowly, or do not read, on a real server."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from hedgerow.api.bodies import RequestBody
from hedgerow.api.errors import error_response
from hedgerow.cli.connections import HEAD_BYTES, Patience
from hedgerow.cli.serving import listen, serve
from hedgerow.domain.errors import HedgerowError

QUICK = 0.3


@dataclass
class Door:
    """An application that reads bodies as the API does, and answers with as much as is asked for."""

    port: int = 0
    bodies: list[bytes] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    body_seconds: float = QUICK

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method == "POST" and request.url.path != "/early":
            try:
                self.bodies.append(await RequestBody(request, self.body_seconds).read(2**20))
            except HedgerowError as problem:
                self.problems.append(problem.code)
                return error_response(problem)
        return PlainTextResponse("x" * int(request.query_params.get("size", "2")))


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """The door, open on loopback, with little patience."""
    app, stop, serving = Door(), asyncio.Event(), asyncio.Event()
    listener = listen("127.0.0.1", 0)
    app.port = listener.getsockname()[1]
    task = asyncio.create_task(
        serve(app, listener, stop, serving.set, Patience(reader_seconds=QUICK, sender_seconds=QUICK, linger_seconds=QUICK))
    )
    async with asyncio.timeout(10):
        await serving.wait()
    yield app
    stop.set()
    await task


@asynccontextmanager
async def connected(door: Door, limit: int = 2**16) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the door, closed afterwards, however it stands then."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port, limit=limit)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


async def answer(door: Door, *pieces: bytes) -> tuple[int, dict[str, Any]]:
    """What is answered to these bytes: the status, and the JSON of the body; the connection is closed by the server."""
    async with connected(door) as (reader, writer):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        async with asyncio.timeout(15):
            raw = await reader.read()
        if not raw:
            return 0, {}
        head, _, body = raw.partition(b"\r\n\r\n")
        assert b"200 OK" in head or b"x-request-id: " in head
        return int(head.split()[1]), json.loads(body) if body.startswith(b"{") else {"text": body.decode()}


CLOSE = b"Connection: close\r\n"


async def test_an_ordinary_request_is_answered(door: Door) -> None:
    assert await answer(door, b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n") == (200, {"text": "xx"})
    body = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n" + CLOSE + b"\r\n"
    assert await answer(door, body, b"hello") == (200, {"text": "xx"})
    assert door.bodies == [b"hello"]


async def test_a_head_and_its_body_may_come_in_any_pieces(door: Door) -> None:
    whole = b"POST /a?b HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 1000 + b"\r\nContent-Length: 300000\r\n" + CLOSE + b"\r\n" + b"z" * 300_000
    assert (await answer(door, whole[:500], whole[500:900], whole[900:]))[0] == 200
    assert [len(body) for body in door.bodies] == [300_000]


@pytest.mark.parametrize(
    ("flood", "status", "code"),
    [
        (b"GET /?" + b"q" * 2**20 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "uri_too_long"),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000 + b"\r\n", 431, "header_fields_too_large"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * 2**20 + b"\r\n\r\n", 431, "header_fields_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"a" * 2**20 + b": b\r\n\r\n", 431, "header_fields_too_large"),
        (b"GET / HTTP/1.1\r\nA: " + b"b" * (HEAD_BYTES + 1) + b"\r\n\r\n", 431, "header_fields_too_large"),
        (b"nonsense\r\n\r\n", 400, "parse_error"),
        (b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n", 400, "parse_error"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", 400, "parse_error"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 400 + b"\r\n\r\n", 400, "parse_error"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400, "parse_error"),
    ],
)
async def test_a_head_that_is_too_large_or_none_is_refused_in_the_shape_of_the_api(
    door: Door, flood: bytes, status: int, code: str
) -> None:
    given, body = await answer(door, flood)
    assert (given, body["type"], body["code"], body["attr"]) == (status, "invalid_request", code, None)
    assert body["detail"]


async def test_a_head_that_comes_too_slowly_is_cut_off(door: Door) -> None:
    async with connected(door) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nA: ")
        dribbling = asyncio.create_task(_dribble(writer))
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
        dribbling.cancel()
    assert b" 408 " in head
    assert b"x-request-id: " in head


async def test_a_client_that_never_says_a_word_is_let_go(door: Door) -> None:
    assert await answer(door) == (0, {})


async def test_a_body_that_comes_a_byte_at_a_time_is_given_up(door: Door) -> None:
    async with connected(door) as (reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        dribbling = asyncio.create_task(_dribble(writer))
        async with asyncio.timeout(15):
            head = await reader.readuntil(b"\r\n\r\n")
        dribbling.cancel()
    assert b" 408 " in head
    assert (door.bodies, door.problems) == ([], ["too_slow"])


async def _dribble(writer: asyncio.StreamWriter) -> None:
    while not writer.transport.is_closing():
        writer.write(b"x")
        await asyncio.sleep(QUICK / 10)


async def test_a_client_that_leaves_half_way_leaves_nothing(door: Door) -> None:
    door.body_seconds = 30
    async with connected(door) as (_reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf")
        await writer.drain()
    async with asyncio.timeout(15):
        while not door.problems:  # noqa: ASYNC110 - nobody tells when a server has noticed
            await asyncio.sleep(0.01)
    assert (door.bodies, door.problems) == ([], ["malformed"])


async def test_the_rest_of_a_body_that_nobody_needed_is_not_awaited_for_ever(door: Door) -> None:
    async with connected(door) as (reader, writer):
        writer.write(b"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
        await writer.drain()
        async with asyncio.timeout(15):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert await reader.readexactly(2) == b"xx"
            dribbling = asyncio.create_task(_dribble(writer))
            with suppress(OSError):
                assert await reader.read() == b""  # the end, although something still comes
        dribbling.cancel()


async def test_a_whole_answer_that_is_not_read_is_cut_off(door: Door) -> None:
    async with connected(door, 1024) as (reader, writer):
        with capture_logs() as lines:
            writer.write(b"GET /?size=50000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            async with asyncio.timeout(15):
                while not lines:  # noqa: ASYNC110 - until the server says that it has cut the reader off
                    await asyncio.sleep(0.01)
        assert lines[0]["event"] == "a reader does not read and is closed"
        size = 0
        with suppress(ConnectionResetError):
            async with asyncio.timeout(15):
                while piece := await reader.read(2**20):
                    size += len(piece)
        assert size < 50_000_000


async def test_a_slow_but_steady_reader_gets_everything(door: Door) -> None:
    async with connected(door, 2**16) as (reader, writer):
        writer.write(b"GET /?size=20000000 HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
        size = 0
        async with asyncio.timeout(30):
            while piece := await reader.read(2**20):
                size += len(piece)
                await asyncio.sleep(0.002)
        assert size > 20_000_000
