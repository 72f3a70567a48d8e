"""The inbox of a run."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, storable
from hedgerow.domain.messages import Message, MessageStatus

_NAMES: tuple[LiteralString, ...] = ("id", "run_id", "position", "content", "artifacts", "status", "error", "created_at", "taken_at")
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _NAMES))


def from_row(row: dict[str, Any]) -> Message:
    """The message of a row."""
    return Message(**{name: row[name] for name in _NAMES} | {"status": MessageStatus(row["status"])})


async def add(tx: Transaction, message: Message) -> Message:
    """Put a message at the end of its run's inbox; the run's row must be locked. `position` is given here."""
    statement = sql.SQL(
        "INSERT INTO messages (id, run_id, position, content, artifacts, status, created_at)"
        " SELECT %(id)s, %(run_id)s, coalesce(max(position), 0) + 1, %(content)s, %(artifacts)s, 'queued', %(created_at)s"
        " FROM messages WHERE run_id = %(run_id)s RETURNING {}"
    ).format(COLUMNS)
    values = {
        "id": message.id,
        "run_id": message.run_id,
        "content": storable(message.content),
        "artifacts": as_json(message.artifacts),
        "created_at": message.created_at,
    }
    row = await (await tx.connection.execute(statement, values)).fetchone()
    assert row is not None
    return from_row(row)


_TAKE: LiteralString = """
    UPDATE messages SET taken_at = coalesce(taken_at, %(now)s) WHERE id = (
        SELECT id FROM messages WHERE run_id = %(run_id)s AND status = 'queued' ORDER BY taken_at IS NULL, position LIMIT 1
    ) RETURNING {}
"""


async def take(tx: Transaction, run_id: UUID, now: datetime) -> Message | None:
    """Take the next message to deliver, for good: one that was taken before and did not arrive, else the first that waits.

    The run's row must be locked: whoever moves messages or takes them back holds it too.
    """
    row = await (await tx.connection.execute(sql.SQL(_TAKE).format(COLUMNS), {"run_id": run_id, "now": now})).fetchone()
    return None if row is None else from_row(row)


async def find(tx: Transaction, run_id: UUID, message_id: UUID) -> Message | None:
    """A message of a run."""
    statement = sql.SQL("SELECT {} FROM messages WHERE id = %s AND run_id = %s").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [message_id, run_id])).fetchone()
    return None if row is None else from_row(row)


async def waiting(tx: Transaction, run_id: UUID) -> list[Message]:
    """The messages that no worker has taken, in order."""
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s AND status = 'queued' AND taken_at IS NULL ORDER BY position")
    return [from_row(row) for row in await (await tx.connection.execute(statement.format(COLUMNS), [run_id])).fetchall()]


_HAS_TAKEN: LiteralString = """
    SELECT 1 FROM messages WHERE run_id = %s AND (status = 'delivered' OR (status = 'queued' AND taken_at IS NOT NULL)) LIMIT 1
"""


async def has_taken(tx: Transaction, run_id: UUID) -> bool:
    """Whether a message is with the agent or on its way there, so that a turn runs."""
    return await (await tx.connection.execute(_HAS_TAKEN, [run_id])).fetchone() is not None


async def in_flight(tx: Transaction, run_id: UUID) -> Message | None:
    """The message that is with the agent or on its way there; None where no turn runs. There is never more than one."""
    statement = sql.SQL(
        "SELECT {} FROM messages WHERE run_id = %s AND (status = 'delivered' OR (status = 'queued' AND taken_at IS NOT NULL))"
        " ORDER BY status, position LIMIT 1"
    ).format(COLUMNS)
    row = await (await tx.connection.execute(statement, [run_id])).fetchone()
    return None if row is None else from_row(row)


async def last_heard(tx: Transaction, run_id: UUID) -> Message | None:
    """The last message whose turn has ended; None where there is none."""
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s AND status = 'acknowledged' ORDER BY position DESC LIMIT 1")
    row = await (await tx.connection.execute(statement.format(COLUMNS), [run_id])).fetchone()
    return None if row is None else from_row(row)


async def place(tx: Transaction, positions: Mapping[UUID, int]) -> None:
    """Give messages of one run, whose row is locked, new positions. Between them they are a permutation of what they had."""
    await tx.connection.execute(
        "UPDATE messages SET position = new.position"
        " FROM unnest(%s::uuid[], %s::bigint[]) AS new (id, position) WHERE messages.id = new.id",
        [list(positions), list(positions.values())],
    )


async def remove(tx: Transaction, message_id: UUID) -> None:
    """Forget a message that waits."""
    await tx.connection.execute("DELETE FROM messages WHERE id = %s", [message_id])


async def page_of_run(tx: Transaction, run_id: UUID, limit: int, offset: int) -> tuple[int, list[Message]]:
    """How many messages a run has, and a page of them, in order."""
    count = await (await tx.connection.execute("SELECT count(*) AS count FROM messages WHERE run_id = %s", [run_id])).fetchone()
    assert count is not None
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s ORDER BY position LIMIT %s OFFSET %s").format(COLUMNS)
    rows = await (await tx.connection.execute(statement, [run_id, limit, offset])).fetchall()
    return count["count"], [from_row(row) for row in rows]


async def of_run(tx: Transaction, run_id: UUID) -> list[Message]:
    """Every message of a run, in order."""
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s ORDER BY position").format(COLUMNS)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


async def mark_delivered(tx: Transaction, message_id: UUID) -> bool:
    """Note that the agent server has a message. False where its turn has ended already, or it is not queued any more."""
    cursor = await tx.connection.execute("UPDATE messages SET status = 'delivered' WHERE id = %s AND status = 'queued'", [message_id])
    return cursor.rowcount == 1


async def finish(tx: Transaction, run_id: UUID, message_id: UUID | None, error: str | None = None) -> list[UUID]:
    """Note that a message's turn has ended, with an error or without; None: of whatever was delivered. The messages that this ended.

    A turn may end before anybody noted that its message was delivered, so a queued message that is named counts too.
    """
    status = MessageStatus.ACKNOWLEDGED if error is None else MessageStatus.FAILED
    statement: LiteralString = (
        "UPDATE messages SET status = %(status)s, error = %(error)s WHERE run_id = %(run_id)s AND CASE WHEN %(id)s::uuid IS NULL"
        " THEN status = 'delivered' ELSE id = %(id)s AND status IN ('queued', 'delivered') END RETURNING id"
    )
    values = {"status": status.value, "error": storable(error), "run_id": run_id, "id": message_id}
    return [row["id"] for row in await (await tx.connection.execute(statement, values)).fetchall()]


_FAIL: LiteralString = """
    WITH failed AS (
        UPDATE messages SET status = 'failed', error = %(error)s
        WHERE run_id = %(run_id)s AND status IN ('queued', 'delivered') RETURNING id, position
    ) SELECT id FROM failed ORDER BY position
"""


async def fail_unfinished(tx: Transaction, run_id: UUID, error: str) -> list[UUID]:
    """Give up every message of a run whose turn has not ended; those messages, in order."""
    cursor = await tx.connection.execute(_FAIL, {"error": storable(error), "run_id": run_id})
    return [row["id"] for row in await cursor.fetchall()]
