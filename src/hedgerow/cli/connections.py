"""One connection to the API: uvicorn's, with bounds for what a client sends before its request is known, and for its pace.

uvicorn itself waits for ever for the end of a head, keeps it however large it grows, and leaves an answer to whoever does not read.
"""

import asyncio
import json
from dataclasses import dataclass
from uuid import uuid4

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

HEAD_BYTES = 64 * 1024
"""The most that a request's address, or its headers, may have."""

PACE_BYTES = 64 * 1024
"""What a slow client must read, each time that its patience is measured, to keep its connection."""

_HEADERS_TOO_LARGE = (431, "header_fields_too_large", f"The headers may have at most {HEAD_BYTES} bytes.")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client may take."""

    reader_seconds: float = 30.0
    sender_seconds: float = 30.0
    linger_seconds: float = 2.0  # how long a refused client may still send, so that it gets to reading the refusal


class _HeadTooLargeError(Exception):
    """Stops the parser."""


class Connection(HttpToolsProtocol):
    """Refuses heads that are too large or too slow, in the shape of the API's errors, and cuts off clients that stall."""

    patience = Patience()

    _head_bytes = 0
    _raw_bytes = 0
    _in_message = False  # a request has begun and has not come as a whole
    _refusal: tuple[int, str, str] | None = None
    _refused = False
    _head_timer: asyncio.TimerHandle | None = None
    _rest_timer: asyncio.TimerHandle | None = None
    _write_timer: asyncio.TimerHandle | None = None
    _unread = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._head_timer, self._rest_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    # What comes in

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if self._head_timer is None or self._refused:
            return
        self._raw_bytes += len(data)  # the parser tells nobody of a header before its end
        if self._raw_bytes > 2 * HEAD_BYTES:
            self._refusal = _HEADERS_TOO_LARGE
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._in_message, self._head_bytes, self._raw_bytes = True, 0, 0
        if self._head_timer is None:
            self._await_head()
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > HEAD_BYTES:
            self._refusal = (414, "uri_too_long", f"The address may have at most {HEAD_BYTES} bytes.")
            raise _HeadTooLargeError

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES:
            self._refusal = _HEADERS_TOO_LARGE
            raise _HeadTooLargeError
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._stop_head_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_message = False
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None
        super().on_message_complete()

    def _await_head(self) -> None:
        self._head_timer = self.loop.call_later(self.patience.sender_seconds, self._head_is_late)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._in_message:
            self.transport.close()  # a client that never said a word
            return
        self._refusal = (408, "request_timeout", f"The head of the request did not come within {self.patience.sender_seconds:g} seconds.")
        self.send_400_response("")

    # What goes out

    def send_400_response(self, msg: str) -> None:
        """The answer to what is no request that a route could answer: an E1 body, then the end of the connection."""
        status, code, detail = self._refusal or (400, "parse_error", "This is not HTTP.")
        self._refused = True
        self._stop_head_timer()
        body = json.dumps({"type": "invalid_request", "code": code, "detail": detail, "attr": None}).encode()
        head = b"content-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\nx-request-id: %b\r\n\r\n"
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + head % (len(body), uuid4().hex.encode()) + body)
        self.loop.call_later(self.patience.linger_seconds, self.transport.close)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._in_message and self._rest_timer is None and not self.transport.is_closing():
            # The answer did not need the whole body: what is still to come is not waited for without end.
            self._rest_timer = self.loop.call_later(self.patience.sender_seconds, self.transport.close)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread = self.transport.get_write_buffer_size()
        self._write_timer = self.loop.call_later(self.patience.reader_seconds, self._look_at_reader)

    def resume_writing(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size() and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.patience.reader_seconds, self.transport.abort)

    def _look_at_reader(self) -> None:
        unread = self.transport.get_write_buffer_size()
        if self._unread - unread >= PACE_BYTES:
            self._unread = unread
            self._write_timer = self.loop.call_later(self.patience.reader_seconds, self._look_at_reader)
            return
        path = self.scope["path"] if self.scope is not None else ""
        log.warning("a reader does not read and is closed", path=path, stalled_seconds=self.patience.reader_seconds)
        self.transport.abort()


def connections(patience: Patience) -> type[Connection]:
    """The class of connections with that patience, which uvicorn makes one of for each client."""

    class PatientConnection(Connection):
        pass

    PatientConnection.patience = patience
    return PatientConnection
