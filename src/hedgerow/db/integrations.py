"""Integrations of projects."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json
from hedgerow.domain.integrations import Integration, IntegrationKind

_NAMES: tuple[LiteralString, ...] = ("id", "project_id", "display_name", "config", "sealed_secret", "created_by", "created_at")
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, (*_NAMES, "kind")))


def from_row(row: dict[str, Any]) -> Integration:
    """The integration of a row."""
    return Integration(**{name: row[name] for name in _NAMES}, kind=IntegrationKind(row["kind"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class NewIntegration:
    """An integration that is to be stored."""

    project_id: int
    kind: IntegrationKind
    display_name: str
    created_at: datetime
    config: dict[str, Any] = field(default_factory=dict)
    created_by: int | None = None


async def add(tx: Transaction, new: NewIntegration) -> Integration:
    """Store an integration, without a secret as yet: its id, which the secret is bound to, comes from the database."""
    statement = sql.SQL(
        "INSERT INTO integrations (project_id, kind, display_name, config, created_by, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s) RETURNING {}"
    ).format(COLUMNS)
    values = [new.project_id, new.kind.value, new.display_name, as_json(new.config), new.created_by, new.created_at]
    row = await (await tx.connection.execute(statement, values)).fetchone()
    assert row is not None
    return from_row(row)


async def keep_secret(tx: Transaction, integration_id: int, sealed: bytes) -> None:
    """Put a sealed secret beside an integration, in the place of an earlier one."""
    await tx.connection.execute("UPDATE integrations SET sealed_secret = %s WHERE id = %s", [sealed, integration_id])


async def load(tx: Transaction, project_id: int, integration_id: int, *, lock: bool = False) -> Integration | None:
    """An integration of a project by id. Locked, it cannot go away before the transaction ends."""
    statement = sql.SQL("SELECT {} FROM integrations WHERE project_id = %s AND id = %s").format(COLUMNS)
    statement += sql.SQL(" FOR KEY SHARE" if lock else "")
    row = await (await tx.connection.execute(statement, [project_id, integration_id])).fetchone()
    return None if row is None else from_row(row)


async def of_project(tx: Transaction, project_id: int, kind: IntegrationKind | None = None) -> list[Integration]:
    """A project's integrations, oldest first; only those of a kind where one is named."""
    statement = sql.SQL("SELECT {} FROM integrations WHERE project_id = %s AND (%s::text IS NULL OR kind = %s) ORDER BY id").format(COLUMNS)
    rows = await (await tx.connection.execute(statement, [project_id, kind, kind])).fetchall()
    return [from_row(row) for row in rows]


async def remove(tx: Transaction, project_id: int, integration_id: int) -> bool:
    """Remove an integration; False where there was none."""
    removed = await tx.connection.execute("DELETE FROM integrations WHERE project_id = %s AND id = %s", [project_id, integration_id])
    return removed.rowcount > 0
