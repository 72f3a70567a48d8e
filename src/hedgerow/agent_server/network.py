"""The network of an isolated sandbox: loopback ports whose bytes go through the gate's egress socket."""

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path

from hedgerow.domain.sandboxes import HostPort

_PIECE_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 16 * 1024
_CONNECT_SECONDS = 30.0
_PROXY_NAMES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")


class Network:
    """A proxy on a free loopback port, and one port for every relay. Bytes pass as they are; so do half-closed connections."""

    def __init__(self, egress_socket: Path) -> None:
        self._egress_socket = str(egress_socket)
        self._servers: list[asyncio.Server] = []
        self._links: set[asyncio.Task[None]] = set()

    async def open(self, relays: Iterable[HostPort]) -> dict[str, str]:
        """Listen, and return the variables that tell the agent of the proxy. OSError where a relay's port is taken."""
        proxy = await self._listen("127.0.0.1", 0, None)
        for relay in relays:
            await self._listen(relay.host, relay.port, relay)
        local = "127.0.0.1,localhost"
        return dict.fromkeys(_PROXY_NAMES, f"http://127.0.0.1:{proxy}") | {"NO_PROXY": local, "no_proxy": local}

    async def close(self) -> None:
        """Stop listening and cut what is open."""
        for server in self._servers:
            server.close()
        for link in list(self._links):
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _listen(self, host: str, port: int, target: HostPort | None) -> int:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._links.add(task)
            task.add_done_callback(self._links.discard)
            with contextlib.suppress(asyncio.CancelledError):  # the streams library would log it
                await self._link(reader, writer, target)

        server = await asyncio.start_server(accept, host, port)
        self._servers.append(server)
        chosen: int = server.sockets[0].getsockname()[1]
        return chosen

    async def _link(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: HostPort | None) -> None:
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self._egress_socket)
        except OSError:
            writer.close()
            return
        try:
            if target is None or await _connect(far_reader, far_writer, target):
                await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            far_writer.close()


async def _connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: HostPort) -> bool:
    """Ask the proxy for a tunnel to `target`; whether it is there."""
    address = f"[{target.host}]:{target.port}" if ":" in target.host else str(target)
    writer.write(f"CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n\r\n".encode())
    async with asyncio.timeout(_CONNECT_SECONDS):
        head = await reader.readuntil(b"\r\n\r\n")
    status = head[:_HEAD_LIMIT_BYTES].split(b" ", 2)
    return len(status) > 1 and status[1] == b"200"


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    """Copy until the source ends, then end the target's input only: the other direction may still have much to say."""
    while data := await source.read(_PIECE_BYTES):
        target.write(data)
        await target.drain()
    if target.can_write_eof():
        target.write_eof()
