"""One connection to the gate: each request on it is routed, passed on, and its answer passed back as it comes."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from http import HTTPStatus

import orjson

from hedgerow.gate.messages import Gone, Head, Headers, Limits, MessageReader, Refusal, encode_chunk, encode_head, end_to_end
from hedgerow.gate.streams import Connection, relay

_LINGER_SECONDS = 1.0
_LINGER_BYTES = 16 * 1024 * 1024
_FRESH_SECONDS = 2.0  # servers close idle connections after some seconds; one that is younger is safe to use again
_UNTRUSTED = frozenset({b"host", b"expect", b"forwarded", b"x-real-ip"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """Where a request goes."""

    key: Hashable  # requests of equal keys may share a connection
    connect: Callable[[], Awaitable[Connection]]  # raises OSError
    target: bytes
    host: bytes
    away: str  # what to say where it does not answer


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A connection that passes bytes and is not looked into."""

    far: Connection


@dataclass(frozen=True, slots=True)
class Reply:
    """What the gate itself answers: JSON."""

    body: bytes


Router = Callable[[Head], Awaitable[Route | Tunnel | Reply]]  # raises Refusal


@dataclass(slots=True)
class _Upstream:
    key: Hashable
    connection: Connection
    answers: MessageReader
    used_at: float

    def fits(self, key: Hashable) -> bool:
        return self.key == key and self.answers.reusable and time.monotonic() - self.used_at < _FRESH_SECONDS


class Forwarder:
    """Serves one connection until either side ends it."""

    def __init__(self, near: Connection, router: Router, limits: Limits) -> None:
        self._near = near
        self._router = router
        self._limits = limits
        self._requests = MessageReader(near.reader, limits)
        self._upstream: _Upstream | None = None
        self._answer_begun = False
        self._request_taken = True

    async def serve(self) -> None:
        """Pass requests on, one after the other."""
        try:
            while await self._serve_next():
                pass
            await self._part()
        except Refusal as refusal:
            await self._refuse(refusal)
        except (Gone, OSError):
            self._near.abort()
        finally:
            await self._leave_upstream()

    async def _serve_next(self) -> bool:
        """Serve one request. Returns whether another may follow on this connection."""
        self._answer_begun = False
        try:
            head = await self._requests.head(wait_seconds=self._limits.idle_seconds)
        except Gone:
            return False
        self._request_taken = False
        head.require_plain_framing()
        route = await self._router(head)
        if isinstance(route, Tunnel):
            await self._tunnel(route)
            return False
        if isinstance(route, Reply):
            return await self._reply(head, route)
        upstream = await self._reach(route)
        return await self._exchange(head, route, upstream)

    async def _reply(self, head: Head, reply: Reply) -> bool:
        async for _ in self._requests.body():
            pass
        self._request_taken = self._answer_begun = True
        keep = head.keep_alive and head.version == "1.1"
        headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(reply.body))]
        await self._send(encode_head(_status_line(200), [*headers, *([] if keep else [(b"Connection", b"close")])]) + reply.body)
        return keep

    async def _tunnel(self, tunnel: Tunnel) -> None:
        try:
            await self._send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            self._answer_begun = self._request_taken = True
            tunnel.far.writer.write(self._requests.rest)
            await relay(self._near, tunnel.far, idle_seconds=self._limits.tunnel_idle_seconds)
        finally:
            await tunnel.far.close()

    async def _reach(self, route: Route) -> _Upstream:
        """The connection to where a request goes: the last one again where that is safe."""
        if self._upstream is not None and self._upstream.fits(route.key):
            return self._upstream
        await self._leave_upstream()
        try:
            connection = await route.connect()
        except OSError as error:
            raise Refusal(502, route.away) from error
        self._upstream = _Upstream(route.key, connection, MessageReader(connection.reader, self._limits, responses=True), time.monotonic())
        return self._upstream

    async def _leave_upstream(self) -> None:
        if self._upstream is not None:
            self._upstream.connection.abort()
            self._upstream = None

    async def _exchange(self, head: Head, route: Route, upstream: _Upstream) -> bool:
        """Pass the request on and the answer back at the same time; the client's leaving ends both."""
        upload = asyncio.create_task(self._pass_request(head, route, upstream))
        download = asyncio.create_task(self._pass_answer(head, route, upstream))
        try:
            await asyncio.wait({upload, download}, return_when=asyncio.FIRST_COMPLETED)
            if not download.done():
                upload.result()
                raise Gone
            return download.result() and self._request_taken
        except (Refusal, Gone, OSError):
            await self._leave_upstream()  # at once: what was sent so far is no request
            raise
        finally:
            upload.cancel()
            download.cancel()
            await asyncio.gather(upload, download, return_exceptions=True)

    async def _pass_request(self, head: Head, route: Route, upstream: _Upstream) -> None:
        """Returns once the client has gone."""
        try:
            await self._send_request(head, route, upstream.connection)
        except OSError:
            await asyncio.Event().wait()  # the other side takes no more: its answer, or the lack of one, decides
        self._request_taken = True
        await self._requests.closed()

    async def _send_request(self, head: Head, route: Route, far: Connection) -> None:
        framing: Headers = [(b"Transfer-Encoding", b"chunked")] if head.chunked else []
        forwarded = {name.lower() for name, _ in head.headers if name.lower().startswith(b"x-forwarded-")}
        headers = [(b"Host", route.host), *end_to_end(head.headers, drop=_UNTRUSTED | forwarded), *framing]
        far.writer.write(encode_head(b"%b %b HTTP/1.1" % (head.method, route.target), headers))
        if (head.value(b"expect") or b"").lower() == b"100-continue":
            await self._send(b"HTTP/1.1 100 Continue\r\n\r\n")
        async for piece in self._requests.body():
            await far.send(encode_chunk(piece) if head.chunked else piece, stall_seconds=self._limits.stall_seconds)
        if head.chunked:
            far.writer.write(b"0\r\n\r\n")

    async def _pass_answer(self, request: Head, route: Route, upstream: _Upstream) -> bool:
        """Returns whether both connections can be used again."""
        answer = await self._answer(route, upstream.answers)
        bodiless = request.method == b"HEAD" or answer.status in (204, 304)
        chunked = not bodiless and answer.value(b"content-length") is None
        keep = request.keep_alive and request.version == "1.1"
        self._answer_begun = True
        await self._send(_answer_head(answer, chunked=chunked and request.version == "1.1", keep=keep))
        if request.method == b"HEAD":
            await self._leave_upstream()  # the parser would wait for the body that the header announces
            return keep
        async for piece in upstream.answers.body():
            await self._send(encode_chunk(piece) if chunked and request.version == "1.1" else piece)
        if chunked and request.version == "1.1":
            await self._send(b"0\r\n\r\n")
        upstream.used_at = time.monotonic() if answer.keep_alive else 0.0
        return keep

    async def _answer(self, route: Route, answers: MessageReader) -> Head:
        """The first part of the final answer: interim ones are for the gate alone."""
        try:
            while (head := await answers.head(wait_seconds=None)).status < 200:
                if head.status == HTTPStatus.SWITCHING_PROTOCOLS:
                    raise Gone
                async for _ in answers.body():
                    pass
            head.require_plain_framing()
        except (Gone, Refusal) as error:
            raise Refusal(502, route.away) from error
        return head

    async def _send(self, data: bytes) -> None:
        await self._near.send(data, stall_seconds=self._limits.stall_seconds)

    async def _refuse(self, refusal: Refusal) -> None:
        if self._answer_begun:
            self._near.abort()
            return
        with contextlib.suppress(OSError):
            await self._send(_refusal(refusal))
        self._request_taken = False
        await self._part()

    async def _part(self) -> None:
        """End the connection; where the client is still sending, take that for a moment, so that it gets to read its answer."""
        with contextlib.suppress(OSError):
            if not self._request_taken:
                await self._linger()
        await self._near.close()

    async def _linger(self) -> None:
        self._near.writer.write_eof()
        taken = 0
        async with asyncio.timeout(_LINGER_SECONDS):
            while taken < _LINGER_BYTES and (data := await self._near.reader.read(65536)):
                taken += len(data)


def _answer_head(answer: Head, *, chunked: bool, keep: bool) -> bytes:
    headers = end_to_end(answer.headers)
    if chunked:
        headers.append((b"Transfer-Encoding", b"chunked"))
    if not keep:
        headers.append((b"Connection", b"close"))
    return encode_head(_status_line(answer.status), headers)


def _refusal(refusal: Refusal) -> bytes:
    body = orjson.dumps({"error": refusal.sentence})
    headers = [(b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)), (b"Connection", b"close")]
    return encode_head(_status_line(refusal.status), headers) + body


def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    return f"HTTP/1.1 {status} {phrase}".encode()
