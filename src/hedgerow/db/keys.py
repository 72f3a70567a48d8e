"""Personal keys. The value of a key is never here, only its hash."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import sql

from hedgerow.db import users
from hedgerow.db.database import Transaction
from hedgerow.domain.access import PersonalCaller, PersonalKey

_USED_AGAIN_AFTER = timedelta(minutes=1)  # how exact last_used_at is: writing it at every request would cost more than it tells


@dataclass(frozen=True, slots=True)
class FoundKey:
    """A key with its owner, as one look-up finds them."""

    caller: PersonalCaller
    last_used_at: datetime | None


async def add(tx: Transaction, key: PersonalKey, key_hash: bytes) -> None:
    """Store a key under the SHA-256 of its value."""
    await tx.connection.execute(
        "INSERT INTO personal_api_keys (id, user_id, label, hash, scopes, project_ids, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [
            key.id,
            key.user_id,
            key.label,
            key_hash,
            sorted(key.scopes),
            None if key.project_ids is None else sorted(key.project_ids),
            key.created_at,
        ],
    )


_FIND = sql.SQL(
    "SELECT k.id AS key_id, k.scopes, k.project_ids, k.last_used_at, {}"
    " FROM personal_api_keys k JOIN users u ON u.id = k.user_id WHERE k.hash = %s"
).format(users.prefixed_columns("u"))


async def find(tx: Transaction, key_hash: bytes) -> FoundKey | None:
    """The caller that a key's hash stands for."""
    row: dict[str, Any] | None = await (await tx.connection.execute(_FIND, [key_hash])).fetchone()
    if row is None:
        return None
    project_ids = row["project_ids"]
    caller = PersonalCaller(
        user=users.from_row(row, "u__"),
        key_id=row["key_id"],
        scopes=frozenset(row["scopes"]),
        project_ids=None if project_ids is None else frozenset(project_ids),
    )
    return FoundKey(caller, row["last_used_at"])


async def note_use(tx: Transaction, found: FoundKey, now: datetime) -> None:
    """Remember that a key was used, to the minute."""
    if found.last_used_at is None or now - found.last_used_at > _USED_AGAIN_AFTER:
        await tx.connection.execute("UPDATE personal_api_keys SET last_used_at = %s WHERE id = %s", [now, found.caller.key_id])
