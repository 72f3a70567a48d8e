"""People and who belongs to which project."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import keyed, prefixed
from hedgerow.domain.access import User

_NAMES: tuple[LiteralString, ...] = (
    "id",
    "uuid",
    "distinct_id",
    "email",
    "first_name",
    "last_name",
    "is_staff",
    "current_project_id",
)
_FIRST_ACCOUNT = 0x6865_6467  # "hedg": an advisory lock
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _NAMES))


def prefixed_columns(alias: LiteralString) -> sql.Composed:
    """The columns of a joined `users` row, to be read with `from_row(row, prefix=alias + "__")`."""
    return prefixed(alias, _NAMES)


def from_row(row: Mapping[str, Any], prefix: str = "") -> User:
    """The person of a row."""
    return User(**{name: row[key] for name, key in keyed(prefix, _NAMES)})


async def add(tx: Transaction, user: User, created_at: datetime) -> User | None:
    """Store a person, whose `id` the database gives; None where the e-mail address is taken."""
    statement = sql.SQL(
        "INSERT INTO users (uuid, distinct_id, email, first_name, last_name, is_staff, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING {}"
    ).format(COLUMNS)
    values = [user.uuid, user.distinct_id, user.email, user.first_name, user.last_name, user.is_staff, created_at]
    row = await (await tx.connection.execute(statement, values)).fetchone()
    return None if row is None else from_row(row)


async def load(tx: Transaction, user_id: int) -> User | None:
    """A person by id."""
    row = await (await tx.connection.execute(sql.SQL("SELECT {} FROM users WHERE id = %s").format(COLUMNS), [user_id])).fetchone()
    return None if row is None else from_row(row)


async def find(tx: Transaction, email: str) -> User | None:
    """A person by e-mail address, upper and lower case being the same."""
    statement = sql.SQL("SELECT {} FROM users WHERE lower(email) = lower(%s)").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [email])).fetchone()
    return None if row is None else from_row(row)


async def lock_out_others(tx: Transaction) -> None:
    """Until the end of the transaction, nobody else who calls this goes on: one process at a time makes the first account."""
    await tx.connection.execute("SELECT pg_advisory_xact_lock(%s)", [_FIRST_ACCOUNT])


async def anybody(tx: Transaction) -> bool:
    """Whether there is any person."""
    return await (await tx.connection.execute("SELECT 1 FROM users LIMIT 1")).fetchone() is not None


async def join_project(tx: Transaction, user_id: int, project_id: int, created_at: datetime) -> None:
    """Make a person a member; their first project becomes the current one."""
    await tx.connection.execute(
        "INSERT INTO project_members (project_id, user_id, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
        [project_id, user_id, created_at],
    )
    await tx.connection.execute(
        "UPDATE users SET current_project_id = %s WHERE id = %s AND current_project_id IS NULL", [project_id, user_id]
    )


async def is_member(tx: Transaction, user_id: int, project_id: int) -> bool:
    """Whether a person belongs to a project."""
    statement: LiteralString = "SELECT 1 FROM project_members WHERE project_id = %s AND user_id = %s"
    return await (await tx.connection.execute(statement, [project_id, user_id])).fetchone() is not None


async def leave_project(tx: Transaction, user_id: int, project_id: int) -> bool:
    """End a membership. The oldest other project becomes the person's current one where this was. False where there was none."""
    ended = await tx.connection.execute("DELETE FROM project_members WHERE user_id = %s AND project_id = %s", [user_id, project_id])
    await tx.connection.execute(
        "UPDATE users SET current_project_id = (SELECT min(project_id) FROM project_members WHERE user_id = %(user)s)"
        " WHERE id = %(user)s AND current_project_id = %(project)s",
        {"user": user_id, "project": project_id},
    )
    return ended.rowcount > 0
