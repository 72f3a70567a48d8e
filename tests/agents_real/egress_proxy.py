"""A stand-in for the gate's proxy: CONNECT and absolute-form requests, for named hosts only, which it maps to loopback ports."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class EgressProxy:
    """`ports` says where an allowed `host:port` really is; `asked` is what was asked for, in order."""

    ports: Mapping[str, int]
    url: str = ""
    asked: list[str] = field(default_factory=list)

    links: set[asyncio.Task[None]] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self.links.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._answer(reader, writer)
        finally:
            self.links.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        address = target if method == "CONNECT" else urlsplit(target).netloc
        address = address if ":" in address else f"{address}:80"
        self.asked.append(address)
        if address not in self.ports:
            writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.ports[address])
        try:
            if method == "CONNECT":
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            else:
                far_writer.write(head.replace(f"http://{urlsplit(target).netloc}".encode(), b"", 1))
            await asyncio.gather(_pipe(reader, far_writer), _pipe(far_reader, writer))
        finally:
            far_writer.close()


@asynccontextmanager
async def egress_proxy(ports: Mapping[str, int]) -> AsyncIterator[EgressProxy]:
    """A proxy on a free loopback port. What is still open at the end is cut."""
    proxy = EgressProxy(ports)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        for link in list(proxy.links):
            link.cancel()
        await asyncio.gather(*proxy.links, return_exceptions=True)


async def _pipe(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
        if target.can_write_eof():
            target.write_eof()
