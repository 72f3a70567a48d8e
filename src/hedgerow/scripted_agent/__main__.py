"""`python -m hedgerow.scripted_agent`: speaks ACP on its standard streams until they are closed."""

import asyncio
import os
import stat
import sys

from hedgerow.acp_lines import LINE_LIMIT_BYTES, LineTransport, connection_class
from hedgerow.scripted_agent.agent import ScriptedAgent


def main() -> None:
    """Serve one client."""
    asyncio.run(serve())


async def serve() -> None:
    """Speak ACP on the standard streams of this process."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=LINE_LIMIT_BYTES)
    kind = os.fstat(sys.stdin.fileno()).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or sys.stdin.isatty()):
        reader.feed_data(sys.stdin.buffer.read())  # a file, or nothing: no event loop can wait for that
        reader.feed_eof()
    else:
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin.buffer)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout.buffer)
    transport.set_write_buffer_limits(high=0)  # what was sent is out, also when the script lets the process die next
    agent = ScriptedAgent()
    lines = LineTransport(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    agent.connection = connection_class()(agent.handle, lines, listening=False)
    await agent.connection.main_loop()
    await agent.close()


if __name__ == "__main__":
    main()
