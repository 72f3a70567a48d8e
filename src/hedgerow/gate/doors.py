"""Where the gate listens: unix sockets in folders that a sandbox may write, and a TCP port."""

import asyncio
import contextlib
import os
import socket
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.gate.forwarding import Forwarder, Router
from hedgerow.gate.messages import Limits
from hedgerow.gate.streams import Connection

_BACKLOG = 128
_LONGEST_PATH_BYTES = 107  # of a unix socket: sun_path without its end
_BUSY = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Door:
    """One listening socket and the connections that came through it."""

    def __init__(self, router: Router, limits: Limits) -> None:
        self._router = router
        self._limits = limits
        self._server: asyncio.Server | None = None
        self._closed = False
        self._connections: set[asyncio.Task[None]] = set()
        self._file: tuple[Path, tuple[int, int]] | None = None

    async def listen_unix(self, path: Path, owner: tuple[int, int] | None) -> None:
        """Bind a unix socket that only `owner` (None: the present account) may connect to, in place of what an earlier gate left.

        Raises UnavailableError where the path is too long or the folder is not there.
        """
        sock = _bind_unix(path, owner)
        self._file = (path, _identity(path))
        self._server = await asyncio.start_unix_server(self._serve, sock=sock, backlog=_BACKLOG)

    async def listen_tcp(self, host: str, port: int) -> int:
        """Bind a TCP port (0: any free one) and return it. Raises UnavailableError where that is not possible."""
        try:
            self._server = await asyncio.start_server(self._serve, host, port, backlog=_BACKLOG)
        except OSError as error:
            raise UnavailableError(f"The worker's gate cannot listen on {host}:{port}: {os.strerror(error.errno or 0)}.") from error
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Stop listening and cut what is connected. The socket's file goes, unless another gate has put its own there."""
        self._closed = True
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._remove_file()

    def _remove_file(self) -> None:
        if self._file is None:
            return
        path, identity = self._file
        with contextlib.suppress(OSError):
            if _identity(path) == identity:
                path.unlink()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near = Connection(reader, writer)
        task = asyncio.current_task()
        assert task is not None
        if self._closed:  # accepted just before
            near.abort()
            return
        if len(self._connections) >= self._limits.connections:
            writer.write(_BUSY)
            await near.close()
            return
        self._connections.add(task)
        try:
            await Forwarder(near, self._router, self._limits).serve()
        except asyncio.CancelledError:
            near.abort()
        finally:
            self._connections.discard(task)


def _identity(path: Path) -> tuple[int, int]:
    found = path.lstat()
    return found.st_dev, found.st_ino


def _bind_unix(path: Path, owner: tuple[int, int] | None) -> socket.socket:
    """The folder belongs to the sandbox, so nothing here follows a link, and the mode is set before the file exists."""
    if len(os.fsencode(path)) > _LONGEST_PATH_BYTES:
        raise UnavailableError(f"The socket path {path} is longer than the {_LONGEST_PATH_BYTES} bytes that the system allows.")
    sock = socket.socket(socket.AF_UNIX)
    try:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # elsewhere than on Linux the folder's mode protects the socket
            os.fchmod(sock.fileno(), 0o600)
        sock.bind(str(path))
        if owner is not None:
            os.chown(path, *owner, follow_symlinks=False)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise UnavailableError(f"The socket {path} cannot be made: {error.strerror}.") from error
    return sock
