"""HTTP to the control plane through the gate's socket: one connection, one request at a time."""

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import httptools

_ANSWER_LIMIT_BYTES = 16 * 1024 * 1024


class GateUnreachableError(Exception):
    """The control plane did not answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the control plane said."""

    status: int
    body: bytes


class GateClient:
    """A client that keeps its connection as long as the other side does."""

    def __init__(self, socket: Path, *, timeout_seconds: float = 30.0) -> None:
        self._socket = socket
        self._timeout_seconds = timeout_seconds
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, path: str, body: bytes, headers: Mapping[str, str], *, into: BinaryIO | None = None) -> Answer:
        """Send one request with a JSON body; GateUnreachableError where no whole answer comes in time.

        A kept connection that turns out to be dead is replaced once: the server may have closed it while it was idle. A file takes the
        body of a success as it comes, in place of the answer, however long it is; then the time is that between two pieces.
        """
        head = [f"{method} {path} HTTP/1.1", "Host: control-plane", "Content-Type: application/json", f"Content-Length: {len(body)}"]
        message = "\r\n".join([*head, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode() + body
        for reused in (True, False) if self._streams is not None else (False,):
            try:
                async with asyncio.timeout(self._timeout_seconds) as patience:
                    return await self._exchange(message, patience, into)
            except _Unwritable as error:
                self.close()
                raise error.reason from error
            except (OSError, EOFError, TimeoutError, httptools.HttpParserError) as error:
                self.close()
                if into is not None:
                    into.seek(0)
                    into.truncate()
                if not reused or isinstance(error, TimeoutError):
                    raise GateUnreachableError(f"The control plane did not answer: {error or type(error).__name__}.") from error
        raise AssertionError("the last attempt either answers or raises")

    def close(self) -> None:
        """Let the connection go."""
        if self._streams is not None:
            with contextlib.suppress(RuntimeError):  # the loop may be closed by now
                self._streams[1].close()
        self._streams = None

    async def _exchange(self, message: bytes, patience: asyncio.Timeout, into: BinaryIO | None) -> Answer:
        if self._streams is None:
            self._streams = await asyncio.open_unix_connection(str(self._socket))
        reader, writer = self._streams
        writer.write(message)
        await writer.drain()
        collector = _Collector(into)
        parser = collector.parser
        while not collector.complete:
            data = await reader.read(65536)
            if not data:
                raise EOFError("the connection ended before the answer")
            try:
                parser.feed_data(data)
            except httptools.HttpParserCallbackError as error:
                raise error.__context__ or error from error
            if into is not None:
                patience.reschedule(asyncio.get_running_loop().time() + self._timeout_seconds)
        if not parser.should_keep_alive():
            self.close()
        return Answer(parser.get_status_code(), b"".join(collector.pieces))


class _Unwritable(Exception):  # noqa: N818 - carries the error of a file past those of the connection
    def __init__(self, reason: OSError) -> None:
        super().__init__(str(reason))
        self.reason = reason


class _Collector:
    """Takes an answer's body from the parser."""

    def __init__(self, into: BinaryIO | None) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self._into = into
        self.pieces: list[bytes] = []
        self.complete = False
        self._size = 0

    def on_body(self, data: bytes) -> None:
        if self._into is not None and self.parser.get_status_code() < 300:
            try:
                self._into.write(data)
            except OSError as error:
                raise _Unwritable(error) from error
            return
        self._size += len(data)
        if self._size > _ANSWER_LIMIT_BYTES:
            raise EOFError("the answer is too long")
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        self.complete = True
