"""A reader of an endless answer: httpx's ASGI transport waits for the end of an answer, this does not."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import ASGIApp, Message


class Reading:
    """An answer as it arrives."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[Message] = asyncio.Queue()
        self.status = 0
        self.headers: dict[str, str] = {}
        self._text = ""

    async def start(self) -> None:
        """Wait for the status and the headers."""
        message = await self.messages.get()
        self.status = message["status"]
        self.headers = {name.decode(): value.decode() for name, value in message["headers"]}

    async def piece(self) -> bytes | None:
        """The next piece of the body; None after the last."""
        message = await self.messages.get()
        return message["body"] if message["body"] or message.get("more_body") else None

    async def frame(self) -> dict[str, str] | None:
        """The next event of a stream, comments left out; None at the end."""
        while True:
            block, found, rest = self._text.partition("\n\n")
            if found:
                self._text = rest
                if not block.startswith(":"):
                    return dict(line.split(": ", 1) for line in block.split("\n"))
                continue
            async with asyncio.timeout(15):
                piece = await self.piece()
            if piece is None:
                assert not self._text, "the stream ended in the middle of a frame"
                return None
            self._text += piece.decode()

    async def rest(self) -> list[dict[str, str]]:
        """Every event until the end."""
        frames = []
        while (frame := await self.frame()) is not None:
            frames.append(frame)
        return frames


@asynccontextmanager
async def reading(app: ASGIApp, path: str, headers: dict[str, str], query: str = "") -> AsyncIterator[Reading]:
    """Call `app` and read its answer as it arrives; the client leaves when the block ends."""
    answer, left = Reading(), asyncio.Event()
    asked = False

    async def receive() -> Message:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        await answer.messages.put(message)

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        "client": ("127.0.0.1", 1),
        "server": ("hedgerow.test", 80),
    }
    serving = asyncio.ensure_future(app(scope, receive, send))
    try:
        async with asyncio.timeout(15):
            await answer.start()
        yield answer
    finally:
        left.set()
        async with asyncio.timeout(15):
            await serving
