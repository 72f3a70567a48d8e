"""Projects, and the numbers of their tasks."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.domain.access import Project
from hedgerow.domain.readiness import Switches

_NAMES: tuple[LiteralString, ...] = ("id", "uuid", "name", "created_at")
_SWITCHES: dict[str, LiteralString] = {
    "proactive_tasks": "proactive_tasks_enabled",
    "session_recording": "session_recording_opt_in",
    "exception_capture": "autocapture_exceptions_opt_in",
}
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, (*_NAMES, *_SWITCHES.values())))


def from_row(row: dict[str, Any]) -> Project:
    """The project of a row."""
    switches = Switches(**{name: row[column] for name, column in _SWITCHES.items()})
    return Project(**{name: row[name] for name in _NAMES}, switches=switches)


async def add(tx: Transaction, uuid: UUID, name: str, created_at: datetime) -> Project:
    """Store a project."""
    statement = sql.SQL("INSERT INTO projects (uuid, name, created_at) VALUES (%s, %s, %s) RETURNING {}").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [uuid, name, created_at])).fetchone()
    assert row is not None
    return from_row(row)


async def load(tx: Transaction, project_id: int, *, lock: bool = False) -> Project | None:
    """A project by id. Locked, nobody else who locks it goes on before the transaction ends."""
    statement = sql.SQL("SELECT {} FROM projects WHERE id = %s").format(COLUMNS) + sql.SQL(" FOR NO KEY UPDATE" if lock else "")
    row = await (await tx.connection.execute(statement, [project_id])).fetchone()
    return None if row is None else from_row(row)


async def turn(tx: Transaction, project_id: int, switches: Mapping[str, bool]) -> Project | None:
    """Turn switches on or off, by their names in `Switches`; the project as it is then, None where there is none."""
    changes = [sql.SQL("{} = {}").format(sql.Identifier(_SWITCHES[name]), sql.Literal(on)) for name, on in switches.items()]
    statement = sql.SQL("UPDATE projects SET {} WHERE id = %s RETURNING {}").format(sql.SQL(", ").join(changes), COLUMNS)
    row = await (await tx.connection.execute(statement, [project_id])).fetchone()
    return None if row is None else from_row(row)


async def take_task_number(tx: Transaction, project_id: int) -> int:
    """The next number for a task: 0, 1, 2 … The project's row stays locked until the end of the transaction, so none is skipped."""
    statement: LiteralString = (
        "UPDATE projects SET next_task_number = next_task_number + 1 WHERE id = %s RETURNING next_task_number - 1 AS number"
    )
    row = await (await tx.connection.execute(statement, [project_id])).fetchone()
    assert row is not None
    return int(row["number"])


_FOR_MEMBER = sql.SQL(
    "SELECT {}, EXISTS (SELECT 1 FROM project_members WHERE project_id = projects.id AND user_id = %s) AS is_member"
    " FROM projects WHERE id = %s"
).format(COLUMNS)


async def find_for(tx: Transaction, project_id: int, user_id: int) -> tuple[Project, bool] | None:
    """A project, and whether a person belongs to it."""
    row = await (await tx.connection.execute(_FOR_MEMBER, [user_id, project_id])).fetchone()
    return None if row is None else (from_row(row), row["is_member"])


_OF_MEMBER = sql.SQL("SELECT {} FROM projects WHERE id IN (SELECT project_id FROM project_members WHERE user_id = %s) ORDER BY id").format(
    COLUMNS
)


async def of_member(tx: Transaction, user_id: int) -> list[Project]:
    """The projects that a person belongs to, oldest first."""
    return [from_row(row) for row in await (await tx.connection.execute(_OF_MEMBER, [user_id])).fetchall()]
