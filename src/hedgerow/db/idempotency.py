"""Answers that are given again to the same Idempotency-Key."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from hedgerow.db.database import Transaction

KEPT = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Request:
    """A request under its key."""

    caller: str
    method: str
    path: str
    key: str

    @property
    def values(self) -> list[str]:
        """The primary key of its row."""
        return [self.caller, self.method, self.path, self.key]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was answered. An append keeps no body: it is answered with the run as it is now."""

    body_hash: bytes
    status: int | None
    body: bytes | None


async def take(tx: Transaction, request: Request, body_hash: bytes, now: datetime) -> bool:
    """Take a key for this transaction. False where it is taken: then its owner has committed, for whoever is at work is waited for."""
    await forget(tx, request, now - KEPT)
    cursor = await tx.connection.execute(
        "INSERT INTO idempotency_keys (caller, method, path, key, body_hash, created_at) VALUES (%s, %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        [*request.values, body_hash, now],
    )
    return cursor.rowcount == 1


async def keep(tx: Transaction, request: Request, status: int, body: bytes) -> None:
    """Keep the answer of a key that this transaction took."""
    await tx.connection.execute(
        "UPDATE idempotency_keys SET status = %s, body = %s WHERE caller = %s AND method = %s AND path = %s AND key = %s",
        [status, body, *request.values],
    )


async def load(tx: Transaction, request: Request) -> Kept | None:
    """What is kept under a key."""
    row = await (
        await tx.connection.execute(
            "SELECT body_hash, status, body FROM idempotency_keys WHERE caller = %s AND method = %s AND path = %s AND key = %s",
            request.values,
        )
    ).fetchone()
    if row is None:
        return None
    return Kept(bytes(row["body_hash"]), row["status"], None if row["body"] is None else bytes(row["body"]))


async def forget(tx: Transaction, request: Request, before: datetime) -> bool:
    """Drop a key that was taken before a moment; whether there was one."""
    cursor = await tx.connection.execute(
        "DELETE FROM idempotency_keys WHERE caller = %s AND method = %s AND path = %s AND key = %s AND created_at < %s",
        [*request.values, before],
    )
    return cursor.rowcount == 1


async def forget_old(tx: Transaction, now: datetime) -> int:
    """Drop every key that is older than a day; how many there were."""
    cursor = await tx.connection.execute("DELETE FROM idempotency_keys WHERE created_at < %s", [now - KEPT])
    return cursor.rowcount
