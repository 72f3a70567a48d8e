"""Relays: queued with what they tell, taken for one attempt at a time, and never again once they are over."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import prefixed, storable
from hedgerow.domain.relays import Relay, RelayKind, RelayStatus, Thread

_PLAIN: tuple[LiteralString, ...] = (
    "id",
    "run_id",
    "project_id",
    "text",
    "attempts",
    "attempt_at",
    "doubtful",
    "message_ts",
    "error",
    "created_at",
)
_NAMES: tuple[LiteralString, ...] = (*_PLAIN, "kind", "status", "channel", "thread_ts")
_PREFIX = "relays__"


def from_row(row: Mapping[str, Any]) -> Relay:
    """The relay of a row."""
    return Relay(
        **{name: row[_PREFIX + name] for name in _PLAIN},
        kind=RelayKind(row[_PREFIX + "kind"]),
        status=RelayStatus(row[_PREFIX + "status"]),
        thread=Thread(row[_PREFIX + "channel"], row[_PREFIX + "thread_ts"]),
    )


async def add(tx: Transaction, relay: Relay) -> bool:
    """Queue a relay behind the others of its run, whose row is locked. False where the run has told of that pull request before."""
    cursor = await tx.connection.execute(
        "INSERT INTO relays (id, run_id, project_id, kind, channel, thread_ts, text, attempt_at, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (run_id, text) WHERE kind = 'pull_request' DO NOTHING",
        [
            relay.id,
            relay.run_id,
            relay.project_id,
            relay.kind.value,
            relay.thread.channel,
            relay.thread.ts,
            storable(relay.text),
            relay.attempt_at,
            relay.created_at,
        ],
    )
    return cursor.rowcount == 1


async def of_run(tx: Transaction, run_id: UUID) -> list[Relay]:
    """Every relay of a run, in order."""
    statement = sql.SQL("SELECT {} FROM relays WHERE run_id = %s ORDER BY number").format(prefixed("relays", _NAMES))
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


async def count_queued(tx: Transaction, run_id: UUID) -> int:
    """How many relays of a run wait."""
    statement: LiteralString = "SELECT count(*) AS count FROM relays WHERE run_id = %s AND status = 'queued'"
    row = await (await tx.connection.execute(statement, [run_id])).fetchone()
    assert row is not None
    return int(row["count"])


async def forget_old(tx: Transaction, before: datetime) -> int:
    """Forget the relays that are over and were queued before a moment; how many there were."""
    return (await tx.connection.execute("DELETE FROM relays WHERE status <> 'queued' AND created_at < %s", [before])).rowcount


_TAKE: LiteralString = """
    WITH due AS (
        SELECT id, doubtful FROM relays WHERE status = 'queued' AND attempt_at <= %(now)s
        AND NOT EXISTS (
            SELECT 1 FROM relays AS earlier
            WHERE earlier.run_id = relays.run_id AND earlier.status = 'queued' AND earlier.number < relays.number
        )
        ORDER BY attempt_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED
    )
    UPDATE relays SET attempts = attempts + 1, attempt_at = %(lost_at)s, doubtful = true FROM due WHERE relays.id = due.id
    RETURNING {columns}, due.doubtful AS was_doubtful
"""


async def take_due(tx: Transaction, now: datetime, lost_at: datetime, limit: int) -> list[Relay]:
    """Take relays whose time has come, at most the first of each run, so that nobody else does before `lost_at`.

    `doubtful` says how they were found. Their rows count as doubtful from now on: should whoever takes them die, nobody knows how
    far it came.
    """
    statement = sql.SQL(_TAKE).format(columns=prefixed("relays", _NAMES))
    cursor = await tx.connection.execute(statement, {"now": now, "lost_at": lost_at, "limit": limit})
    return [replace(from_row(row), doubtful=row["was_doubtful"]) for row in await cursor.fetchall()]


async def mark_sent(tx: Transaction, relay: Relay, message_ts: str) -> bool:
    """Note that a relay was posted, whoever says so. False where that was known."""
    cursor = await tx.connection.execute(
        "UPDATE relays SET status = 'sent', message_ts = %s, doubtful = false, error = NULL WHERE id = %s AND status <> 'sent'",
        [message_ts, relay.id],
    )
    return cursor.rowcount == 1


async def postpone(tx: Transaction, relay: Relay, until: datetime, error: str, *, doubtful: bool) -> bool:
    """Leave a relay for a later attempt. False where this attempt is not the last one any more."""
    cursor = await tx.connection.execute(
        "UPDATE relays SET attempt_at = %s, error = %s, doubtful = %s WHERE id = %s AND status = 'queued' AND attempts = %s",
        [until, storable(error), doubtful, relay.id, relay.attempts],
    )
    return cursor.rowcount == 1


async def mark_failed(tx: Transaction, relay: Relay, error: str) -> bool:
    """Give a relay up. False where this attempt is not the last one any more."""
    cursor = await tx.connection.execute(
        "UPDATE relays SET status = 'failed', error = %s WHERE id = %s AND status = 'queued' AND attempts = %s",
        [storable(error), relay.id, relay.attempts],
    )
    return cursor.rowcount == 1
