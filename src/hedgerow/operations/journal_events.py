"""Where the events of a journal come from: the table, the archive, or, where they are lost, a word that says so.

A sound table is read in large pages, each looked through by a quick parser; whatever else there is, `after` finds.
"""

import asyncio
import json
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from functools import partial
from io import BytesIO
from typing import NamedTuple
from uuid import UUID

import msgspec
import structlog

from hedgerow.db import journal, journal_archives, journal_texts
from hedgerow.db.database import BulkConnection
from hedgerow.db.journal_texts import EntryLines, PageSize
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.journal import EventKind, JournalEvent, event_type, integer, notification
from hedgerow.domain.journal_segments import KeptEvent, unbroken
from hedgerow.operations import journal_segments
from hedgerow.operations.backends import Backends

log = structlog.get_logger()

DAMAGED = "_hedgerow/journal_damaged"
"""The method of the entry that stands where events are lost."""

_PAGE_EVENTS = 500
_PAGE_BYTES = 1024 * 1024
_AHEAD = 2
_MOST_LOOKS = 5


class _Object(msgspec.Struct, gc=False):
    """Any JSON object: what it holds is parsed and left out."""


_OBJECTS = msgspec.json.Decoder(_Object)
_ANY_JSON = msgspec.json.Decoder(msgspec.Raw)


async def after(backends: Backends, run_id: UUID, number: int) -> list[KeptEvent]:
    """The next events after a number, in order and without gaps: a page of them, empty at the end of the journal.

    A journal that was removed begins with the event that tells of it. An event that is missing, or is no line of JSON, comes as an entry
    that says so; its number is that of the last event that it stands for. Raises UnavailableError where the archive cannot be read.
    """
    for _ in range(_MOST_LOOKS):
        async with backends.database.statement() as tx:
            rows = unbroken(await journal.read_kept(tx, run_id, number, _PAGE_EVENTS, _PAGE_BYTES), number)
        if rows:
            return [_sound(backends, run_id, event) for event in rows]
        async with backends.database.statement() as tx:
            place = await journal_archives.place(tx, run_id, number)
        if place is None or number >= place.extent.head:
            return []
        if number < place.extent.removed_to:
            number = place.extent.removed_to
        elif place.segment is not None and place.segment.first <= number + 1:
            events = await journal_segments.read(backends, run_id, place.segment)
            return [_sound(backends, run_id, event) for event in events if event.number > number]
        elif place.next_row != number + 1:  # otherwise it has come meanwhile
            return [_missing(backends, run_id, number + 1, _next(place) - 1)]
    raise UnavailableError("This run's journal changes too quickly to be read.")


def _next(place: journal_archives.Place) -> int:
    """The next number of which there is an event; the one after the head where there is none."""
    known = [place.extent.head + 1]
    if place.segment is not None:
        known.append(place.segment.first)
    if place.next_row is not None:
        known.append(place.next_row)
    return min(known)


async def page(backends: Backends, run_id: UUID, number: int) -> list[JournalEvent]:
    """As `after`, with what a stream shows of each event."""
    async with backends.database.statement() as tx:
        events = await journal.read(tx, run_id, number)
    follow = events and events[0].number == number + 1 and events[-1].number == number + len(events)
    if follow and all(is_json_line(event.text) for event in events):
        return events
    return [JournalEvent(event.number, event.kind, event.text) for event in await after(backends, run_id, number)]


async def entry_lines(backends: Backends, run_id: UUID) -> AsyncGenerator[bytes]:
    """All entries of a run as lines, in pieces. Holds three pages at a time, and no connection while its reader is slow."""
    number, size = 0, PageSize()
    while True:
        async with aclosing(_sound_pages(backends, run_id, number, size)) as pages:
            async for last, lines in pages:
                number = last
                if lines:
                    yield lines
        events = await after(backends, run_id, number)
        if not events:
            return
        number = events[-1].number
        lines = _lines([event.text.encode() for event in events if event.kind is EventKind.ENTRY])
        if lines:
            yield lines


class _Page(NamedTuple):
    """A page of the table on its way. `end`: the last number that it can have."""

    end: int
    arriving: asyncio.Future[tuple[int, bytes] | None]


async def _sound_pages(backends: Backends, run_id: UUID, number: int, size: PageSize) -> AsyncGenerator[tuple[int, bytes]]:
    """Pages of the table, each with its last number, until its end or anything else than a sound event.

    After a full page the next but one is fetched beside the next: journals have no gaps, so where it begins is known.
    """

    def fetch(after: int) -> _Page:
        events = size.events
        page = partial(_sound_page, run_id=run_id, after=after, events=events, size=size)
        return _Page(after + events, asyncio.ensure_future(backends.database.in_thread(page)))

    ahead = deque([fetch(number)])
    try:
        while (page := await ahead[0].arriving) is not None:
            number, end = page[0], ahead.popleft().end
            if number < end:
                await _leave(ahead)
            while len(ahead) < (_AHEAD if number == end else 1):
                ahead.append(fetch(ahead[-1].end if ahead else number))
            yield page
    finally:
        await _leave(ahead)


async def _leave(ahead: deque[_Page]) -> None:
    """Let pages go that nobody waits for any more. A thread that fetches one gives its connection back once it has it."""
    arriving = [ahead.popleft().arriving for _ in range(len(ahead))]
    for page in arriving:
        page.cancel()
    await asyncio.gather(*arriving, return_exceptions=True)


def _sound_page(connection: BulkConnection, run_id: UUID, after: int, events: int, size: PageSize) -> tuple[int, bytes] | None:
    page = journal_texts.read_all(connection, run_id, after, events, size)
    lines = None if page is None else sound_lines(page)
    return None if page is None or lines is None else (page.last, lines)


def _lines(texts: Sequence[bytes]) -> bytes:
    return b"\n".join((*texts, b""))


async def from_start(backends: Backends, run_id: UUID, number: int = 0) -> AsyncIterator[list[KeptEvent]]:
    """Page after page, to the end."""
    while events := await after(backends, run_id, number):
        number = events[-1].number
        yield events


def sound_lines(page: EntryLines) -> bytes | None:
    """The entries of a page, a line each; None where one is no JSON object, as a quick parser sees it: it refuses a little that is allowed.

    The parser takes any space between two objects, or within one, for what it is: so lines are counted as well.
    """
    lines = _lines(page.pieces)
    try:
        sound = len(_OBJECTS.decode_lines(lines)) == len(BytesIO(lines).readlines()) == page.entries
    except (msgspec.MsgspecError, RecursionError):
        return None
    return lines if sound else None


def is_json_line(text: str) -> bool:
    """Whether a text is a JSON object on one line, as every event is written."""
    if "\n" in text:
        return False
    try:
        _ANY_JSON.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return _is_json_after_all(text)
    return text.lstrip().startswith("{")


def _is_json_after_all(text: str) -> bool:
    """As the standard library reads it, which knows numbers and surrogates that the quick parser refuses."""
    try:
        return isinstance(json.loads(text, parse_int=integer), dict)
    except (ValueError, RecursionError):
        return False


def _sound(backends: Backends, run_id: UUID, event: KeptEvent) -> KeptEvent:
    """The event, or what stands for it where its text is no line of JSON."""
    if is_json_line(event.text):
        return event
    log.error("an event of a journal is damaged", run_id=str(run_id), number=event.number)
    text = _telling(backends, event.number, event.number, f"Event {event.number} of this run is damaged: it is no line of JSON.")
    return KeptEvent(event.number, event.kind, event.event_type, event.timestamp, text)


def _missing(backends: Backends, run_id: UUID, first: int, last: int) -> KeptEvent:
    log.error("events of a journal are missing", run_id=str(run_id), first=first, last=last)
    which = f"Event {first} of this run is" if first == last else f"The events {first} to {last} of this run are"
    text = _telling(backends, first, last, f"{which} missing from its journal.")
    return KeptEvent(last, EventKind.ENTRY, DAMAGED, None, text, first=first)


def _telling(backends: Backends, first: int, last: int, message: str) -> str:
    entry = notification(DAMAGED, {"first": first, "last": last, "message": message}, backends.clock.now())
    assert event_type(entry) == DAMAGED
    return json.dumps(entry, separators=(",", ":"))
