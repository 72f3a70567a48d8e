"""Bytes pass through the sandbox's loopback ports as they are, and half-closed connections stay half open."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hedgerow.agent_server.network import Network
from hedgerow.domain.sandboxes import HostPort


class Egress:
    """A fake gate: notes what it is asked, answers CONNECT with `status`, and then returns everything, reversed at the end."""

    def __init__(self) -> None:
        self.status = b"200 OK"
        self.asked: list[bytes] = []

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head)
        if head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 " + self.status + b"\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            received = await reader.read(-1)  # until the other side has closed its half
            writer.write(received[::-1])
            await writer.drain()
        writer.close()


@pytest.fixture
async def egress() -> AsyncIterator[tuple[Egress, Network]]:
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        socket = Path(folder) / "egress.sock"
        fake, network = Egress(), Network(socket)
        server = await asyncio.start_unix_server(fake.accept, str(socket))
        yield fake, network
        await network.close()
        server.close()


async def test_the_proxy_port_is_a_pipe_and_the_agent_is_told_of_it(egress: tuple[Egress, Network]) -> None:
    fake, network = egress
    variables = await network.open([])
    assert variables["NO_PROXY"] == variables["no_proxy"] == "127.0.0.1,localhost"
    assert len({variables[name] for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}) == 1
    port = int(variables["HTTP_PROXY"].rpartition(":")[2])
    assert await _talk(port, b"GET http://model.test/ HTTP/1.1\r\n\r\n", b"x" * 300_000 + b"end") == b"dne" + b"x" * 300_000
    assert fake.asked == [b"GET http://model.test/ HTTP/1.1\r\n\r\n"]


async def test_a_relay_asks_for_its_own_address(egress: tuple[Egress, Network], unused_tcp_port: int) -> None:
    fake, network = egress
    await network.open([HostPort("127.0.0.1", unused_tcp_port)])
    assert await _talk(unused_tcp_port, b"", b"hello") == b"olleh"
    address = f"127.0.0.1:{unused_tcp_port}"
    assert fake.asked == [f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode()]


async def test_a_relay_that_is_not_allowed_is_closed(egress: tuple[Egress, Network], unused_tcp_port: int) -> None:
    fake, network = egress
    fake.status = b"403 Forbidden"
    await network.open([HostPort("127.0.0.1", unused_tcp_port)])
    assert await _talk(unused_tcp_port, b"", b"hello") == b""


async def test_a_missing_gate_closes_the_connection() -> None:
    network = Network(Path("/nonexistent/egress.sock"))
    variables = await network.open([])
    assert await _talk(int(variables["HTTP_PROXY"].rpartition(":")[2]), b"", b"hello") == b""
    await network.close()


async def _talk(port: int, head: bytes, data: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(ConnectionError):
        writer.write(head + data)
        await writer.drain()
        writer.write_eof()
    try:
        async with asyncio.timeout(10):
            return await reader.read(-1)
    except ConnectionError:
        return b""
    finally:
        writer.close()
