"""Connections as pairs of streams: how the gate opens, relays and ends them."""

import asyncio
import contextlib
import os
import socket
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from ssl import SSLContext

_CLOSE_SECONDS = 5.0
_COPY_BYTES = 65536
_PROBE_AFTER_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Connection:
    """Both directions of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes, *, stall_seconds: float) -> None:
        """Write, and wait for the other side while it is slow. Raises TimeoutError where it takes nothing for that long, or OSError."""
        self.writer.write(data)
        async with asyncio.timeout(stall_seconds):
            await self.writer.drain()

    async def close(self) -> None:
        """End the connection once everything written is taken, or soon after."""
        self.writer.close()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self.writer.wait_closed()
        except OSError:  # a timeout as well
            self.writer.transport.abort()

    def abort(self) -> None:
        """Cut the connection, so that the other side sees that something is missing."""
        self.writer.transport.abort()


async def open_tcp(host: str, port: int, *, timeout_seconds: float, tls: SSLContext | None = None, name: str | None = None) -> Connection:
    """Connect to a server; a dead one is noticed by probes of the system. Raises OSError, also where it takes too long."""
    async with asyncio.timeout(timeout_seconds):
        connection = Connection(*await asyncio.open_connection(host, port, ssl=tls, server_hostname=name if tls else None))
    _probe(connection.writer.get_extra_info("socket"))
    return connection


async def open_unix(path: Path) -> Connection:
    """Connect to a unix socket in a folder that others may write: a link in the socket's place is not followed. Raises OSError."""
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.setblocking(False)
        _connect_to_socket_file(sock, path)
        return Connection(*await asyncio.open_unix_connection(sock=sock))
    except BaseException:
        sock.close()
        raise


async def relay(left: Connection, right: Connection, *, idle_seconds: float) -> None:
    """Pass bytes both ways until both sides have ended theirs; the end of one direction is passed on alone.

    Ends early, cutting both, where a side fails or nothing passes for `idle_seconds`.
    """
    pulse = [time.monotonic()]
    copies = [asyncio.create_task(_copy(left, right, pulse)), asyncio.create_task(_copy(right, left, pulse))]
    watch = asyncio.create_task(_idle(pulse, idle_seconds))
    try:
        await _both_or_first_failure(copies, watch)
    finally:
        for task in (*copies, watch):
            task.cancel()
        await asyncio.gather(*copies, watch, return_exceptions=True)


async def _both_or_first_failure(copies: list["asyncio.Task[None]"], watch: "asyncio.Task[None]") -> None:
    pending = set(copies)
    while pending:
        done, _ = await asyncio.wait({*pending, watch}, return_when=asyncio.FIRST_COMPLETED)
        if watch in done:
            raise TimeoutError
        for task in done:
            task.result()
        pending -= done


async def _copy(source: Connection, destination: Connection, pulse: list[float]) -> None:
    while data := await source.reader.read(_COPY_BYTES):
        pulse[0] = time.monotonic()
        destination.writer.write(data)
        await destination.writer.drain()
        pulse[0] = time.monotonic()
    destination.writer.write_eof()


async def _idle(pulse: list[float], idle_seconds: float) -> None:
    while (left := pulse[0] + idle_seconds - time.monotonic()) > 0:  # noqa: ASYNC110 - one timer instead of one per read
        await asyncio.sleep(left)


def _connect_to_socket_file(sock: socket.socket, path: Path) -> None:
    if not hasattr(os, "O_PATH"):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileNotFoundError(path)
        sock.connect(str(path))
        return
    descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            raise FileNotFoundError(path)
        sock.connect(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _probe(sock: socket.socket) -> None:
    with contextlib.suppress(OSError, AttributeError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _PROBE_AFTER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, _PROBE_AFTER_SECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 3)
