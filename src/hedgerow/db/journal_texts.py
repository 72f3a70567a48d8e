"""Texts of many journal entries, joined by the database: a row for each of them would cost Python more than the entry itself."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import BulkConnection

PAGE_BYTES = 1024 * 1024
_FIRST_EVENTS = 500
_MOST_EVENTS = 4000


@dataclass(slots=True)
class PageSize:
    """How many rows of a journal hold about `PAGE_BYTES`: a guess that each page makes better."""

    events: int = _FIRST_EVENTS

    def learn(self, events: int, size_bytes: int) -> None:
        """Aim at three quarters of a page, by the mean of what `events` rows were found to hold."""
        self.events = max(1, min(_MOST_EVENTS, events * PAGE_BYTES * 3 // 4 // max(size_bytes, 1)))


@dataclass(frozen=True, slots=True)
class JoinedTexts:
    """Entries in a row: how many, the number of the last event that was read, and the entries' texts with a separator between them."""

    count: int
    last: int
    texts: bytes


# The texts are touched only where they fit into a page; one that holds too much is asked for again, with fewer rows.
_JOIN: LiteralString = """
    WITH page AS MATERIALIZED (
        SELECT number, kind, text FROM journal WHERE run_id = %s AND {condition} AND number > %s ORDER BY number LIMIT %s
    ), size AS (
        SELECT count(*) AS events, count(*) FILTER (WHERE kind = 1) AS entries, min(number) AS first, max(number) AS last,
            coalesce(sum(octet_length(text)), 0) AS size_bytes,
            (SELECT greatest(archived_to, removed_to) FROM journals WHERE run_id = %s) AS base
        FROM page
    )
    SELECT events, entries, first, last, base, size_bytes, CASE WHEN (size_bytes <= %s OR events <= 1) AND base <= %s THEN (
        SELECT convert_to(coalesce(string_agg(text, %s ORDER BY number) FILTER (WHERE kind = 1), ''), 'UTF8') FROM page
    ) END AS texts
    FROM size
"""

_EVERY_EVENT = sql.SQL("true")


def join(
    connection: BulkConnection,
    run_id: UUID,
    condition: sql.Composable,
    values: Sequence[object],
    *,
    after: int,
    most: int | None = None,
    separator: str,
    size: PageSize,
    unbroken: bool = False,
) -> JoinedTexts | None:
    """The next entries after a number that fit a condition on `journal`: `most` at most, about a megabyte.

    `values` are those of the condition. One entry that is larger than a page comes alone. None where none is left in the table, where
    what follows `after` lies elsewhere, and, if they must be `unbroken`, where an event is missing.
    """
    statement = sql.SQL(_JOIN).format(condition=condition)
    cursor = connection.cursor(binary=True)
    while True:
        limit = size.events if most is None else min(most, size.events)
        arguments = [run_id, *values, after, limit, run_id, PAGE_BYTES, after, separator]
        row = cursor.execute(statement, arguments).fetchone()
        assert row is not None
        events, entries, first, last, base, size_bytes, texts = row
        if not events or base > after or (unbroken and (first != after + 1 or last - after != events)):
            return None
        size.learn(events, int(size_bytes))
        if texts is not None:
            return JoinedTexts(entries, last, texts)


def lines(connection: BulkConnection, run_id: UUID, after: int, size: PageSize) -> JoinedTexts | None:
    """The log entries among the next events of a run after a number, with line breaks between them; there may be none among them.

    None at the end of the table, and where the next events lie elsewhere, or one of them is missing.
    """
    return join(connection, run_id, _EVERY_EVENT, [], after=after, separator="\n", size=size, unbroken=True)
