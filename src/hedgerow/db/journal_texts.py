"""Texts of many journal entries, as bytes and page by page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import BulkConnection
from hedgerow.domain.journal import EventKind

PAGE_BYTES = 1024 * 1024
_FIRST_EVENTS = 500
_MOST_EVENTS = 2000
_GROWTH = 4
_TOGETHER = 64  # events in one piece
_EXCESS = 4  # how many times `PAGE_BYTES` a page may have where entries have suddenly become large


@dataclass(slots=True)
class PageSize:
    """How many rows of a journal hold about `PAGE_BYTES`: a guess that each page makes better."""

    events: int = _FIRST_EVENTS

    def learn(self, events: int, size_bytes: int) -> None:
        """Aim at three quarters of a page, by the mean of what `events` rows were found to hold.

        A few small ones say little of those to come: rows that are read and then do not fit in are read in vain.
        """
        self.events = max(1, min(_MOST_EVENTS, _GROWTH * events, events * PAGE_BYTES * 3 // 4 // max(size_bytes, 1)))


@dataclass(frozen=True, slots=True)
class EntryLines:
    """Entries in a row, as pieces of some lines each, without the newline at the end, and the number of the last event that was read."""

    pieces: list[bytes]
    entries: int
    last: int


class _Group(NamedTuple):
    """Some events in a row. `sound`: all of them can come with others."""

    last: int
    events: int
    entries: int
    sound: bool
    lines: bytes | None


# The texts are joined some at a time: a row for each costs its reader three times as much. The final order has them all sent together, at
# the end: a reader that is woken for each of them takes longer than the query.
_EVENT = sql.SQL("""
    number, kind = ANY ({others}) OR (kind = {entry} AND octet_length(text) BETWEEN 1 AND %(most_bytes)s) AS sound,
    CASE WHEN kind = {entry} AND octet_length(text) <= %(most_bytes)s THEN text END AS line
""").format(entry=sql.Literal(EventKind.ENTRY.value), others=sql.Literal([kind.value for kind in EventKind if kind is not EventKind.ENTRY]))
_GROUP = sql.SQL("""
    max(number), count(*), count(line), bool_and(sound) AND coalesce(octet_length({lines}) <= %(most_bytes)s, true),
    CASE WHEN octet_length({lines}) <= %(most_bytes)s THEN convert_to({lines}, 'UTF8') END
""").format(lines=sql.SQL(r"string_agg(line, E'\n' ORDER BY number)"))
_IS_HERE = sql.SQL("(SELECT greatest(archived_to, removed_to) FROM journals WHERE run_id = %(run_id)s) <= %(after)s")
_READ = sql.SQL("""
    SELECT {group} FROM (
        SELECT {event}, row_number() OVER (ORDER BY number) - 1 AS place FROM journal
        WHERE run_id = %(run_id)s AND {condition} AND number > %(after)s AND {is_here} ORDER BY number LIMIT %(most)s
    ) page GROUP BY place / %(together)s ORDER BY 1
""")
_READ_ALL = sql.SQL("""
    SELECT page.* FROM generate_series(%(after)s::bigint, %(after)s::bigint + %(most)s - 1, %(together)s) AS start, LATERAL (
        SELECT {group} FROM (
            SELECT {event} FROM journal
            WHERE run_id = %(run_id)s AND number > start AND number <= least(start + %(together)s, %(after)s::bigint + %(most)s)
        ) events
    ) page WHERE page.max IS NOT NULL AND {is_here} ORDER BY 1
""").format(event=_EVENT, group=_GROUP, is_here=_IS_HERE)
_LARGEST = 2**31 - 1  # of any value of PostgreSQL


def read(
    connection: BulkConnection,
    run_id: UUID,
    condition: sql.Composable,
    values: Mapping[str, object],
    *,
    after: int,
    most: int,
    size: PageSize,
) -> EntryLines | None:
    """The next entries after a number that fit a condition on `journal`: out of the first `most` that do, about a megabyte.

    `values` are those of the condition, by their names. One entry that is larger than a page comes alone. None where none is left in the
    table, and where what follows `after` lies elsewhere or cannot be read.
    """
    statement = _READ.format(event=_EVENT, group=_GROUP, condition=condition, is_here=_IS_HERE)
    groups = _groups(connection, statement, {**values, "run_id": run_id, "after": after}, most)
    return _lines_of(groups, size) if groups else None


def read_all(connection: BulkConnection, run_id: UUID, after: int, most: int, size: PageSize) -> EntryLines | None:
    """The log entries among the next `most` events of a run after a number; there may be none among them.

    None at the end of the table, and where the next events lie elsewhere, or one of them is missing.
    """
    groups = _groups(connection, _READ_ALL, {"run_id": run_id, "after": after}, most)
    if not groups or groups[-1].last - after != sum(group.events for group in groups):
        return None
    return _lines_of(groups, size)


def _groups(connection: BulkConnection, statement: sql.Composed, values: Mapping[str, object], most: int) -> list[_Group]:
    """Sound events in a row, out of the first `most`. Where the first cannot come with others, those before it, or it alone.

    Small pages come in small pieces: a piece that is too large, or has an event that is no sound one, holds up few others.
    """
    together = max(1, min(_TOGETHER, most // 16))
    tries = (_EXCESS * PAGE_BYTES * together // most, most, together), (PAGE_BYTES // together, min(most, together), 1), (_LARGEST, 1, 1)
    for most_bytes, limit, joined in tries:
        named = {**values, "most_bytes": most_bytes, "most": limit, "together": joined}
        rows = connection.cursor(binary=True).execute(statement, named).fetchall()
        groups = list(takewhile(lambda group: group.sound, map(_Group._make, rows)))
        if groups:
            return groups
    return []


def _lines_of(groups: Sequence[_Group], size: PageSize) -> EntryLines:
    pieces = [group.lines for group in groups if group.lines]
    size.learn(sum(group.events for group in groups), sum(map(len, pieces)))
    return EntryLines(pieces, sum(group.entries for group in groups), groups[-1].last)
