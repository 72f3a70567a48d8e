"""Log entries by time and type: counted and found in SQL (contract 7.3)."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import BulkConnection, Transaction
from hedgerow.db.journal_texts import JoinedTexts, PageSize, join
from hedgerow.db.rows import storable
from hedgerow.domain.journal import LONGEST_EVENT_TYPE


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries are meant. Empty: all."""

    after: datetime | None = None
    event_types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether every entry passes."""
        return self.after is None and not self.event_types and not self.exclude_types


async def count(tx: Transaction, run_id: UUID, wanted: EntryFilter) -> tuple[int, int]:
    """How many entries a run has, and how many of them pass the filter. The first costs nothing, whatever the journal's length.

    One statement, so that never more pass than there are, whoever appends meanwhile.
    """
    condition, values = _condition(run_id, wanted)
    passing = sql.SQL("entries") if wanted.empty else sql.SQL("(SELECT count(*) FROM journal WHERE {})").format(condition)
    statement = sql.SQL("SELECT entries, {} AS matching FROM journals WHERE run_id = %s").format(passing)
    row = await (await tx.connection.execute(statement, [*(() if wanted.empty else values), run_id])).fetchone()
    return (0, 0) if row is None else (int(row["entries"]), int(row["matching"]))


async def skip(tx: Transaction, run_id: UUID, wanted: EntryFilter, offset: int) -> int | None:
    """The number of the entry after which the rest begins, once `offset` entries are left out; None where none is left."""
    if offset == 0:
        return 0
    condition, values = _condition(run_id, wanted)
    statement = sql.SQL("SELECT number FROM journal WHERE ") + condition + sql.SQL(" ORDER BY number LIMIT 1 OFFSET %s")
    row = await (await tx.connection.execute(statement, [*values, offset - 1])).fetchone()
    return None if row is None else int(row["number"])


def read(connection: BulkConnection, run_id: UUID, wanted: EntryFilter, after: int, most: int, size: PageSize) -> JoinedTexts | None:
    """The next entries after a number that pass the filter, with commas between them: `most` at most. None where none is left."""
    condition, values = _condition(run_id, wanted)
    return join(connection, condition, values, after=after, most=most, separator=",", size=size)


def _condition(run_id: UUID, wanted: EntryFilter) -> tuple[sql.Composable, list[object]]:
    conditions: list[LiteralString] = ["run_id = %s AND kind = 1"]
    values: list[object] = [run_id]
    if wanted.after is not None:
        conditions.append("timestamp > %s")
        values.append(wanted.after)
    if wanted.event_types:
        conditions.append("event_type = ANY (%s)")
        values.append([storable(name[:LONGEST_EVENT_TYPE]) for name in wanted.event_types])
    if wanted.exclude_types:
        conditions.append("event_type <> ALL (%s)")
        values.append([storable(name[:LONGEST_EVENT_TYPE]) for name in wanted.exclude_types])
    return sql.SQL(" AND ").join(map(sql.SQL, conditions)), values
