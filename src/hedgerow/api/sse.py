"""The framing of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as contract 8.1 wants it."""

from collections.abc import Iterable

from hedgerow.api.json_bytes import to_json
from hedgerow.domain.journal import JournalEvent, Preview
from hedgerow.operations.streams import Frame, Keepalive, StreamError

GREETING = b": hedgerow\n\n"
"""A comment: it tells the client that the stream stands, before there is an event."""

_KEEPALIVE_DATA = b'data: {"type":"keepalive"}\n\n'


def frame_bytes(frame: Frame) -> bytes:
    """One frame of a stream. Stored events carry their number as id, a first keepalive the journal's head; nothing else has an id."""
    match frame:
        case JournalEvent(number=number, text=text):
            return b"id: %d\ndata: %b\n\n" % (number, text.encode())
        case Preview(text=text):
            return b"data: %b\n\n" % text.encode()
        case Keepalive(head=head):
            return b"event: keepalive\n" + (b"" if head is None else b"id: %d\n" % head) + _KEEPALIVE_DATA
        case StreamError(message=message):
            return b"event: error\ndata: %b\n\n" % to_json({"error": message})


def batch_bytes(batch: Iterable[Frame]) -> bytes:
    """Several frames, to be written at once."""
    return b"".join([frame_bytes(frame) for frame in batch])
