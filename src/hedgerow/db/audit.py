"""The record of who did what."""

from typing import Any, LiteralString

from psycopg import sql

from hedgerow.db import users
from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, storable
from hedgerow.domain.audit import ActorKind, AuditAction, AuditEntry, AuditFilters, AuditNote

_PLAIN: tuple[LiteralString, ...] = (
    "at",
    "user_id",
    "key_id",
    "acting_run_id",
    "project_id",
    "task_id",
    "run_id",
    "subject",
    "request_id",
)
_INSERT = sql.SQL("INSERT INTO audit ({}, actor, action, detail) VALUES ({}, %s, %s, %s)").format(
    sql.SQL(", ").join(map(sql.Identifier, _PLAIN)), sql.SQL(", ").join(sql.Placeholder() for _ in _PLAIN)
)


async def add(tx: Transaction, note: AuditNote) -> None:
    """Record a note."""
    values = [getattr(note, name) for name in _PLAIN]
    plain = [storable(value) if isinstance(value, str) else value for value in values]
    await tx.connection.execute(_INSERT, [*plain, note.actor.value, note.action.value, as_json(dict(note.detail))])


_CONDITIONS: dict[str, LiteralString] = {
    "project_id": "a.project_id = %(project_id)s",
    "task_id": "a.task_id = %(task_id)s",
    "run_id": "a.run_id = %(run_id)s",
    "action": "a.action = %(action)s",
    "actor": "a.actor = %(actor)s",
    "user_id": "a.user_id = %(user_id)s",
    "after": "a.at > %(after)s",
}
_SELECT = sql.SQL("SELECT a.number, a.actor, a.action, a.detail, {}, {} FROM audit a LEFT JOIN users u ON u.id = a.user_id ").format(
    sql.SQL(", ").join(sql.Identifier("a", name) for name in _PLAIN), users.prefixed_columns("u")
)


async def select(tx: Transaction, filters: AuditFilters, limit: int, offset: int) -> tuple[int, list[AuditEntry]]:
    """How many notes pass the filters, and a page of them, newest first."""
    given = {name: getattr(filters, name) for name in _CONDITIONS if getattr(filters, name) is not None}
    where = sql.SQL("WHERE ") + (sql.SQL(" AND ").join(sql.SQL(_CONDITIONS[name]) for name in given) if given else sql.SQL("true"))
    count = await (await tx.connection.execute(sql.SQL("SELECT count(*) AS count FROM audit a ") + where, given)).fetchone()
    assert count is not None
    page = _SELECT + where + sql.SQL(" ORDER BY a.number DESC LIMIT %(limit)s OFFSET %(offset)s")
    rows = await (await tx.connection.execute(page, {**given, "limit": limit, "offset": offset})).fetchall()
    return count["count"], [_from_row(row) for row in rows]


def _from_row(row: dict[str, Any]) -> AuditEntry:
    note = AuditNote(
        **{name: row[name] for name in _PLAIN},
        actor=ActorKind(row["actor"]),
        action=AuditAction(row["action"]),
        detail=row["detail"],
    )
    return AuditEntry(number=row["number"], note=note, user=None if row["u__id"] is None else users.from_row(row, "u__"))
