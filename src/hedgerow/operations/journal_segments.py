"""A stretch of a journal as an object: compressed JSON lines, one an event. What is written is read back before it counts."""

import asyncio
import hashlib
import zlib
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing
from datetime import datetime
from uuid import UUID, uuid4

import msgspec
import structlog

from hedgerow.domain.errors import NotFoundError, UnavailableError
from hedgerow.domain.journal import EventKind
from hedgerow.domain.journal_segments import KeptEvent, Segment, summarize
from hedgerow.operations.backends import Backends

log = structlog.get_logger()

SEGMENT_EVENTS = 4000
SEGMENT_BYTES = 1024 * 1024  # of texts, before they are compressed; an event that is larger is a segment of its own
CONTENT_TYPE = "application/gzip"

_LEVEL = 6
_GZIP = 16 + zlib.MAX_WBITS


class _Line(msgspec.Struct, frozen=True):
    number: int
    kind: int
    type: str
    timestamp: datetime | None
    text: str


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(_Line)


def encode(events: Sequence[KeptEvent]) -> bytes:
    """The object of a stretch of events. The same events always give the same bytes."""
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP)
    pieces = [packer.compress(_ENCODER.encode(_line(event)) + b"\n") for event in events]
    return b"".join((*pieces, packer.flush()))


def decode(data: bytes) -> Iterator[KeptEvent]:
    """The events of an object. Raises ValueError for bytes that are none."""
    try:
        lines = zlib.decompress(data, _GZIP).splitlines() if data else []
        for line in map(_DECODER.decode, lines):
            yield KeptEvent(line.number, EventKind(line.kind), line.type, line.timestamp, line.text)
    except (zlib.error, msgspec.MsgspecError) as problem:
        raise ValueError(str(problem)) from problem


def _line(event: KeptEvent) -> _Line:
    return _Line(event.number, event.kind.value, event.event_type, event.timestamp, event.text)


async def write(backends: Backends, run_id: UUID, path: str, events: Sequence[KeptEvent]) -> Segment:
    """Store a stretch of events as the object `path`, and read it back. Raises UnavailableError where that gives other bytes."""
    data = await asyncio.to_thread(encode, events)
    digest = hashlib.sha256(data).digest()
    await backends.storage.put(path, _pieces(data), content_type=CONTENT_TYPE)
    segment = Segment(
        first=events[0].number,
        last=events[-1].number,
        summary=summarize(events),
        storage_path=path,
        size_bytes=len(data),
        sha256=digest,
    )
    await _whole_data(backends, run_id, segment)
    return segment


async def read(backends: Backends, run_id: UUID, segment: Segment) -> list[KeptEvent]:
    """The events of a segment. Raises UnavailableError where its object is gone, or is not what was written."""
    data = await _whole_data(backends, run_id, segment)
    try:
        return await asyncio.to_thread(lambda: list(decode(data)))
    except ValueError as problem:
        raise _damaged(run_id, segment, str(problem)) from problem


async def _whole_data(backends: Backends, run_id: UUID, segment: Segment) -> bytes:
    try:
        data = await _data(backends, segment)
    except NotFoundError as problem:
        raise _damaged(run_id, segment, "there is no such object") from problem
    if hashlib.sha256(data).digest() != segment.sha256:
        raise _damaged(run_id, segment, "its bytes are not those that were written")
    return data


def _damaged(run_id: UUID, segment: Segment, reason: str) -> UnavailableError:
    log.error("an archived part of a journal is damaged", run_id=str(run_id), storage_path=segment.storage_path, reason=reason)
    message = f"The events {segment.first} to {segment.last} of this run cannot be read from the archive."
    return UnavailableError(message, detail_code="archive_damaged")


async def _data(backends: Backends, segment: Segment) -> bytes:
    """The bytes of an object; of one that has become longer, a few more than were written."""
    stored = await backends.storage.read(segment.storage_path)
    data = bytearray()
    async with aclosing(stored.pieces) as pieces:
        async for piece in pieces:
            data += piece
            if len(data) > segment.size_bytes:
                break
    return bytes(data)


def path_of(backends: Backends, run_id: UUID, first: int) -> str:
    """A path of its own for an attempt to archive the events of a run from `first` on."""
    return f"{backends.rules.artifacts.root}/journals/{run_id}/{first:012d}-{uuid4().hex}.jsonl.gz"


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 256 * 1024):
        yield data[start : start + 256 * 1024]
