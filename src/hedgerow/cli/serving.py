"""Serves an ASGI application on a socket inside a running loop, until it is told to stop."""

import asyncio
import contextlib
import errno
import signal
import socket
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from hedgerow.cli.connections import Patience, connections
from hedgerow.cli.leaving import EndsStreams
from hedgerow.domain.errors import UnavailableError

_GRACE_SECONDS = 3
_BACKLOG = 2048
_USUAL_PATIENCE = Patience()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises UnavailableError naming a port in use, or an address that is not this machine's."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except OSError as problem:
        raise UnavailableError(f"The address {host} is not known: {problem.strerror}.") from problem
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as problem:
        listener.close()
        raise UnavailableError(_why_not(host, port, problem)) from problem
    listener.setblocking(False)
    return listener


def _why_not(host: str, port: int, problem: OSError) -> str:
    if problem.errno == errno.EADDRINUSE:
        return f"Port {port} of {host} is in use: stop what listens there, or take another with --port or HEDGEROW_PORT."
    if problem.errno == errno.EACCES:
        return f"This account may not listen on port {port}: take one above 1023 with --port or HEDGEROW_PORT."
    return f"hedgerow cannot listen on {host} port {port}: {problem.strerror}."


async def serve(
    app: ASGIApp, listener: socket.socket, stop: asyncio.Event, started: Callable[[], None], patience: Patience = _USUAL_PATIENCE
) -> None:
    """Serve until `stop` is set; calls `started` once requests are answered. Open streams are given a moment to end."""
    config = uvicorn.Config(
        EndsStreams(app, stop),
        http=connections(patience),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=75,
    )
    server = _Server(config, started)
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({serving, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        server.should_exit = True
        await serving


class _Server(uvicorn.Server):
    """uvicorn, but for signals: they are the command's own, since the server is not all that it runs."""

    def __init__(self, config: uvicorn.Config, on_start: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.contextmanager
def stopped_by_signals(stop: asyncio.Event) -> Iterator[None]:
    """Set `stop` at SIGTERM or SIGINT; a second SIGINT ends the process as it would without us."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        if stop.is_set():
            loop.remove_signal_handler(signal.SIGINT)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
