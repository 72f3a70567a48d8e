"""HTTP/1.1 messages on a byte stream: read with a strict parser and a bound on everything, written anew (RFC 9112).

A message that passes the gate is never copied as it came: it is parsed, and what was understood is written again, so that both ends
of the gate see the same borders.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass

import httptools

Headers = list[tuple[bytes, bytes]]

_READ_BYTES = 65536
_HOP_BY_HOP = frozenset({b"connection", b"keep-alive", b"te", b"trailer", b"transfer-encoding", b"upgrade"})
_NO_CONTENT, _NOT_MODIFIED = 204, 304


class Refusal(Exception):  # noqa: N818 - an answer, not a fault of the gate
    """A message may not pass. `status` and `sentence` are the answer that it deserves."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class Gone(Exception):  # noqa: N818 - an end, not an error
    """The other side has closed the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds on what one side may ask of the gate."""

    head_bytes: int = 32768  # request line and headers; with a read's worth of slack
    head_seconds: float = 10.0  # from its first byte to its last
    idle_seconds: float = 300.0  # between two messages of one connection
    stall_seconds: float = 60.0  # without any progress in a body that is due, or in taking an answer
    connect_seconds: float = 10.0
    tunnel_idle_seconds: float = 3600.0  # without a byte in either direction
    connections: int = 128  # at one time, of one socket


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first part of a message: of a request (`method`, `target`) or of a response (`status`)."""

    headers: Headers
    method: bytes = b""
    target: bytes = b""
    status: int = 0
    version: str = "1.1"
    keep_alive: bool = True

    def value(self, name: bytes) -> bytes | None:
        """The first header of a lower-case name."""
        return next((value for key, value in self.headers if key.lower() == name), None)

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        return self.value(b"transfer-encoding") is not None

    def require_plain_framing(self) -> None:
        """Raise Refusal where the body is transferred in another coding than chunks: the gate would have to undo it."""
        if self.chunked and (self.value(b"transfer-encoding") or b"").strip().lower() != b"chunked":
            raise Refusal(501, "Only 'chunked' is understood as a transfer coding.")


def end_to_end(headers: Headers, *, drop: Iterable[bytes] = ()) -> Headers:
    """The headers that belong to the message and not to one connection (RFC 9110, 7.6.1), without those of `drop`."""
    named = {token.strip().lower() for key, value in headers if key.lower() == b"connection" for token in value.split(b",")}
    unwanted = _HOP_BY_HOP | named | set(drop)
    return [(key, value) for key, value in headers if key.lower() not in unwanted and not key.lower().startswith(b"proxy-")]


def encode_head(first_line: bytes, headers: Headers) -> bytes:
    """The bytes of a message's first part."""
    return b"\r\n".join([first_line, *(key + b": " + value for key, value in headers), b"", b""])


def encode_chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


class MessageReader:
    """Reads one message after the other from a stream; nothing is read ahead beyond one read's worth."""

    def __init__(self, stream: asyncio.StreamReader, limits: Limits, *, responses: bool = False) -> None:
        self._stream = stream
        self._limits = limits
        self._responses = responses
        self._parser = httptools.HttpResponseParser(self) if responses else httptools.HttpRequestParser(self)
        self._events: deque[Head | bytes | None] = deque()  # a head, pieces of its body, None at its end
        self._target = b""
        self._headers: Headers = []
        self._in_head = False
        self._head_bytes = 0
        self._ended = False
        self._upgraded = False  # asked for another protocol: no further message is read
        self._until_close = False
        self.rest = b""  # what followed a message after which the connection is no longer HTTP

    async def head(self, *, wait_seconds: float | None) -> Head:
        """The next message's first part. Waits `wait_seconds` for its first byte (None: for ever).

        Raises Gone where the other side has closed, or said nothing for so long; Refusal for a bad or a slow message.
        """
        if not self._events and not self._in_head:
            try:
                async with asyncio.timeout(wait_seconds):
                    await self._fill()
            except TimeoutError:
                raise Gone from None
        try:
            async with asyncio.timeout(self._limits.head_seconds):
                return await self._whole_head()
        except TimeoutError:
            raise Refusal(408, "The head of the message took too long to arrive.") from None

    async def body(self) -> AsyncIterator[bytes]:
        """The pieces of the present message's body, as they arrive. Raises Gone where it ends too early."""
        while True:
            pieces = []
            while self._events and isinstance(event := self._events[0], bytes):
                pieces.append(event)
                self._events.popleft()
            if pieces:
                yield b"".join(pieces)
            elif self._events:
                self._events.popleft()
                return
            else:
                await self._fill_body()

    async def closed(self) -> None:
        """Return once the other side has closed the connection or sent nonsense; a next message is kept, and then waits for its turn."""
        try:
            while not self._events:
                await self._fill()
        except (Gone, Refusal):
            if not self._upgraded:
                return
            while await self._stream.read(_READ_BYTES):
                pass
            return
        await asyncio.Event().wait()

    @property
    def reusable(self) -> bool:
        """Whether a next message may come: the last one was complete and nothing speaks against it."""
        return not (self._ended or self._until_close or self._events or self._stream.at_eof())

    async def _whole_head(self) -> Head:
        while not self._events:
            await self._fill()
        head = self._events.popleft()
        assert isinstance(head, Head), "a message begins with its head"
        return head

    async def _fill_body(self) -> None:
        if self._responses:
            await self._fill()  # an answer may take its time: a turn of an agent, a stream of events
            return
        try:
            async with asyncio.timeout(self._limits.stall_seconds):
                await self._fill()
        except TimeoutError:
            raise Refusal(408, "The body of the message stalled.") from None

    async def _fill(self) -> None:
        """Read once and parse it. Raises Gone at the end of the stream, unless that is the end of the message."""
        if self._ended:
            raise Gone
        try:
            data = await self._stream.read(_READ_BYTES)
        except OSError:
            self._ended = True
            raise Gone from None
        if data:
            self._parse(data)
        else:
            self._finish()

    def _finish(self) -> None:
        self._ended = True
        if not self._until_close:
            raise Gone
        self._until_close = False
        self._events.append(None)

    def _parse(self, data: bytes) -> None:
        was_in_head = self._in_head
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ended = self._upgraded = True
            self.rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._ended = True
            raise Refusal(400, f"This is not well-formed HTTP/1.1: {error}") from error
        self._head_bytes = self._head_bytes + len(data) if was_in_head else 0
        if self._head_bytes > self._limits.head_bytes:
            self._ended = True
            raise Refusal(431, f"The head of the message is longer than {self._limits.head_bytes} bytes.")

    # What the parser calls.

    def on_message_begin(self) -> None:
        """A message begins."""
        self._target, self._headers, self._in_head = b"", [], True

    def on_url(self, part: bytes) -> None:
        """A part of a request's target."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or after the body a trailer, which is dropped."""
        if self._in_head:
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._in_head = False
        head = self._present_head()
        bodiless = head.status in (_NO_CONTENT, _NOT_MODIFIED) or 100 <= head.status < 200
        self._until_close = self._responses and not bodiless and not head.chunked and head.value(b"content-length") is None
        self._events.append(head)

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self._events.append(data)

    def on_message_complete(self) -> None:
        """The message is whole."""
        self._until_close = False
        self._events.append(None)

    def _present_head(self) -> Head:
        parser = self._parser
        version, keep_alive = parser.get_http_version(), parser.should_keep_alive()
        if isinstance(parser, httptools.HttpResponseParser):
            return Head(headers=self._headers, status=parser.get_status_code(), version=version, keep_alive=keep_alive)
        return Head(headers=self._headers, method=parser.get_method(), target=self._target, version=version, keep_alive=keep_alive)
