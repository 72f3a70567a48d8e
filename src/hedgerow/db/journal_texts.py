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
    """Entries in a row: how many, the number of the last, and their texts with a separator between them."""

    count: int
    last: int
    texts: bytes


# The texts are touched only where they fit into a page; one that holds too much is asked for again, with fewer rows.
_JOIN: LiteralString = """
    WITH page AS MATERIALIZED (
        SELECT number, text FROM journal WHERE {condition} AND number > %s ORDER BY number LIMIT %s
    ), size AS (
        SELECT count(*) AS events, max(number) AS last, coalesce(sum(octet_length(text)), 0) AS size_bytes FROM page
    )
    SELECT events, last, size_bytes, CASE WHEN size_bytes <= %s OR events <= 1 THEN (
        SELECT convert_to(string_agg(text, %s ORDER BY number), 'UTF8') FROM page
    ) END AS texts
    FROM size
"""

EVERY_ENTRY = sql.SQL("run_id = %s AND kind = 1")


def join(
    connection: BulkConnection,
    condition: sql.Composable,
    values: Sequence[object],
    *,
    after: int,
    most: int | None = None,
    separator: str,
    size: PageSize,
) -> JoinedTexts | None:
    """The next entries after a number that fit a condition on `journal`: `most` at most, about a megabyte; None where none is left.

    `values` are those of the condition. One entry that is larger than a page comes alone.
    """
    statement = sql.SQL(_JOIN).format(condition=condition)
    cursor = connection.cursor(binary=True)
    while True:
        limit = size.events if most is None else min(most, size.events)
        arguments = [*values, after, limit, PAGE_BYTES, separator]
        row = cursor.execute(statement, arguments).fetchone()
        assert row is not None
        events, last, size_bytes, texts = row
        if events:
            size.learn(events, int(size_bytes))
        if texts is not None or not events:
            return JoinedTexts(events, last, texts) if events else None


def lines(connection: BulkConnection, run_id: UUID, after: int, size: PageSize) -> JoinedTexts | None:
    """The next log entries of a run after a number, with line breaks between them; None at the end."""
    return join(connection, EVERY_ENTRY, [run_id], after=after, separator="\n", size=size)
