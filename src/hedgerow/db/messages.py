"""The inbox of a run."""

from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, storable
from hedgerow.domain.messages import Message, MessageStatus

_NAMES: tuple[LiteralString, ...] = ("id", "run_id", "position", "content", "artifacts", "status", "error", "created_at")
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


async def oldest_queued(tx: Transaction, run_id: UUID) -> Message | None:
    """The next message to deliver."""
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s AND status = 'queued' ORDER BY position LIMIT 1").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [run_id])).fetchone()
    return None if row is None else from_row(row)


async def of_run(tx: Transaction, run_id: UUID) -> list[Message]:
    """Every message of a run, in order."""
    statement = sql.SQL("SELECT {} FROM messages WHERE run_id = %s ORDER BY position").format(COLUMNS)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


async def mark_delivered(tx: Transaction, message_id: UUID) -> bool:
    """Note that the agent server has a message. False where its turn has ended already, or it is not queued any more."""
    cursor = await tx.connection.execute("UPDATE messages SET status = 'delivered' WHERE id = %s AND status = 'queued'", [message_id])
    return cursor.rowcount == 1


async def finish(tx: Transaction, run_id: UUID, message_id: UUID | None, error: str | None = None) -> bool:
    """Note that a message's turn has ended, with an error or without; None: of whatever was delivered. False where nothing changed.

    A turn may end before anybody noted that its message was delivered, so a queued message that is named counts too.
    """
    status = MessageStatus.ACKNOWLEDGED if error is None else MessageStatus.FAILED
    statement: LiteralString = (
        "UPDATE messages SET status = %(status)s, error = %(error)s WHERE run_id = %(run_id)s AND CASE WHEN %(id)s::uuid IS NULL"
        " THEN status = 'delivered' ELSE id = %(id)s AND status IN ('queued', 'delivered') END"
    )
    cursor = await tx.connection.execute(statement, {"status": status.value, "error": storable(error), "run_id": run_id, "id": message_id})
    return cursor.rowcount > 0


async def fail_unfinished(tx: Transaction, run_id: UUID, error: str) -> int:
    """Give up every message of a run whose turn has not ended; how many there were."""
    cursor = await tx.connection.execute(
        "UPDATE messages SET status = 'failed', error = %s WHERE run_id = %s AND status IN ('queued', 'delivered')",
        [storable(error), run_id],
    )
    return cursor.rowcount
