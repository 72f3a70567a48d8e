"""Registered repositories."""

from typing import Any, LiteralString

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.domain.repositories import Repository

_NAMES: tuple[LiteralString, ...] = ("id", "project_id", "name", "clone_url", "setup_command", "created_at")
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _NAMES))


def from_row(row: dict[str, Any]) -> Repository:
    """The repository of a row."""
    return Repository(**{name: row[name] for name in _NAMES})


async def put(tx: Transaction, repository: Repository, created_by: int) -> Repository:
    """Store a repository; one of the same name keeps its id and gets the new URL and set-up command."""
    statement = sql.SQL(
        "INSERT INTO repositories (id, project_id, name, clone_url, setup_command, created_by, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s) ON CONFLICT (project_id, name)"
        " DO UPDATE SET clone_url = excluded.clone_url, setup_command = excluded.setup_command RETURNING {}"
    ).format(COLUMNS)
    values = [
        repository.id,
        repository.project_id,
        repository.name,
        repository.clone_url,
        repository.setup_command,
        created_by,
        repository.created_at,
    ]
    row = await (await tx.connection.execute(statement, values)).fetchone()
    assert row is not None
    return from_row(row)


async def find(tx: Transaction, project_id: int, name: str) -> Repository | None:
    """The repository of that name."""
    statement = sql.SQL("SELECT {} FROM repositories WHERE project_id = %s AND name = %s").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [project_id, name])).fetchone()
    return None if row is None else from_row(row)


async def of_project(tx: Transaction, project_id: int) -> list[Repository]:
    """A project's repositories by name."""
    statement = sql.SQL("SELECT {} FROM repositories WHERE project_id = %s ORDER BY name").format(COLUMNS)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [project_id])).fetchall()]
