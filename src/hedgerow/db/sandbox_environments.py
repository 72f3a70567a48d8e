"""Sandbox environments of projects."""

from collections.abc import Mapping
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db import users
from hedgerow.db.database import Transaction
from hedgerow.db.rows import storable
from hedgerow.domain.sandbox_environments import NetworkAccess, SandboxEnvironment

_NAMES: tuple[LiteralString, ...] = (
    "id",
    "project_id",
    "name",
    "include_default_domains",
    "sealed_variables",
    "private",
    "internal",
    "created_at",
    "updated_at",
)

_SELECT = sql.SQL("SELECT {}, {} FROM sandbox_environments e LEFT JOIN users u ON u.id = e.created_by ").format(
    sql.SQL(", ").join(sql.Identifier("e", name) for name in (*_NAMES, "allowed_domains", "repositories", "network_access_level")),
    users.prefixed_columns("u"),
)


def from_row(row: dict[str, Any]) -> SandboxEnvironment:
    """The sandbox environment of a row."""
    return SandboxEnvironment(
        **{name: row[name] for name in _NAMES},
        allowed_domains=tuple(row["allowed_domains"]),
        repositories=tuple(row["repositories"]),
        network_access_level=NetworkAccess(row["network_access_level"]),
        created_by=None if row["u__id"] is None else users.from_row(row, "u__"),
    )


async def find(tx: Transaction, project_id: int, environment_id: UUID, *, lock: bool = False) -> SandboxEnvironment | None:
    """A sandbox environment of a project by id."""
    statement = _SELECT + sql.SQL("WHERE e.project_id = %s AND e.id = %s" + (" FOR UPDATE OF e" if lock else ""))
    row = await (await tx.connection.execute(statement, [project_id, environment_id])).fetchone()
    return None if row is None else from_row(row)


_LISTED = sql.SQL("WHERE e.project_id = %(project)s AND NOT e.internal AND (NOT e.private OR e.created_by = %(user)s)")
_COUNT = sql.SQL("SELECT count(*) AS count FROM sandbox_environments e ") + _LISTED
_PAGE = _SELECT + _LISTED + sql.SQL(" ORDER BY e.created_at DESC, e.id DESC LIMIT %(limit)s OFFSET %(offset)s")


async def select(tx: Transaction, project_id: int, user_id: int, limit: int, offset: int) -> tuple[int, list[SandboxEnvironment]]:
    """How many a person finds in a project's list, and a page of them, newest first."""
    values = {"project": project_id, "user": user_id, "limit": limit, "offset": offset}
    count = await (await tx.connection.execute(_COUNT, values)).fetchone()
    assert count is not None
    rows = await (await tx.connection.execute(_PAGE, values)).fetchall()
    return count["count"], [from_row(row) for row in rows]


async def add(tx: Transaction, columns: Mapping[str, Any]) -> None:
    """Store a new sandbox environment."""
    names = sorted(columns)
    statement = sql.SQL("INSERT INTO sandbox_environments ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(sql.Placeholder() for _ in names)
    )
    await tx.connection.execute(statement, [_stored(columns[name]) for name in names])


async def change(tx: Transaction, environment_id: UUID, columns: Mapping[str, Any]) -> None:
    """Write the named columns."""
    names = sorted(columns)
    changes = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)
    statement = sql.SQL("UPDATE sandbox_environments SET {} WHERE id = %s").format(changes)
    await tx.connection.execute(statement, [*(_stored(columns[name]) for name in names), environment_id])


async def remove(tx: Transaction, environment_id: UUID) -> None:
    """Remove a sandbox environment with its variables."""
    await tx.connection.execute("DELETE FROM sandbox_environments WHERE id = %s", [environment_id])


def _stored(value: Any) -> Any:
    if isinstance(value, tuple):
        return [storable(item) for item in value]
    return storable(value) if isinstance(value, str) else value
