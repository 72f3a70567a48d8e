"""Frames of a stream."""

from hedgerow.api.sse import batch_bytes, frame_bytes
from hedgerow.domain.journal import EventKind, JournalEvent, Preview
from hedgerow.operations.streams import Keepalive, StreamError


def test_a_stored_event_carries_its_number() -> None:
    assert frame_bytes(JournalEvent(7, EventKind.ENTRY, '{"a":"é"}')) == 'id: 7\ndata: {"a":"é"}\n\n'.encode()


def test_a_preview_carries_no_id() -> None:
    assert frame_bytes(Preview(3, "{}")) == b"data: {}\n\n"


def test_only_the_first_keepalive_carries_the_head() -> None:
    assert frame_bytes(Keepalive()) == b'event: keepalive\ndata: {"type":"keepalive"}\n\n'
    assert frame_bytes(Keepalive(head=0)) == b'event: keepalive\nid: 0\ndata: {"type":"keepalive"}\n\n'


def test_an_error_is_an_event_of_its_own() -> None:
    assert frame_bytes(StreamError("broken\nhere")) == b'event: error\ndata: {"error":"broken\\nhere"}\n\n'


def test_a_batch_is_its_frames_in_order() -> None:
    assert batch_bytes([Preview(1, "1"), Preview(1, "2")]) == b"data: 1\n\ndata: 2\n\n"
