"""The journal of a run: one statement per append, pages of bounded size for readers.

Appends lock one narrow row of `journals`, never the run: whoever needs both locks the run first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import tuple_row

from hedgerow.db import runs
from hedgerow.db.database import Transaction
from hedgerow.db.rows import storable
from hedgerow.domain.journal import EventKind, JournalEvent, NewEvent
from hedgerow.domain.journal_segments import KeptEvent
from hedgerow.domain.runs import TaskRun

PAGE_EVENTS = 500
PAGE_BYTES = 1024 * 1024  # a page ends early where its texts grow beyond this; one event may be larger alone


@dataclass(frozen=True, slots=True)
class Place:
    """Where an append goes: the run as its URL names it, and the epoch that a run token was signed for (None: no fence).

    `heard_at`: when its agent server was heard; None where somebody else speaks.
    """

    project_id: int
    task_id: UUID
    run_id: UUID
    epoch: int | None = None
    heard_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class OnceKey:
    """The Idempotency-Key under which a batch is appended at most once."""

    caller: str
    path: str
    key: str
    body_hash: bytes
    now: datetime


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of an append. `head` is the number of its last event; None where nothing was appended.

    `fenced`: the place's epoch is not the journal's any more. Otherwise an append without a head was made before, under its key.
    """

    run: TaskRun
    head: int | None
    fenced: bool = False


_STORED = sql.SQL("""
    stored AS (
        INSERT INTO journal (run_id, number, kind, event_type, timestamp, text)
        SELECT %(run_id)s, numbered.head - %(count)s + event.position, event.kind, event.event_type, event.timestamp, event.text
        FROM numbered, unnest(%(kinds)b::smallint[], %(types)b::text[], %(timestamps)b::timestamptz[], %(texts)b::text[])
            WITH ORDINALITY AS event (kind, event_type, timestamp, text, position)
    )
""")
_UPDATE = sql.SQL(
    "UPDATE journals SET head = head + %(count)s, entries = entries + %(entries)s, heard_at = coalesce(%(heard_at)s, heard_at)"
)

_APPEND = (
    sql.SQL("""
    WITH numbered AS (
        {update} WHERE run_id = %(run_id)s AND (%(epoch)s::integer IS NULL OR epoch = %(epoch)s) RETURNING head
    ), {stored}
    SELECT head FROM numbered
""")
    .format(update=_UPDATE, stored=_STORED)
    .as_bytes()
)

_TARGET = sql.SQL("""
    target AS (
        SELECT {} FROM runs WHERE id = %(run_id)s AND task_id = %(task_id)s AND project_id = %(project_id)s
        AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = runs.task_id AND deleted_at IS NULL)
    )
""").format(runs.COLUMNS)

_APPEND_TO = (
    sql.SQL("""
    WITH {target}, numbered AS (
        {update} FROM target
        WHERE journals.run_id = target.id AND (%(epoch)s::integer IS NULL OR journals.epoch = %(epoch)s) RETURNING head
    ), {stored}
    SELECT target.*, numbered.head, numbered.head IS NOT NULL AS locked FROM target LEFT JOIN numbered ON true
""")
    .format(target=_TARGET, update=_UPDATE, stored=_STORED)
    .as_bytes()
)

# The journal's row is locked before the key is taken, so that a key is never kept for a batch that the fence refused.
_APPEND_ONCE = (
    sql.SQL("""
    WITH {target}, locked AS (
        SELECT journals.run_id FROM journals JOIN target ON journals.run_id = target.id
        WHERE %(epoch)s::integer IS NULL OR journals.epoch = %(epoch)s FOR UPDATE OF journals
    ), fresh AS (
        INSERT INTO idempotency_keys (caller, method, path, key, body_hash, created_at)
        SELECT %(caller)s, 'POST', %(path)s, %(key)s, %(body_hash)s, %(now)s FROM locked ON CONFLICT DO NOTHING RETURNING 1
    ), numbered AS (
        {update} FROM fresh WHERE journals.run_id = %(run_id)s RETURNING head
    ), {stored}
    SELECT target.*, numbered.head, EXISTS (SELECT 1 FROM locked) AS locked FROM target LEFT JOIN numbered ON true
""")
    .format(target=_TARGET, update=_UPDATE, stored=_STORED)
    .as_bytes()
)


async def append(tx: Transaction, run_id: UUID, events: Sequence[NewEvent], epoch: int | None = None) -> int | None:
    """Number and store events of the server itself; the number of the last. None where the journal has moved to another epoch."""
    row = await (await tx.connection.execute(_APPEND, _values(run_id, events, epoch))).fetchone()
    return None if row is None else int(row["head"])


_APPEND_EACH: LiteralString = """
    WITH given AS (
        SELECT * FROM unnest(%(runs)b::uuid[], %(kinds)b::smallint[], %(types)b::text[], %(timestamps)b::timestamptz[], %(texts)b::text[])
            AS event (run_id, kind, event_type, timestamp, text)
    ), numbered AS (
        UPDATE journals SET head = head + 1 FROM given WHERE journals.run_id = given.run_id RETURNING journals.run_id, head
    ), stored AS (
        INSERT INTO journal (run_id, number, kind, event_type, timestamp, text)
        SELECT run_id, head, kind, event_type, timestamp, text FROM given JOIN numbered USING (run_id)
    )
    SELECT run_id, head FROM numbered
"""


async def append_each(tx: Transaction, events: Mapping[UUID, NewEvent]) -> dict[UUID, int]:
    """Store one event, which is no log entry, in each of several journals; their numbers."""
    values = {"runs": list(events)} | {
        "kinds": [event.kind.value for event in events.values()],
        "types": [storable(event.event_type) for event in events.values()],
        "timestamps": [event.timestamp for event in events.values()],
        "texts": [event.text for event in events.values()],
    }
    return {row["run_id"]: row["head"] for row in await (await tx.connection.execute(_APPEND_EACH, values)).fetchall()}


async def append_to(tx: Transaction, place: Place, events: Sequence[NewEvent], once: OnceKey | None = None) -> Answer | None:
    """Number and store the events of a client in one statement, which costs what the batch costs. None where there is no such run."""
    values = _values(place.run_id, events, place.epoch, place.heard_at) | {"task_id": place.task_id, "project_id": place.project_id}
    if once is None:
        row = await (await tx.connection.execute(_APPEND_TO, values)).fetchone()
    else:
        key = {"caller": once.caller, "path": once.path, "key": once.key, "body_hash": once.body_hash, "now": once.now}
        row = await (await tx.connection.execute(_APPEND_ONCE, values | key)).fetchone()
    return None if row is None else Answer(runs.from_row(row), row["head"], fenced=not row["locked"])


def _values(run_id: UUID, events: Sequence[NewEvent], epoch: int | None, heard_at: datetime | None = None) -> dict[str, Any]:
    return {
        "run_id": run_id,
        "epoch": epoch,
        "heard_at": heard_at,
        "count": len(events),
        "entries": sum(event.kind is EventKind.ENTRY for event in events),
        "kinds": [event.kind.value for event in events],
        "types": [storable(event.event_type) for event in events],
        "timestamps": [event.timestamp for event in events],
        "texts": [event.text for event in events],
    }


_PEEK = sql.SQL("""
    WITH {}, heard AS (
        UPDATE journals SET heard_at = %(heard_at)s FROM target
        WHERE journals.run_id = target.id AND journals.epoch = %(epoch)s
        AND (heard_at IS NULL OR heard_at < %(heard_at)s::timestamptz - interval '1 minute')
    )
    SELECT target.*, journals.head, journals.epoch AS journal_epoch FROM target JOIN journals ON journals.run_id = target.id
""").format(_TARGET)


async def peek(tx: Transaction, place: Place) -> Answer | None:
    """The run and the head of its journal, as `append_to` would find them, with nothing appended.

    That its agent server was heard is noted once a minute.
    """
    target = {"run_id": place.run_id, "task_id": place.task_id, "project_id": place.project_id}
    values = target | {"epoch": place.epoch, "heard_at": place.heard_at}
    row = await (await tx.connection.execute(_PEEK, values)).fetchone()
    if row is None:
        return None
    return Answer(runs.from_row(row), row["head"], fenced=place.epoch is not None and place.epoch != row["journal_epoch"])


async def head(tx: Transaction, run_id: UUID) -> int:
    """The number of the last event; 0 for an empty journal."""
    row = await (await tx.connection.execute("SELECT head FROM journals WHERE run_id = %s", [run_id])).fetchone()
    return 0 if row is None else int(row["head"])


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a journal goes, and how much of it lies elsewhere than in the table of events."""

    head: int  # the number of the last event
    entries: int  # how many log entries there are, in the table and in the archive
    archived_to: int  # events up to this one lie in the object store
    removed_to: int  # events up to this one are nowhere any more

    @property
    def base(self) -> int:
        """The number of the event after which the table's begin."""
        return max(self.archived_to, self.removed_to)


EXTENT_COLUMNS = sql.SQL("head, entries, archived_to, removed_to")


def extent_from_row(row: dict[str, Any]) -> Extent:
    """The extent in a row that has the columns of `EXTENT_COLUMNS`."""
    return Extent(row["head"], row["entries"], row["archived_to"], row["removed_to"])


async def extent(tx: Transaction, run_id: UUID, *, lock: bool = False) -> Extent:
    """The extent of a journal; `lock`: nobody appends to it before the transaction ends."""
    statement = sql.SQL("SELECT {} FROM journals WHERE run_id = %s").format(EXTENT_COLUMNS) + sql.SQL(" FOR UPDATE" if lock else "")
    row = await (await tx.connection.execute(statement, [run_id])).fetchone()
    return Extent(0, 0, 0, 0) if row is None else extent_from_row(row)


async def heads(tx: Transaction, run_ids: Sequence[UUID]) -> dict[UUID, int]:
    """The heads of several journals."""
    rows = await (await tx.connection.execute("SELECT run_id, head FROM journals WHERE run_id = ANY (%s)", [list(run_ids)])).fetchall()
    return {row["run_id"]: row["head"] for row in rows}


_PAGE: LiteralString = """
    SELECT {columns} FROM (
        SELECT {columns}, sum(octet_length(text)) OVER (ORDER BY number) - octet_length(text) AS before
        FROM (SELECT {columns} FROM journal WHERE run_id = %s AND number > %s ORDER BY number LIMIT %s) page
    ) sized WHERE before < %s ORDER BY number
"""
_READ = sql.SQL(_PAGE).format(columns=sql.SQL("number, kind, text")).as_bytes()
_READ_KEPT = sql.SQL(_PAGE).format(columns=sql.SQL("number, kind, event_type, timestamp, text")).as_bytes()


async def read(tx: Transaction, run_id: UUID, after: int, limit: int = PAGE_EVENTS) -> list[JournalEvent]:
    """The events after a number, in order: `limit` at most, or fewer where they are large. Empty at the end of the journal."""
    cursor = tx.connection.cursor(row_factory=tuple_row)
    rows = await (await cursor.execute(_READ, [run_id, after, limit, PAGE_BYTES])).fetchall()
    return [JournalEvent(number, _KINDS[kind], text) if kind in _KINDS else _unknown(number) for number, kind, text in rows]


_KINDS = {kind.value: kind for kind in EventKind}


def _unknown(number: int) -> JournalEvent:
    """An event of a kind that nobody knows, as one that is damaged: an entry whose text is no line of JSON."""
    return JournalEvent(number, EventKind.ENTRY, "")


async def read_kept(tx: Transaction, run_id: UUID, after: int, limit: int, most_bytes: int) -> list[KeptEvent]:
    """As `read`, with everything that is kept of each event: `limit` at most, and no more once their texts have so many bytes."""
    cursor = tx.connection.cursor(row_factory=tuple_row)
    rows = await (await cursor.execute(_READ_KEPT, [run_id, after, limit, most_bytes])).fetchall()
    return [
        KeptEvent(number, _KINDS.get(kind, EventKind.ENTRY), event_type, timestamp, text if kind in _KINDS else "")
        for number, kind, event_type, timestamp, text in rows
    ]


async def forget(tx: Transaction, run_id: UUID, last: int) -> int:
    """Take the events up to a number out of the table; how many there were."""
    return (await tx.connection.execute("DELETE FROM journal WHERE run_id = %s AND number <= %s", [run_id, last])).rowcount
