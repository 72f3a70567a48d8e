"""Tasks, each with its latest run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import dict_row

from hedgerow.db import runs, users
from hedgerow.db.database import BulkConnection, Transaction
from hedgerow.db.rows import as_json, keyed, prefixed, storable
from hedgerow.domain.tasks import OriginProduct, Task, TaskFilters

_OWN: tuple[LiteralString, ...] = (
    "id",
    "project_id",
    "task_number",
    "title",
    "title_manually_set",
    "description",
    "repository",
    "github_integration",
    "github_user_integration",
    "signal_report",
    "signal_report_task_relationship",
    "json_schema",
    "internal",
    "ci_prompt",
    "created_at",
    "updated_at",
)

_SELECT = sql.SQL("{}, {}, {}, t.origin_product AS t__origin_product, p.name AS project_name").format(
    prefixed("t", _OWN), runs.visible_columns("r"), users.prefixed_columns("u")
)
_LATEST_RUN = sql.SQL("LEFT JOIN LATERAL (SELECT * FROM runs WHERE runs.task_id = t.id ORDER BY number DESC LIMIT 1) r ON true")
_JOINS = sql.SQL("JOIN projects p ON p.id = t.project_id LEFT JOIN users u ON u.id = t.created_by {}").format(_LATEST_RUN)


def from_row(row: Mapping[str, Any]) -> Task:
    """The task of a row."""
    return Task(
        **{name: row[key] for name, key in keyed("t__", _OWN)},
        origin_product=OriginProduct(row["t__origin_product"]),
        project_name=row["project_name"],
        created_by=None if row["u__id"] is None else users.from_row(row, "u__"),
        latest_run=None if row["r__id"] is None else runs.visible_from_row(row, "r__"),
    )


async def add(tx: Transaction, columns: Mapping[str, Any]) -> None:
    """Store a task."""
    names = sorted(columns)
    statement = sql.SQL("INSERT INTO tasks ({}) VALUES ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join([sql.Placeholder()] * len(names))
    )
    await tx.connection.execute(statement, [_stored(name, columns[name]) for name in names])


async def change(tx: Transaction, task_id: UUID, columns: Mapping[str, Any]) -> None:
    """Write the named columns of a task."""
    names = sorted(columns)
    assignments = sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)
    statement = sql.SQL("UPDATE tasks SET {} WHERE id = %s").format(assignments)
    await tx.connection.execute(statement, [*(_stored(name, columns[name]) for name in names), task_id])


def _stored(name: str, value: Any) -> Any:
    if name == "json_schema":
        return None if value is None else as_json(value)
    return storable(value) if isinstance(value, str) else value


_FIND = sql.SQL("SELECT {} FROM tasks t {} WHERE t.id = %s AND t.project_id = %s AND t.deleted_at IS NULL").format(_SELECT, _JOINS)


async def find(tx: Transaction, project_id: int, task_id: UUID) -> Task | None:
    """A task as its URL names it, unless it was deleted. The one place that says who sees which task: every member sees all."""
    row = await (await tx.connection.execute(_FIND, [task_id, project_id])).fetchone()
    return None if row is None else from_row(row)


async def lock(tx: Transaction, project_id: int, task_id: UUID) -> bool:
    """Lock a task's row until the end of the transaction; False where there is no such task, or it was deleted."""
    statement: LiteralString = "SELECT 1 FROM tasks WHERE id = %s AND project_id = %s AND deleted_at IS NULL FOR NO KEY UPDATE"
    return await (await tx.connection.execute(statement, [task_id, project_id])).fetchone() is not None


async def delete(tx: Transaction, project_id: int, task_id: UUID, now: datetime) -> bool:
    """Hide a task; False where there is none to hide."""
    statement: LiteralString = "UPDATE tasks SET deleted_at = %s, updated_at = %s WHERE id = %s AND project_id = %s AND deleted_at IS NULL"
    cursor = await tx.connection.execute(statement, [now, now, task_id, project_id])
    return cursor.rowcount == 1


@dataclass(slots=True)
class _Conditions:
    """What a list is narrowed to: conditions that all hold, on `t` (the task) and `r` (its latest run, if asked for), with their values."""

    conditions: list[sql.Composable] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    on_latest_run: bool = False

    @property
    def narrow(self) -> bool:
        """Whether more is asked than which of a project's two lists is meant."""
        return len(self.conditions) > 1

    def add(self, condition: LiteralString, *values: Any) -> None:
        """Narrow by one more condition, with a `%s` for each value."""
        self.conditions.append(sql.SQL(condition))
        self.values.extend(values)


def select(connection: BulkConnection, project_id: int, filters: TaskFilters, limit: int, offset: int) -> tuple[int, list[Task]]:
    """How many tasks of a project the filters let through, and a page of them, newest first: one statement."""
    statement, values = page_query(project_id, filters, limit, offset)
    rows = connection.cursor(row_factory=dict_row, binary=True).execute(statement, values).fetchall()
    return rows[0]["count"], [from_row(row) for row in rows if row["t__id"] is not None]


def page_query(project_id: int, filters: TaskFilters, limit: int, offset: int) -> tuple[sql.Composed, list[Any]]:
    """The statement of a page, and its values.

    Whatever is narrowed has to be looked through as a whole. Without filters the page comes from an index, and the count from a counter.
    """
    wanted = _conditions(project_id, filters)
    where = sql.SQL(" AND ").join(wanted.conditions)
    if wanted.narrow:
        latest = _LATEST_RUN if wanted.on_latest_run else sql.SQL("")
        source, total, counter = _FOUND.format(latest=latest, conditions=where), _COUNTED, []
    else:
        source, total, counter = _ALL.format(conditions=where), _COUNTER, [filters.internal, project_id]
    statement = _PAGE.format(source=source, total=total, columns=_SELECT, joins=_JOINS)
    return statement, [*wanted.values, limit, offset, *counter]


_FOUND = sql.SQL("""
    found AS MATERIALIZED (SELECT t.id, t.created_at FROM tasks t {latest} WHERE {conditions}),
    page AS (SELECT id FROM found ORDER BY created_at DESC, id DESC LIMIT %s OFFSET %s)
""")
_ALL = sql.SQL("page AS (SELECT t.id FROM tasks t WHERE {conditions} ORDER BY t.created_at DESC, t.id DESC LIMIT %s OFFSET %s)")
_COUNTED = sql.SQL("SELECT count(*) AS count FROM found")
_COUNTER = sql.SQL("SELECT CASE WHEN %s THEN internal_task_count ELSE task_count END AS count FROM projects WHERE id = %s")
_PAGE = sql.SQL("""
    WITH {source} SELECT {columns}, total.count FROM ({total}) total LEFT JOIN (page JOIN tasks t ON t.id = page.id {joins}) ON true
    ORDER BY t.created_at DESC, t.id DESC
""")


def _conditions(project_id: int, filters: TaskFilters) -> _Conditions:
    conditions = _Conditions()
    conditions.add("t.project_id = %s AND t.deleted_at IS NULL AND t.internal = %s", project_id, filters.internal)
    if filters.origin_product is not None:
        conditions.add("t.origin_product = %s", storable(filters.origin_product))
    if filters.stage is not None:
        conditions.add("EXISTS (SELECT 1 FROM runs WHERE runs.task_id = t.id AND runs.stage = %s)", storable(filters.stage))
    if filters.organization is not None:
        conditions.add("starts_with(t.repository, %s)", storable(filters.organization).strip().lower() + "/")
    if filters.repository is not None:
        _add_repository(conditions, storable(filters.repository).strip().lower())
    if filters.created_by is not None:
        conditions.add("t.created_by = %s", filters.created_by)
    if filters.search is not None and filters.search.strip():
        _add_search(conditions, storable(filters.search).strip())
    if filters.status is not None:
        conditions.add("r.status = %s", filters.status.value)
        conditions.on_latest_run = True
    return conditions


def _add_repository(conditions: _Conditions, name: str) -> None:
    if "/" in name:
        conditions.add("t.repository = %s", name)
    else:
        conditions.add("split_part(t.repository, '/', 2) = %s", name)


def _add_search(conditions: _Conditions, text: str) -> None:
    """Title or description contain the text, or the task has the number that the text ends in, as in ABC-12."""
    number = text.rpartition("-")[2]
    contained: LiteralString = "strpos(lower(t.title), lower(%s)) > 0 OR strpos(lower(t.description), lower(%s)) > 0"
    if number.isascii() and number.isdigit() and len(number) <= 9:
        conditions.add("(" + contained + " OR t.task_number = %s)", text, text, int(number))
    else:
        conditions.add("(" + contained + ")", text, text)
