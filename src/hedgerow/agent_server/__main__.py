"""`python -m hedgerow.agent_server`: listens first, and imports what it needs while the control plane is still busy."""

import asyncio
import contextlib
import signal
import sys
from typing import TYPE_CHECKING

from hedgerow.agent_server.configuration import Configuration, from_environment
from hedgerow.agent_server.http_server import HttpServer, Request, Response

if TYPE_CHECKING:
    from hedgerow.agent_server.application import Application

_FLUSH_AT_END_SECONDS = 5.0
_UNCLAIMED_SECONDS = 2 * 3600.0  # longer than any clone; a worker that was killed may have left a sandbox that nobody knows of


def main() -> int:
    """Serve until SIGTERM or SIGINT; the exit code."""
    try:
        configuration = from_environment()
    except ValueError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return asyncio.run(serve(configuration))


async def serve(configuration: Configuration) -> int:
    """Serve one run. The socket is there before anything else is imported; requests wait those few milliseconds."""
    application: asyncio.Future[Application] = asyncio.get_running_loop().create_future()

    async def answer(request: Request) -> Response:
        return await (await asyncio.shield(application))(request)

    server = HttpServer(answer)
    try:
        await server.listen(configuration.agent_socket)
    except OSError as error:
        sys.stderr.write(f"The agent server cannot listen on {configuration.agent_socket}: {error.strerror or error}.\n")
        return 1
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    return await _host_agent(configuration, server, application, ending)


async def _host_agent(
    configuration: Configuration, server: HttpServer, application: "asyncio.Future[Application]", ending: asyncio.Event
) -> int:
    from hedgerow.agent_server.application import Application
    from hedgerow.agent_server.host import Host
    from hedgerow.domain.clock import SystemClock

    try:
        host = Host(configuration, SystemClock())
    except OSError as error:
        sys.stderr.write(f"The spool {configuration.spool} cannot be used: {error.strerror or error}.\n")
        return 1
    host.reaper.start()
    served = Application(host)
    application.set_result(served)
    warming = asyncio.create_task(served.warm_up())
    asyncio.get_running_loop().call_later(_UNCLAIMED_SECONDS, lambda: None if host.begun else ending.set())
    await ending.wait()
    warming.cancel()
    await server.stop()
    with contextlib.suppress(OSError):
        configuration.agent_socket.unlink(missing_ok=True)
    await host.stop(_FLUSH_AT_END_SECONDS)
    return 0


if __name__ == "__main__":
    sys.exit(main())
