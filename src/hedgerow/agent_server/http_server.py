"""A small HTTP/1.1 server on a unix socket: it answers within milliseconds of the process's start."""

import asyncio
import contextlib
import json
import os
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httptools

BODY_LIMIT_BYTES = 32 * 1024 * 1024
_HEAD_LIMIT_BYTES = 64 * 1024
_REASONS = {
    200: "OK",
    202: "Accepted",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    409: "Conflict",
    413: "Content Too Large",
    500: "Internal Server Error",
    502: "Bad Gateway",
}


@dataclass(frozen=True, slots=True)
class Request:
    """A whole request. Header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: either a body, or a stream of pieces that ends with the connection."""

    status: int
    body: bytes = b""
    stream: AsyncGenerator[bytes, None] | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})


def json_response(status: int, document: Any) -> Response:
    """An answer with a JSON document."""
    return Response(status, json.dumps(document, separators=(",", ":")).encode())


Handler = Callable[[Request], Awaitable[Response]]


class HttpServer:
    """Serves `handler` on a socket file. Requests of one connection are answered in turn, connections side by side."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, socket: Path) -> None:
        """Listen on `socket`; a file that an earlier server left there is replaced."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(socket)  # noqa: PTH108 - before the first request there is nobody to wait for
        self._server = await asyncio.start_unix_server(self._accept, str(socket))

    async def stop(self) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            await self._serve(reader, writer)
        except (asyncio.CancelledError, OSError):
            pass  # cut by stop(), or by the other side
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming = _Incoming(writer)
        while True:
            while not incoming.whole and incoming.refusal is None:
                data = await reader.read(65536)
                if not data:
                    return
                incoming.feed(data)
            while incoming.whole:
                if not await self._answer(incoming.whole.popleft(), reader, writer):
                    return
            if incoming.refusal is not None:
                await _write(writer, incoming.refusal, keep_alive=False)
                return

    async def _answer(self, request: "_Whole", reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; whether the connection goes on."""
        response = await self._handler(request.request)
        if response.stream is None:
            await _write(writer, response, keep_alive=request.keep_alive)
            return request.keep_alive
        await _write_head(writer, response, {"Connection": "close"})
        await _stream(response.stream, reader, writer)
        return False


@dataclass(frozen=True, slots=True)
class _Whole:
    request: Request
    keep_alive: bool


class _Incoming:
    """Takes requests from the parser. What is too big or no HTTP at all becomes a refusal."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.whole: deque[_Whole] = deque()
        self.refusal: Response | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._writer = writer
        self.on_message_begin()

    def feed(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.refusal = self.refusal or json_response(400, {"error": "This is not an HTTP/1.1 request that can be answered here."})

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_size = self._body_size = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")
        self._count_head(len(name) + len(value))

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue":
            self._writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        self._body_size += len(data)
        if self._body_size > BODY_LIMIT_BYTES:
            self.refusal = json_response(413, {"error": f"The body must not be larger than {BODY_LIMIT_BYTES} bytes."})
            raise httptools.HttpParserError("too large")
        self._body.append(data)

    def on_message_complete(self) -> None:
        try:
            target = urlsplit(self._url.decode("latin-1"))
        except ValueError:
            self.refusal = json_response(400, {"error": "The path of the request cannot be read."})
            return
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, target.path, parse_qs(target.query), self._headers, b"".join(self._body))
        self.whole.append(_Whole(request, self._parser.should_keep_alive()))

    def _count_head(self, size: int) -> None:
        self._head_size += size
        if self._head_size > _HEAD_LIMIT_BYTES:
            self.refusal = json_response(400, {"error": "The head of the request is too large."})
            raise httptools.HttpParserError("too large")


async def _write(writer: asyncio.StreamWriter, response: Response, *, keep_alive: bool) -> None:
    extra = {"Content-Length": str(len(response.body)), "Connection": "keep-alive" if keep_alive else "close"}
    await _write_head(writer, response, extra, response.body)


async def _write_head(writer: asyncio.StreamWriter, response: Response, extra: Mapping[str, str], body: bytes = b"") -> None:
    lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Answer')}"]
    lines += [f"{name}: {value}" for name, value in {**response.headers, **extra}.items()]
    writer.write("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
    await writer.drain()


async def _stream(pieces: AsyncGenerator[bytes, None], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Write pieces until they end or the reader goes away; a reader that stops reading is not read for either."""
    writing = asyncio.create_task(_write_pieces(pieces, writer))
    leaving = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (writing, leaving):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, OSError):
                await task


async def _write_pieces(pieces: AsyncGenerator[bytes, None], writer: asyncio.StreamWriter) -> None:
    async with contextlib.aclosing(pieces):
        async for piece in pieces:
            writer.write(piece)
            await writer.drain()
