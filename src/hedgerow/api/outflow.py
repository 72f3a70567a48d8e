"""Answers that leave in pieces: logs and streams. Whoever leaves, or does not read, is let go."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hedgerow.api.front import ABORT
from hedgerow.domain.errors import HedgerowError

_log = structlog.get_logger()


class Outflow(Response):
    """An answer whose body is an iterator of pieces, which is closed in the end, however that comes.

    `begun` are those that were taken from it already; none is held once it is sent. A client that leaves a piece unread for
    `stall_seconds` is cut off.
    """

    def __init__(
        self,
        pieces: AsyncIterator[bytes],
        *,
        media_type: str,
        stall_seconds: float,
        headers: Mapping[str, str] | None = None,
        begun: Iterable[bytes] = (),
    ) -> None:
        self.pieces = pieces
        self.begun = deque(begun)
        self.stall_seconds = stall_seconds
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers({"content-type": media_type, **(headers or {})})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send until the pieces end, the client leaves, or the client stalls."""
        sending = asyncio.ensure_future(self._send_all(send))
        leaving = asyncio.ensure_future(_client_leaves(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        except TimeoutError:
            _log.warning("a reader does not read and is closed", path=scope["path"], stalled_seconds=self.stall_seconds)
            _cut(scope)
        except HedgerowError as problem:
            # Half an answer is out: only a cut connection tells the client.
            _log.warning("an answer broke off", path=scope["path"], reason=problem.message)
            if not _cut(scope):
                raise
        finally:
            await _ended(sending)
            await _ended(leaving)
            await close(self.pieces)

    async def _send_all(self, send: Send) -> None:
        await self._send(send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}))
        while self.begun:
            await self._send(send({"type": "http.response.body", "body": self.begun.popleft(), "more_body": True}))
        async for piece in self.pieces:
            await self._send(send({"type": "http.response.body", "body": piece, "more_body": True}))
        await self._send(send({"type": "http.response.body", "body": b"", "more_body": False}))

    async def _send(self, sent: Awaitable[None]) -> None:
        async with asyncio.timeout(self.stall_seconds):
            await sent


def _cut(scope: Scope) -> bool:
    """Cut the connection at once; False where the server does not let us."""
    abort = scope.get(ABORT)
    if abort is None:
        return False
    abort()
    return True


async def _client_leaves(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ended(task: asyncio.Future[None]) -> None:
    task.cancel()
    await asyncio.wait({task})


async def close(iterator: AsyncIterator[object]) -> None:
    """Let an iterator that is not needed any more clean up, where it can."""
    if isinstance(iterator, AsyncGenerator):
        await iterator.aclose()


async def pieces_response(pieces: AsyncIterator[bytes], *, media_type: str, stall_seconds: float, headers: Mapping[str, str]) -> Response:
    """An answer of `pieces`: whole where there is one at most, flowing where there are more.

    What the iterator raises before its first piece is raised here, so that it still can be told with a status.
    """
    first = await anext(pieces, b"")
    second = await anext(pieces, None)
    if second is None:
        await close(pieces)
        # Not as Response's media_type, which claims UTF-8 for any text.
        return Response(first, headers={"content-type": media_type, **headers})
    return Outflow(pieces, media_type=media_type, stall_seconds=stall_seconds, headers=headers, begun=(first, second))
