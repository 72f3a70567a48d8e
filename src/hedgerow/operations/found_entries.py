"""Which entries of a run `session_logs` shows: counted by the database where its table holds them all, else part by part."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple
from uuid import UUID

from hedgerow.db import journal_archives
from hedgerow.db import session_logs as table
from hedgerow.db.database import BulkConnection
from hedgerow.db.journal_texts import PageSize
from hedgerow.db.session_logs import Survey
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.journal_segments import EntryFilter, KeptEvent
from hedgerow.operations import journal_events, journal_segments
from hedgerow.operations.backends import Backends

_MOST_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """How many entries there are and how many are meant, and where the wanted page of them begins."""

    total: int
    matching: int
    after: int = 0  # the event after which the page begins
    skipped: int = 0  # entries that are meant and come between that event and the page
    whole: bool = True  # whether the table held them all


async def find(backends: Backends, run_id: UUID, wanted: EntryFilter, offset: int, limit: int) -> Found:
    """The page of `limit` entries that begins after `offset` of those that are meant. Raises UnavailableError."""
    wanted = table.stored(wanted)
    for _ in range(_MOST_LOOKS):
        async with backends.database.statement() as tx:
            survey = await table.survey(tx, run_id, wanted)
        if survey.whole:
            found = await _in_table(backends, run_id, wanted, survey, offset, limit)
            if found is not None:
                return found
        elif (found := await _part_by_part(backends, run_id, wanted, survey, offset)) is not None:
            return found
    raise UnavailableError("This run's journal changes too quickly to be read.")


async def _in_table(backends: Backends, run_id: UUID, wanted: EntryFilter, survey: Survey, offset: int, limit: int) -> Found | None:
    """The page where the table holds all events. None where they were moved meanwhile; part by part where one turns out to be missing."""
    extent = survey.extent
    found = Found(total=extent.entries, matching=survey.matching, after=extent.base)
    if offset >= survey.matching or limit <= 0:
        return found
    async with backends.database.statement() as tx:
        begin = await table.skip(tx, run_id, wanted, offset) if offset else table.Skipped(extent.base, extent.base)
        end = await table.skip(tx, run_id, wanted, min(offset + limit, survey.matching)) if survey.events is None else begin
        last = end.after
        sound = survey.events is not None or (last is not None and await table.is_unbroken(tx, run_id, extent.base, last))
    if not extent.base == begin.base == end.base:
        return None
    if begin.after is None or not sound:
        return await _part_by_part(backends, run_id, wanted, survey, offset)
    return Found(total=extent.entries, matching=survey.matching, after=begin.after)


async def _part_by_part(backends: Backends, run_id: UUID, wanted: EntryFilter, survey: Survey, offset: int) -> Found | None:
    """The page, counted over the archive's segments and then over the rest. None where something was archived or removed meanwhile."""
    async with backends.database.statement() as tx:
        archive = [segment for segment in await journal_archives.segments(tx, run_id) if segment.last > survey.extent.removed_to]
    if (archive[-1].last if archive else survey.extent.removed_to) != survey.extent.base:
        return None
    count = _Count(offset)
    for segment in archive:
        matching = segment.summary.matching(wanted)
        if matching is None:
            matching = _passing(await journal_segments.read(backends, run_id, segment), wanted)
        count.add(segment.first - 1, segment.summary.entries, matching)
    async for events in journal_events.from_start(backends, run_id, survey.extent.base):
        count.add((events[0].first or events[0].number) - 1, _passing(events, EntryFilter()), _passing(events, wanted))
    async with backends.database.statement() as tx:
        now = await table.survey(tx, run_id, EntryFilter())
    if now.extent.base != survey.extent.base:
        return None
    return Found(total=count.total, matching=count.matching, after=count.after, skipped=offset - count.before, whole=False)


class _Count:
    """Counts entries stretch by stretch, and notes in which the page begins."""

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self.total = self.matching = 0
        self.after = self.before = 0  # the event before the stretch in which the page begins, and what was counted until there

    def add(self, after: int, entries: int, matching: int) -> None:
        if self.matching <= self._offset:
            self.after, self.before = after, self.matching
        self.total += entries
        self.matching += matching


def _passing(events: list[KeptEvent], wanted: EntryFilter) -> int:
    return sum(wanted.passes(event) for event in events)


async def array(backends: Backends, run_id: UUID, wanted: EntryFilter, found: Found, left: int) -> AsyncGenerator[bytes]:
    """A JSON array of the next `left` entries of the page, in pieces. Two pages are held at a time."""
    wanted = table.stored(wanted)
    separator, number, size, skip = b"[", found.after, PageSize(), found.skipped
    while left > 0 and found.whole:
        read = partial(_sound_page, run_id=run_id, wanted=wanted, after=number, most=left, size=size, separator=separator)
        page = await backends.database.in_thread(read)
        if page is None:
            break
        separator, number, left = b",", page.last, left - page.entries
        yield page.texts
    while left > 0 and (events := await journal_events.after(backends, run_id, number)):
        number = events[-1].number
        passing = [event.text for event in events if wanted.passes(event)]
        texts = passing[skip : skip + left]
        skip, left = max(0, skip - len(passing)), left - len(texts)
        if texts:
            yield separator + ",".join(texts).encode()
            separator = b","
    yield b"[]" if separator == b"[" else b"]"


class _Page(NamedTuple):
    """The next entries that are meant, up to an event."""

    last: int
    entries: int
    texts: bytes


def _sound_page(
    connection: BulkConnection, run_id: UUID, wanted: EntryFilter, after: int, most: int, size: PageSize, separator: bytes
) -> _Page | None:
    """A page of the table; None at its end, and where anything else than a sound entry is next, or among them."""
    page = table.read(connection, run_id, wanted, after, most, size)
    lines = None if page is None else journal_events.sound_lines(page)
    if page is None or lines is None:
        return None
    return _Page(page.last, page.entries, separator + lines[:-1].replace(b"\n", b","))
