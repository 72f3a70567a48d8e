"""Old journals go to the object store, and older ones go.

A segment's object is written and read back before anything counts on it; its row and the loss of its events from the table are one
transaction. Whatever is killed in between leaves an object that nobody names, which the collector of loose objects removes.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import structlog

from hedgerow.db import artifacts, journal, journal_archives, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.errors import ConflictError
from hedgerow.domain.journal import notification
from hedgerow.domain.journal_segments import KeptEvent, Segment, unbroken
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import journal_events, journal_segments, run_changes
from hedgerow.operations.backends import Backends

log = structlog.get_logger()

REMOVED = "_hedgerow/journal_removed"
"""The method of the entry that tells of a journal's removal."""

_WRITING = timedelta(hours=6)  # after which an object that no archive names is nobody's


async def archive(backends: Backends, run_id: UUID, before: datetime) -> int:
    """Move the events of a run that ended before a moment to the archive; how many there were. Safe to repeat, and beside appends.

    Stops at a damaged event, which stays where it is, and where the run was opened again. One segment is held in memory at a time.
    Raises UnavailableError where the object store fails, ConflictError where somebody else archives or removes it.
    """
    async with backends.database.statement() as tx:
        head = await journal.head(tx, run_id)  # what comes later is for the next time, however fast it comes
    moved, last = 0, 0
    while last < head and (events := await _next(backends, run_id)):
        segment = await _write(backends, run_id, events)
        if not await _move(backends, run_id, segment, len(events), before):
            break
        moved, last = moved + len(events), segment.last
    return moved


async def _next(backends: Backends, run_id: UUID) -> Sequence[KeptEvent]:
    """The next stretch that the table holds; none where one of its events is damaged, or missing."""
    async with backends.database.transaction() as tx:
        extent = await journal.extent(tx, run_id)
        rows = await journal.read_kept(tx, run_id, extent.base, journal_segments.SEGMENT_EVENTS, journal_segments.SEGMENT_BYTES)
    sound = unbroken(rows, extent.base)
    sound = sound[: next((index for index, event in enumerate(sound) if not journal_events.is_json_line(event.text)), len(sound))]
    if len(sound) < len(rows) or (not rows and extent.head > extent.base):
        log.error("a damaged journal is not archived any further", run_id=str(run_id), after=extent.base + len(sound))
    return sound


async def _write(backends: Backends, run_id: UUID, events: Sequence[KeptEvent]) -> Segment:
    path = journal_segments.path_of(backends, run_id, events[0].number)
    async with backends.database.transaction() as tx:
        await artifacts.announce(tx, [path], backends.clock.now() + _WRITING)
    return await journal_segments.write(backends, run_id, path, events)


async def _move(backends: Backends, run_id: UUID, segment: Segment, events: int, before: datetime) -> bool:
    """Let a segment stand for its events. False where the run was opened again meanwhile."""
    async with backends.database.transaction() as tx:
        if await _ended(tx, run_id, before) is None:
            return False
        extent = await journal.extent(tx, run_id, lock=True)
        if extent.base != segment.first - 1 or not await artifacts.claim(tx, segment.storage_path):
            raise ConflictError("This run's journal was archived or removed by another process meanwhile.")
        await journal_archives.add(tx, run_id, segment, backends.clock.now())
        if await journal.forget(tx, run_id, segment.last) != events:
            raise ConflictError("This run's journal was changed while it was archived.")
    return True


async def remove(backends: Backends, run_id: UUID, before: datetime) -> int:
    """Remove the journal of a run that ended before a moment, archive and all; how many events it had. Safe to repeat.

    The run keeps its row, and its journal one entry that tells of the removal; numbers go on. 0 where the run was opened again.
    """
    now = backends.clock.now()
    async with backends.database.transaction() as tx:
        if await _ended(tx, run_id, before) is None:
            return 0
        extent = await journal.extent(tx, run_id, lock=True)
        removed = extent.head - extent.removed_to
        if removed <= (1 if extent.removed_to else 0):
            return 0
        await journal.forget(tx, run_id, extent.head)
        await artifacts.announce(tx, await journal_archives.drop(tx, run_id), now)
        await journal_archives.note_removed(tx, run_id, extent.head, now)
        message = f"The journal of this run up to event {extent.head} was removed: its time was over."
        marker = notification(REMOVED, {"last": extent.head, "message": message}, now)
        await run_changes.add_events(backends, tx, run_id, [run_changes.server_entry(marker)])
    return removed


async def _ended(tx: Transaction, run_id: UUID, before: datetime) -> TaskRun | None:
    """The run, locked, where it still counts as one that ended before a moment."""
    run = await runs.load_for_update(tx, run_id)
    if run is None or not run.status.terminal or run.completed_at is None or run.completed_at > before:
        return None
    return run if run.execution.started_at is None or run.execution.cleaned_at is not None else None
