"""The HTTP server keeps its head, whatever arrives."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hedgerow.agent_server.http_server import HttpServer, Request, Response, json_response


@pytest.fixture
async def socket() -> AsyncIterator[Path]:
    async def answer(request: Request) -> Response:
        return json_response(200, {"path": request.path, "size": len(request.body)})

    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        server = HttpServer(answer)
        await server.listen(Path(folder) / "http.sock")
        yield Path(folder) / "http.sock"
        await server.stop()


async def test_requests_of_one_connection_are_answered_in_turn(socket: Path) -> None:
    chunked = b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    answer = await _talk(socket, b"GET /a?x=1 HTTP/1.1\r\nHost: x\r\n\r\n" + chunked)
    assert answer.count(b"HTTP/1.1 200 OK") == 2
    assert answer.index(b'{"path":"/a","size":0}') < answer.index(b'{"path":"/b","size":5}')


async def test_what_is_no_http_is_refused(socket: Path) -> None:
    assert (await _talk(socket, b"\x16\x03\x01nonsense\r\n\r\n")).startswith(b"HTTP/1.1 400 ")
    assert (await _talk(socket, b"GET / HTTP/1.1\r\nA: " + b"x" * 70_000 + b"\r\n\r\n")).startswith(b"HTTP/1.1 400 ")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    garbage=st.binary(max_size=200),
    prefix=st.sampled_from([b"", b"GET ", b"POST /command HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nContent-Length: "]),
)
def test_garbage_is_answered_or_closed_and_the_next_caller_is_served(garbage: bytes, prefix: bytes) -> None:
    async def scene() -> None:
        async def answer(request: Request) -> Response:
            return json_response(200, {})

        with tempfile.TemporaryDirectory(prefix="h-") as folder:
            server = HttpServer(answer)
            await server.listen(Path(folder) / "s")
            await _talk(Path(folder) / "s", prefix + garbage)
            assert (await _talk(Path(folder) / "s", b"GET / HTTP/1.1\r\n\r\n")).startswith(b"HTTP/1.1 200")
            await server.stop()

    asyncio.run(scene())


async def _talk(socket: Path, data: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(socket))
    writer.write(data)
    writer.write_eof()
    async with asyncio.timeout(10):
        try:
            return await reader.read(-1)
        except ConnectionError:
            return b""
        finally:
            writer.close()
