"""Answers that are given again to the same Idempotency-Key."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import LiteralString
from uuid import UUID

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
    held_until: datetime | None = None  # set while somebody works on it without a transaction


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
            "SELECT body_hash, status, body, held_until FROM idempotency_keys WHERE caller = %s AND method = %s AND path = %s AND key = %s",
            request.values,
        )
    ).fetchone()
    if row is None:
        return None
    body = None if row["body"] is None else bytes(row["body"])
    return Kept(bytes(row["body_hash"]), row["status"], body, row["held_until"])


_HOLD: LiteralString = """
    INSERT INTO idempotency_keys (caller, method, path, key, body_hash, created_at, holder, held_until)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (caller, method, path, key) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
    WHERE idempotency_keys.held_until <= excluded.created_at AND idempotency_keys.body_hash = excluded.body_hash
"""


async def hold(tx: Transaction, request: Request, body_hash: bytes, holder: UUID, now: datetime, until: datetime) -> bool:
    """Take a key without staying in a transaction: it is the holder's until then, and free for the same body afterwards.

    False where it is another one's, has an answer, or came with another body.
    """
    await forget(tx, request, now - KEPT)
    cursor = await tx.connection.execute(_HOLD, [*request.values, body_hash, now, holder, until])
    return cursor.rowcount == 1


async def hold_on(tx: Transaction, request: Request, holder: UUID, until: datetime) -> bool:
    """Go on holding a key. False where it is not the holder's any more."""
    cursor = await tx.connection.execute(
        "UPDATE idempotency_keys SET held_until = %s WHERE caller = %s AND method = %s AND path = %s AND key = %s AND holder = %s",
        [until, *request.values, holder],
    )
    return cursor.rowcount == 1


async def keep_held(tx: Transaction, request: Request, holder: UUID, status: int, body: bytes) -> bool:
    """Keep the answer of a key that is held. False where it is not the holder's any more."""
    cursor = await tx.connection.execute(
        "UPDATE idempotency_keys SET status = %s, body = %s, holder = NULL, held_until = NULL"
        " WHERE caller = %s AND method = %s AND path = %s AND key = %s AND holder = %s",
        [status, body, *request.values, holder],
    )
    return cursor.rowcount == 1


async def let_go(tx: Transaction, request: Request, holder: UUID) -> None:
    """Free a key that is held: what was done under it gave no answer to keep."""
    await tx.connection.execute(
        "DELETE FROM idempotency_keys WHERE caller = %s AND method = %s AND path = %s AND key = %s AND holder = %s",
        [*request.values, holder],
    )


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
