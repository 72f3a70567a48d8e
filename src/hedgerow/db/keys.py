"""Personal keys. The value of a key is never here, only its hash."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db import users
from hedgerow.db.database import Transaction
from hedgerow.domain.access import PersonalCaller, PersonalKey, User

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


_NAMES: tuple[LiteralString, ...] = ("id", "user_id", "label", "scopes", "project_ids", "created_at", "last_used_at")
_SELECT = sql.SQL("SELECT {}, {} FROM personal_api_keys k JOIN users u ON u.id = k.user_id ").format(
    sql.SQL(", ").join(sql.Identifier("k", name) for name in _NAMES), users.prefixed_columns("u")
)


async def select(tx: Transaction, user_id: int | None = None) -> list[tuple[PersonalKey, User]]:
    """Every key with its owner, newest first; one person's alone where they are named."""
    statement = _SELECT + sql.SQL("WHERE %(user)s::integer IS NULL OR k.user_id = %(user)s ORDER BY k.created_at DESC, k.id DESC")
    rows = await (await tx.connection.execute(statement, {"user": user_id})).fetchall()
    return [(_key(row), users.from_row(row, "u__")) for row in rows]


async def load(tx: Transaction, key_id: UUID) -> tuple[PersonalKey, User] | None:
    """A key with its owner."""
    row = await (await tx.connection.execute(_SELECT + sql.SQL("WHERE k.id = %s"), [key_id])).fetchone()
    return None if row is None else (_key(row), users.from_row(row, "u__"))


def _key(row: dict[str, Any]) -> PersonalKey:
    scopes, project_ids = frozenset(row["scopes"]), row["project_ids"]
    plain = {name: row[name] for name in _NAMES if name not in {"scopes", "project_ids"}}
    return PersonalKey(**plain, scopes=scopes, project_ids=None if project_ids is None else frozenset(project_ids))


async def remove(tx: Transaction, key_id: UUID) -> bool:
    """Forget a key, which opens nothing from then on. False where there was none."""
    return (await tx.connection.execute("DELETE FROM personal_api_keys WHERE id = %s", [key_id])).rowcount > 0


_OPENS: LiteralString = """
    SELECT 1 FROM personal_api_keys k JOIN project_members m ON m.user_id = k.user_id
    WHERE k.id = %(key)s AND m.project_id = %(project)s AND (k.project_ids IS NULL OR %(project)s = ANY (k.project_ids))
"""


async def opens(tx: Transaction, key_id: UUID, project_id: int) -> bool:
    """Whether a key still exists, and still leads into a project."""
    return await (await tx.connection.execute(_OPENS, {"key": key_id, "project": project_id})).fetchone() is not None
