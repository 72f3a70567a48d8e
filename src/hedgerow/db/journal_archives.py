"""Stretches of journals that lie in the object store, and runs whose journals are old enough to go there, or to go."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.journal import EXTENT_COLUMNS, Extent, extent_from_row
from hedgerow.db.rows import as_json
from hedgerow.domain.housekeeping import EndedJournal
from hedgerow.domain.journal_segments import Segment, Summary
from hedgerow.domain.runs import RunStatus

_COLUMNS = sql.SQL("first, last, entries, types, earliest, latest, undated, storage_path, size_bytes, sha256")


def from_row(row: dict[str, Any]) -> Segment:
    """The segment of a row."""
    names = ("entries", "types", "earliest", "latest", "undated")
    return Segment(
        first=row["first"],
        last=row["last"],
        summary=Summary(**{name: row[name] for name in names}),
        storage_path=row["storage_path"],
        size_bytes=row["size_bytes"],
        sha256=bytes(row["sha256"]),
    )


async def segments(tx: Transaction, run_id: UUID) -> list[Segment]:
    """The archive of a run, in order."""
    statement = sql.SQL("SELECT {} FROM journal_archives WHERE run_id = %s ORDER BY last").format(_COLUMNS)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """What there is of a journal after a number, all at one moment."""

    extent: Extent
    segment: Segment | None  # the next one in the archive
    next_row: int | None  # the next event in the table


_PLACE = sql.SQL("""
    SELECT {extent}, segment.*, (
        SELECT min(number) FROM journal WHERE journal.run_id = journals.run_id AND number > %(after)s
    ) AS next_row FROM journals LEFT JOIN LATERAL (
        SELECT first, last, journal_archives.entries AS held, types, earliest, latest, undated, storage_path, size_bytes, sha256
        FROM journal_archives WHERE journal_archives.run_id = journals.run_id AND last > %(after)s ORDER BY last LIMIT 1
    ) segment ON true WHERE journals.run_id = %(run_id)s
""").format(extent=EXTENT_COLUMNS)


async def place(tx: Transaction, run_id: UUID, after: int) -> Place | None:
    """Where the events after a number are; None where there is no such journal."""
    row = await (await tx.connection.execute(_PLACE, {"run_id": run_id, "after": after})).fetchone()
    if row is None:
        return None
    segment = None if row["first"] is None else from_row({**row, "entries": row["held"]})
    return Place(extent=extent_from_row(row), segment=segment, next_row=row["next_row"])


async def add(tx: Transaction, run_id: UUID, segment: Segment, now: datetime) -> None:
    """A stretch lies in the archive now. The caller holds the journal's lock, and takes the events out of the table."""
    summary = segment.summary
    statement = sql.SQL(
        "INSERT INTO journal_archives (run_id, archived_at, {}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
    ).format(_COLUMNS)
    types = None if summary.types is None else as_json(dict(summary.types))
    held = [summary.entries, types, summary.earliest, summary.latest, summary.undated]
    stored = [segment.storage_path, segment.size_bytes, segment.sha256]
    await tx.connection.execute(statement, [run_id, now, segment.first, segment.last, *held, *stored])
    await tx.connection.execute("UPDATE journals SET archived_to = %s WHERE run_id = %s", [segment.last, run_id])


async def drop(tx: Transaction, run_id: UUID) -> list[str]:
    """Forget the archive of a run; where its objects lie."""
    cursor = await tx.connection.execute("DELETE FROM journal_archives WHERE run_id = %s RETURNING storage_path", [run_id])
    return [row["storage_path"] for row in await cursor.fetchall()]


async def note_removed(tx: Transaction, run_id: UUID, head: int, now: datetime) -> None:
    """Everything up to `head` is gone. The caller holds the journal's lock and has removed it."""
    await tx.connection.execute("UPDATE journals SET removed_to = %s, removed_at = %s, entries = 0 WHERE run_id = %s", [head, now, run_id])


_OVER: LiteralString = """
    runs.completed_at <= %(before)s AND runs.status = ANY (%(over)s) AND (runs.started_at IS NULL OR runs.cleaned_at IS NOT NULL)
"""
_SIZE: LiteralString = """
    (SELECT coalesce(sum(octet_length(text)), 0) FROM journal WHERE journal.run_id = runs.id)
"""
_WHOLE_SIZE: LiteralString = """
    (SELECT coalesce(sum(octet_length(text)), 0) FROM journal WHERE journal.run_id = runs.id)
    + (SELECT coalesce(sum(size_bytes), 0) FROM journal_archives WHERE journal_archives.run_id = runs.id)
"""
_OLD: LiteralString = """
    SELECT runs.id, runs.completed_at, head - greatest(removed_to, {base}) AS events, {size} AS size_bytes
    FROM runs JOIN journals ON journals.run_id = runs.id
    WHERE {over} AND {more} ORDER BY runs.completed_at, runs.id LIMIT %(limit)s
"""
# After a removal there is the entry that tells of it, which stays, and what came late, which has its own time.
_TO_ARCHIVE = sql.SQL(_OLD).format(
    base=sql.SQL("archived_to"),
    size=sql.SQL(_SIZE),
    over=sql.SQL(_OVER),
    more=sql.SQL("head > greatest(archived_to, CASE WHEN removed_at IS NULL THEN 0 ELSE removed_to + 1 END)"),
)
_TO_REMOVE = sql.SQL(_OLD).format(
    base=sql.SQL("0"),
    size=sql.SQL(_WHOLE_SIZE),
    over=sql.SQL(_OVER),
    more=sql.SQL("(removed_at IS NULL OR (removed_at <= %(before)s AND head > removed_to + 1))"),
)
_ENDED = [status.value for status in RunStatus if status.terminal]


async def to_archive(tx: Transaction, before: datetime, limit: int) -> list[EndedJournal]:
    """Journals with events in the table whose runs ended before a moment and are tidied up, the oldest first."""
    return await _old(tx, _TO_ARCHIVE, {"before": before, "limit": limit})


async def to_remove(tx: Transaction, before: datetime, limit: int) -> list[EndedJournal]:
    """Journals whose runs ended before a moment and are tidied up, the oldest first."""
    return await _old(tx, _TO_REMOVE, {"before": before, "limit": limit})


async def _old(tx: Transaction, statement: sql.Composed, values: dict[str, Any]) -> list[EndedJournal]:
    rows = await (await tx.connection.execute(statement, values | {"over": _ENDED})).fetchall()
    return [
        EndedJournal(run_id=row["id"], ended_at=row["completed_at"], events=int(row["events"]), size_bytes=int(row["size_bytes"]))
        for row in rows
    ]
