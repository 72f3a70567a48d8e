"""Texts of many journal entries, as bytes and page by page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import BulkConnection
from hedgerow.domain.journal import EventKind

PAGE_BYTES = 1024 * 1024
_FIRST_EVENTS = 500
_MOST_EVENTS = 2000
_GROWTH = 4
_SHARE = 64  # an entry of a page may have this part of `PAGE_BYTES`, however many events the page has


@dataclass(slots=True)
class PageSize:
    """How many rows of a journal hold about `PAGE_BYTES`: a guess that each page makes better."""

    events: int = _FIRST_EVENTS

    def learn(self, events: int, size_bytes: int) -> None:
        """Aim at three quarters of a page, by the mean of what `events` rows were found to hold.

        A few small ones say little of those to come: rows that are read and then do not fit in are read in vain.
        """
        self.events = max(1, min(_MOST_EVENTS, _GROWTH * events, events * PAGE_BYTES * 3 // 4 // max(size_bytes, 1)))

    @property
    def most_bytes(self) -> int:
        """What one entry may have to come with others. It bounds a page of a journal whose entries have suddenly become large."""
        return max(PAGE_BYTES // _SHARE, 4 * PAGE_BYTES // self.events)


@dataclass(frozen=True, slots=True)
class EntryTexts:
    """Entries in a row: their texts, and the number of the last event that was read."""

    texts: list[bytes]
    last: int


# Plain rows: to join the texts in the database costs it three times as much, most of it for fresh memory. Events that are no entries
# come as '', and those that cannot come with others, or cannot be read, as NULL.
_READ: LiteralString = """
    SELECT number, CASE
        WHEN kind = {entry} AND octet_length(text) BETWEEN 1 AND %s THEN convert_to(text, 'UTF8')
        WHEN kind = ANY ({others}) THEN ''
    END
    FROM journal
    WHERE run_id = %s AND {condition} AND number > %s AND (SELECT greatest(archived_to, removed_to) FROM journals WHERE run_id = %s) <= %s
    ORDER BY number LIMIT %s
"""
_LARGEST = 2**31 - 1  # of any value of PostgreSQL

_EVERY_EVENT = sql.SQL("true")
_KINDS = {
    "entry": sql.Literal(EventKind.ENTRY.value),
    "others": sql.Literal([kind.value for kind in EventKind if kind is not EventKind.ENTRY]),
}


def read(
    connection: BulkConnection,
    run_id: UUID,
    condition: sql.Composable,
    values: Sequence[object],
    *,
    after: int,
    most: int | None = None,
    size: PageSize,
    unbroken: bool = False,
) -> EntryTexts | None:
    """The next entries after a number that fit a condition on `journal`: `most` at most, about a megabyte.

    `values` are those of the condition. One entry that is larger than a page comes alone. None where none is left in the table, where
    what follows `after` lies elsewhere or cannot be read, and, if they must be `unbroken`, where an event is missing.
    """
    statement = sql.SQL(_READ).format(condition=condition, **_KINDS)

    def fetch(most_bytes: int, limit: int) -> tuple[Sequence[int], Sequence[bytes]]:
        arguments = [most_bytes, run_id, *values, after, run_id, after, limit]
        rows = connection.cursor(binary=True).execute(statement, arguments).fetchall()
        numbers, texts = zip(*rows, strict=True) if rows else ((), ())
        readable = texts.index(None) if None in texts else len(texts)
        return numbers[:readable], texts[:readable]

    numbers, texts = fetch(size.most_bytes, size.events if most is None else min(most, size.events))
    if not numbers:
        numbers, texts = fetch(_LARGEST, 1)
    if not numbers or (unbroken and (numbers[0] != after + 1 or numbers[-1] - after != len(numbers))):
        return None
    size.learn(len(texts), sum(map(len, texts)))
    return EntryTexts([text for text in texts if text], numbers[-1])


def read_all(connection: BulkConnection, run_id: UUID, after: int, size: PageSize) -> EntryTexts | None:
    """The log entries among the next events of a run after a number; there may be none among them.

    None at the end of the table, and where the next events lie elsewhere, or one of them is missing.
    """
    return read(connection, run_id, _EVERY_EVENT, [], after=after, size=size, unbroken=True)
