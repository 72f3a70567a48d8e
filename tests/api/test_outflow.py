"""Answers that leave in pieces, over a real connection."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from hedgerow.api.front import Front
from hedgerow.api.outflow import Outflow, pieces_response
from hedgerow.cli.leaving import EndsStreams
from hedgerow.domain.errors import HedgerowError, UnavailableError
from tests.api.serving import QuietServer, quiet_config


class Source:
    """An endless answer that knows whether it was let go."""

    def __init__(self, stall_seconds: float) -> None:
        self.stall_seconds = stall_seconds
        self.problem: HedgerowError | None = None
        self.let_go = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await Outflow(self._pieces(), media_type="text/plain", stall_seconds=self.stall_seconds)(scope, receive, send)

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x" * 65536
                if self.problem is not None:
                    raise self.problem
                await asyncio.sleep(0)
        finally:
            self.let_go.set()


@pytest_asyncio.fixture(loop_scope="session")
async def source() -> AsyncIterator[tuple[Source, QuietServer]]:
    """An endless answer on a port of the loopback."""
    app = Source(stall_seconds=0.2)
    server = QuietServer(quiet_config(EndsStreams(Front(app), asyncio.Event())))  # as the operator's command serves it
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(10):
        await server.serving.wait()
    yield app, server
    server.should_exit = True
    await serving


async def test_a_reader_that_does_not_read_is_cut_off(source: tuple[Source, QuietServer]) -> None:
    app, server = source
    _reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        await app.let_go.wait()
        while server.server_state.connections:  # noqa: ASYNC110 - uvicorn tells nobody that it has let a connection go
            await asyncio.sleep(0)
    writer.transport.abort()


async def test_a_client_that_leaves_ends_the_answer(source: tuple[Source, QuietServer]) -> None:
    app, server = source
    async with httpx.AsyncClient() as client, client.stream("GET", f"http://127.0.0.1:{server.port}/") as response:
        async for _ in response.aiter_bytes():
            break
    async with asyncio.timeout(10):
        await app.let_go.wait()


async def test_an_answer_that_breaks_off_is_cut_and_told_in_one_line(source: tuple[Source, QuietServer]) -> None:
    app, server = source
    app.problem = UnavailableError("The database is gone.")
    with capture_logs() as logged:
        async with httpx.AsyncClient() as client:
            with pytest.raises(httpx.TransportError):
                await client.get(f"http://127.0.0.1:{server.port}/")
        async with asyncio.timeout(10):
            await app.let_go.wait()
    lines = [(line["event"], line.get("reason")) for line in logged if line["log_level"] != "debug"]
    assert lines == [("an answer broke off", "The database is gone.")]


async def _letters(text: str) -> AsyncIterator[bytes]:
    for letter in text:
        yield letter.encode()


async def test_an_answer_of_one_piece_has_a_length() -> None:
    for text in ("", "a"):
        response = await pieces_response(_letters(text), media_type="text/plain", stall_seconds=5, headers={})
        assert response.headers["content-length"] == str(len(text))
        assert response.body == text.encode()


async def test_an_answer_of_many_pieces_flows_in_order() -> None:
    response = await pieces_response(_letters("hedgerow"), media_type="text/plain", stall_seconds=5, headers={"Cache-Control": "no-cache"})
    transport = httpx.ASGITransport(response)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get("/")
    assert (answer.text, answer.headers["cache-control"]) == ("hedgerow", "no-cache")
    assert "content-length" not in answer.headers


async def test_what_is_wrong_at_the_beginning_is_raised_before_there_is_an_answer() -> None:
    async def broken() -> AsyncIterator[bytes]:
        raise UnavailableError("The archive is gone.")
        yield b""

    with pytest.raises(UnavailableError):
        await pieces_response(broken(), media_type="text/plain", stall_seconds=5, headers={})


async def test_a_client_that_left_before_the_answer_began_ends_it_too() -> None:
    let_go = asyncio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        try:
            for _ in range(3):
                yield b"x"
        finally:
            let_go.set()

    begun = pieces()
    response = await pieces_response(begun, media_type="text/plain", stall_seconds=5, headers={})

    async def gone() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await asyncio.Event().wait()

    await response({"type": "http", "path": "/"}, gone, send)

    assert let_go.is_set()


async def test_no_piece_is_held_once_it_is_sent() -> None:
    held: set[int] = set()

    class Piece(bytes):
        def __new__(cls, number: int) -> "Piece":
            held.add(number)
            return super().__new__(cls, str(number).encode())

        def __del__(self) -> None:
            held.remove(int(self))

    async def pieces() -> AsyncIterator[bytes]:
        for number in range(5):
            yield Piece(number)

    response = await pieces_response(pieces(), media_type="text/plain", stall_seconds=5, headers={})
    sent: list[int] = []

    async def send(message: Message) -> None:
        if message.get("body"):
            sent.append(int(message["body"]))
            assert min(held) == sent[-1], "the pieces before are gone"

    async def staying() -> Message:
        await asyncio.Event().wait()
        return {}

    await response({"type": "http", "path": "/"}, staying, send)

    assert sent == [0, 1, 2, 3, 4]
    assert held == set()
