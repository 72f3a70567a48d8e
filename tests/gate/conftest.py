"""A gate on real sockets, servers that say exactly what they are told, and clients that say anything."""

import asyncio
import contextlib
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
import pytest

from hedgerow.domain.sandboxes import HostPort
from hedgerow.gate import CONTROL_SOCKET, EGRESS_SOCKET, Gate, Limits

RUN = UUID("0199f0a0-0000-7000-8000-000000000001")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

Play = Callable[["Visit"], Awaitable[None]]


@dataclass
class Visit:
    """One connection to a server of the tests."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def head(self) -> str:
        """The next request's line and headers."""
        return (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")

    async def say(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()


@dataclass
class Server:
    """A server that plays `play` on each connection, and remembers the heads that it was sent."""

    play: Play | None = None
    heads: list[str] = field(default_factory=list)
    visits: int = 0
    port: int = 0
    socket: Path | None = None
    left: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Play on one connection."""
        self.visits += 1
        visit = Visit(reader, writer)
        try:
            await (self.play(visit) if self.play else self._answer_all(visit))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.left.set()
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _answer_all(self, visit: Visit) -> None:
        while True:
            self.heads.append(await visit.head())
            await visit.say(OK)


@pytest.fixture
async def origin() -> AsyncIterator[Server]:
    """A server on a loopback port."""
    made = Server()
    listening = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = listening.sockets[0].getsockname()[1]
    yield made
    listening.close()


@pytest.fixture
def sockets() -> Iterator[Path]:
    """A sockets folder of short path."""
    with tempfile.TemporaryDirectory(prefix="hg-") as folder:
        yield Path(folder)


LIMITS = Limits(head_seconds=0.3, idle_seconds=0.6, stall_seconds=0.5, tunnel_idle_seconds=0.6, connect_seconds=2, connections=8)


@pytest.fixture
async def gate(origin: Server, sockets: Path) -> AsyncIterator[Gate]:
    """A gate that is open for one run, whose one host outside is the origin by its address."""
    made = Gate(control_plane_url=f"http://127.0.0.1:{origin.port}", limits=LIMITS)
    await made.open(RUN, sockets, frozenset({HostPort("127.0.0.1", origin.port)}), None)
    yield made
    await made.stop()


@pytest.fixture
async def client(gate: Gate, sockets: Path) -> AsyncIterator[httpx.AsyncClient]:
    """What the agent server uses: an HTTP client on the gate's socket."""
    transport = httpx.AsyncHTTPTransport(uds=str(sockets / CONTROL_SOCKET), verify=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gate", timeout=10) as made:
        yield made


async def echo(visit: Visit) -> None:
    """Send back what comes, and end when the other side has ended."""
    while data := await visit.reader.read(65536):
        await visit.say(data)


async def dial(path: Path) -> Visit:
    """A raw connection to a unix socket."""
    return Visit(*await asyncio.open_unix_connection(path))


async def ask(path: Path, request: bytes) -> bytes:
    """Send bytes to a unix socket and return everything that comes back, to the end."""
    visit = await dial(path)
    async with asyncio.timeout(10):
        with contextlib.suppress(ConnectionError):
            await visit.say(request)
        answer = b""
        with contextlib.suppress(ConnectionError):
            answer = await visit.reader.read()
    visit.writer.close()
    return answer


@pytest.fixture
async def raw(gate: Gate, sockets: Path) -> AsyncIterator[Visit]:
    """A raw connection to the control plane's socket."""
    visit = await dial(sockets / CONTROL_SOCKET)
    yield visit
    visit.writer.close()


@pytest.fixture
async def proxy(gate: Gate, sockets: Path) -> AsyncIterator[Visit]:
    """A raw connection to the egress proxy."""
    visit = await dial(sockets / EGRESS_SOCKET)
    yield visit
    visit.writer.close()


@pytest.fixture
def unused_port() -> int:
    """A loopback port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
