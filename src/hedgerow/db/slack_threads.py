"""Which thread of Slack the runs of a task are told in."""

from datetime import datetime
from uuid import UUID

from hedgerow.db.database import Transaction
from hedgerow.domain.relays import MappedThread, Thread


async def put(tx: Transaction, task_id: UUID, mapped: MappedThread, created_by: int | None, now: datetime) -> None:
    """Map a task to a thread, in the place of an earlier one."""
    await tx.connection.execute(
        "INSERT INTO slack_threads (task_id, channel, thread_ts, url, created_by, created_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (task_id) DO UPDATE SET channel = excluded.channel, thread_ts = excluded.thread_ts, url = excluded.url,"
        " created_by = excluded.created_by, created_at = excluded.created_at",
        [task_id, mapped.thread.channel, mapped.thread.ts, mapped.url, created_by, now],
    )


async def load(tx: Transaction, task_id: UUID) -> MappedThread | None:
    """A task's thread."""
    cursor = await tx.connection.execute("SELECT channel, thread_ts, url FROM slack_threads WHERE task_id = %s", [task_id])
    row = await cursor.fetchone()
    return None if row is None else MappedThread(Thread(row["channel"], row["thread_ts"]), row["url"])


async def remove(tx: Transaction, task_id: UUID) -> bool:
    """Forget a task's thread; False where there was none."""
    return (await tx.connection.execute("DELETE FROM slack_threads WHERE task_id = %s", [task_id])).rowcount > 0
