"""Permission requests of runs. Whoever writes here holds the lock of the run's row."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, storable
from hedgerow.domain.permission_requests import PermissionAnswer, PermissionRequest, RequestState

_PLAIN: tuple[LiteralString, ...] = ("run_id", "options", "tool_call", "asked_at", "deadline", "answered_at", "answered_by", "delivered_at")
_SELECT: LiteralString = "SELECT p.*, r.task_id FROM permission_requests p JOIN runs r ON r.id = p.run_id "
_IN_ORDER: LiteralString = " ORDER BY p.asked_at, p.request_id"
_OPEN: LiteralString = "(p.state = 'waiting' OR (p.state IN ('answered', 'expired') AND p.delivered_at IS NULL))"


def from_row(row: Mapping[str, Any]) -> PermissionRequest:
    """The request of a row."""
    answered = row["answered_at"] is not None
    return PermissionRequest(
        **{name: row[name] for name in _PLAIN},
        id=row["request_id"],
        task_id=row["task_id"],
        state=RequestState(row["state"]),
        answer=PermissionAnswer(option_id=row["option_id"], input=row["input"]) if answered else None,
        reason=row["reason"],
    )


async def add(tx: Transaction, request: PermissionRequest) -> bool:
    """Keep a request. False where it is known already; that one stays as it is."""
    cursor = await tx.connection.execute(
        "INSERT INTO permission_requests (run_id, request_id, options, tool_call, asked_at, deadline, state, reason)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [
            request.run_id,
            request.id,
            as_json(list(request.options)),
            as_json(dict(request.tool_call)),
            request.asked_at,
            request.deadline,
            request.state.value,
            request.reason,
        ],
    )
    return cursor.rowcount == 1


async def find(tx: Transaction, run_id: UUID, request_id: str) -> PermissionRequest | None:
    """A request of a run."""
    statement = sql.SQL(_SELECT) + sql.SQL("WHERE p.run_id = %s AND p.request_id = %s")
    row = await (await tx.connection.execute(statement, [run_id, request_id])).fetchone()
    return None if row is None else from_row(row)


async def save(tx: Transaction, request: PermissionRequest) -> None:
    """Write where a request stands now."""
    answer = request.answer
    await tx.connection.execute(
        "UPDATE permission_requests SET state = %s, option_id = %s, input = %s, answered_at = %s, answered_by = %s, reason = %s,"
        " delivered_at = %s WHERE run_id = %s AND request_id = %s",
        [
            request.state.value,
            None if answer is None else storable(answer.option_id),
            as_json({} if answer is None else dict(answer.input)),
            request.answered_at,
            request.answered_by,
            storable(request.reason),
            request.delivered_at,
            request.run_id,
            request.id,
        ],
    )


async def open_of_run(tx: Transaction, run_id: UUID) -> list[PermissionRequest]:
    """The requests of a run that wait, or whose answer the agent has not got, in the order in which they were asked."""
    statement = sql.SQL(_SELECT) + sql.SQL("WHERE p.run_id = %s AND ") + sql.SQL(_OPEN) + sql.SQL(_IN_ORDER)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


async def first_undelivered(tx: Transaction, run_id: UUID) -> PermissionRequest | None:
    """The request that was answered first of those whose answer the agent has not got."""
    statement = sql.SQL(_SELECT) + sql.SQL(
        "WHERE p.run_id = %s AND p.state IN ('answered', 'expired') AND p.delivered_at IS NULL ORDER BY p.answered_at, p.request_id LIMIT 1"
    )
    row = await (await tx.connection.execute(statement, [run_id])).fetchone()
    return None if row is None else from_row(row)


async def overdue(tx: Transaction, run_id: UUID, now: datetime) -> list[PermissionRequest]:
    """The requests of a run whose deadline is over."""
    statement = sql.SQL(_SELECT) + sql.SQL("WHERE p.run_id = %s AND p.state = 'waiting' AND p.deadline <= %s") + sql.SQL(_IN_ORDER)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id, now])).fetchall()]


async def page(
    tx: Transaction, project_id: int, run_id: UUID | None, state: RequestState | None, limit: int, offset: int
) -> tuple[int, list[PermissionRequest]]:
    """How many requests a run has, or all runs of a project whose task was not deleted, and a page of them, oldest first."""
    values = {"project_id": project_id, "run_id": run_id, "state": state, "limit": limit, "offset": offset}
    wanted: LiteralString = (
        "WHERE r.project_id = %(project_id)s AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = r.task_id AND t.deleted_at IS NULL)"
    )
    where = sql.Composed([sql.SQL(wanted)])
    if run_id is not None:
        where += sql.SQL(" AND p.run_id = %(run_id)s")
    if state is not None:
        where += sql.SQL(" AND p.state = %(state)s")
    counting = sql.SQL("SELECT count(*) AS count FROM permission_requests p JOIN runs r ON r.id = p.run_id ") + where
    count = await (await tx.connection.execute(counting, values)).fetchone()
    assert count is not None
    statement = sql.SQL(_SELECT) + where + sql.SQL(_IN_ORDER) + sql.SQL(" LIMIT %(limit)s OFFSET %(offset)s")
    return count["count"], [from_row(row) for row in await (await tx.connection.execute(statement, values)).fetchall()]
