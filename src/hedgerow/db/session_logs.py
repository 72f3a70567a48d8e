"""Log entries by time and type: counted and found in SQL (contract 7.3)."""

from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db import journal_texts
from hedgerow.db.database import BulkConnection, Transaction
from hedgerow.db.journal import EXTENT_COLUMNS, Extent, extent_from_row
from hedgerow.db.journal_texts import EntryLines, PageSize
from hedgerow.db.rows import storable
from hedgerow.domain.journal import LONGEST_EVENT_TYPE, EventKind
from hedgerow.domain.journal_segments import EntryFilter


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What the tables know of a run's entries, all at one moment."""

    extent: Extent
    matching: int  # entries in the table that pass the filter
    events: int | None  # events in the table of which it is known what they are; None where they were not counted

    @property
    def whole(self) -> bool:
        """Whether the table holds all that readers may see, as far as was counted: nothing is archived, and nothing missing."""
        extent = self.extent
        return extent.archived_to <= extent.removed_to and self.events in {None, extent.head - extent.base}


def stored(wanted: EntryFilter) -> EntryFilter:
    """The filter in the words that stand in the table: cut to their length, without what a column cannot hold."""
    return EntryFilter(after=wanted.after, event_types=_stored(wanted.event_types), exclude_types=_stored(wanted.exclude_types))


def _stored(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(storable(name[:LONGEST_EVENT_TYPE]) for name in names)


_KNOWN = sql.SQL("kind = ANY ({})").format(sql.Literal([kind.value for kind in EventKind]))
_SURVEY = sql.SQL("""
    SELECT {extent}, found.matching, found.events FROM journals, LATERAL (
        SELECT count(*) FILTER (WHERE {condition}) AS matching, count(*) FILTER (WHERE {known}) AS events FROM journal
        WHERE journal.run_id = journals.run_id AND number > greatest(archived_to, removed_to)
    ) found WHERE journals.run_id = %(run_id)s
""")
_SURVEY_OF_ALL = sql.SQL("SELECT {extent}, entries AS matching, NULL::bigint AS events FROM journals WHERE run_id = %s").format(
    extent=EXTENT_COLUMNS
)


async def survey(tx: Transaction, run_id: UUID, wanted: EntryFilter) -> Survey:
    """The extent of a journal, and how many entries of its table pass the filter. Without a filter it costs nothing, whatever the length.

    One statement, so that never more pass than there are, whoever appends meanwhile.
    """
    if wanted.empty:
        row = await (await tx.connection.execute(_SURVEY_OF_ALL, [run_id])).fetchone()
    else:
        condition, values = _narrowed(wanted)
        statement = _SURVEY.format(extent=EXTENT_COLUMNS, condition=condition, known=_KNOWN)
        row = await (await tx.connection.execute(statement, {**values, "run_id": run_id})).fetchone()
    if row is None:
        return Survey(extent=Extent(0, 0, 0, 0), matching=0, events=None)
    return Survey(extent=extent_from_row(row), matching=int(row["matching"]), events=row["events"])


@dataclass(frozen=True, slots=True)
class Skipped:
    """Where a page begins: after which event, and up to where archive or removal had come then."""

    after: int | None  # None where no entry is left
    base: int


_SKIP = sql.SQL("""
    SELECT greatest(archived_to, removed_to) AS base, (
        SELECT number FROM journal WHERE run_id = %(run_id)s AND {condition} AND number > greatest(archived_to, removed_to)
        ORDER BY number LIMIT 1 OFFSET %(offset)s
    ) AS number FROM journals WHERE run_id = %(run_id)s
""")


async def skip(tx: Transaction, run_id: UUID, wanted: EntryFilter, offset: int) -> Skipped:
    """The number of the entry of the table after which the rest begins, once `offset` entries (at least one) are left out."""
    condition, values = _narrowed(wanted)
    named = {**values, "run_id": run_id, "offset": offset - 1}
    row = await (await tx.connection.execute(_SKIP.format(condition=condition), named)).fetchone()
    assert row is not None
    return Skipped(row["number"], int(row["base"]))


_IS_UNBROKEN = sql.SQL("""
    SELECT count(*) = %(last)s - %(after)s AS unbroken FROM journal
    WHERE run_id = %(run_id)s AND number > %(after)s AND number <= %(last)s AND {known}
""").format(known=_KNOWN)


async def is_unbroken(tx: Transaction, run_id: UUID, after: int, last: int) -> bool:
    """Whether the table holds each event after a number up to another one, and knows what it is."""
    row = await (await tx.connection.execute(_IS_UNBROKEN, {"run_id": run_id, "after": after, "last": last})).fetchone()
    assert row is not None
    return bool(row["unbroken"])


def read(connection: BulkConnection, run_id: UUID, wanted: EntryFilter, after: int, most: int, size: PageSize) -> EntryLines | None:
    """The next entries after a number that pass the filter: `most` at most. None where none is left in the table."""
    condition, values = _narrowed(wanted)
    return journal_texts.read(connection, run_id, condition, values, after=after, most=min(most, size.events), size=size)


def _narrowed(wanted: EntryFilter) -> tuple[sql.Composable, dict[str, object]]:
    wanted = stored(wanted)
    conditions: list[LiteralString] = ["kind = 1"]
    values: dict[str, object] = {}
    if wanted.after is not None:
        conditions.append("timestamp > %(since)s")
        values["since"] = wanted.after
    if wanted.event_types:
        conditions.append("event_type = ANY (%(types)s)")
        values["types"] = list(wanted.event_types)
    if wanted.exclude_types:
        conditions.append("event_type <> ALL (%(other_types)s)")
        values["other_types"] = list(wanted.exclude_types)
    return sql.SQL(" AND ").join(map(sql.SQL, conditions)), values
