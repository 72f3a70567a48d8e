"""Runs: their rows, and changes to them. Who changes a run that others may change holds its row's lock."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, keyed, prefixed, storable
from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunStatus, SandboxHandle, TaskRun, VisibleRun

_SEEN: tuple[LiteralString, ...] = (
    "id",
    "task_id",
    "project_id",
    "number",
    "stage",
    "branch",
    "error_message",
    "output",
    "created_at",
    "updated_at",
    "completed_at",
)
_FACTS: tuple[LiteralString, ...] = (
    "started_at",
    "claimed_at",
    "place",
    "epoch",
    "node_id",
    "sandbox_made_at",
    "prepare_attempts",
    "retry_at",
    "checked_out_at",
    "base_commit",
    "session_ready_at",
    "turn_started_at",
    "turn_ended_at",
    "stop_reason",
    "active_at",
    "cancel_requested_at",
    "stop_by",
    "landed_at",
    "cleaned_at",
    "checkpoint",
    "checkpointed_at",
    "checkpointed_turn",
    "checkpointed_at_rest",
    "checkpoint_failed",
    "restarting",
    "wake_at",
)
_VISIBLE: tuple[LiteralString, ...] = (*_SEEN, "status", "environment", "state")
_NAMES: tuple[LiteralString, ...] = (*_VISIBLE, *_FACTS, "sandbox", "failure", "stopping", "ending")

# Most runs have no artifacts, and an append answers with the run: the manifest is put together only where there is one.
_MANIFEST = sql.SQL("""
    CASE WHEN {run}.artifact_count > 0 THEN (
        SELECT json_agg(json_build_object(
            'id', a.id, 'name', a.name, 'type', a.type, 'source', a.source, 'size', a.size, 'content_type', a.content_type,
            'storage_path', a.storage_path,
            'uploaded_at', to_char(a.uploaded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')
        ) ORDER BY a.position) FROM artifacts a WHERE a.run_id = {run}.id
    ) END AS {name}
""")
COLUMNS = sql.SQL(", ").join([*map(sql.Identifier, _NAMES), _MANIFEST.format(run=sql.Identifier("runs"), name=sql.Identifier("artifacts"))])

_JSON_COLUMNS = frozenset({"output", "state", "sandbox", "failure", "stopping", "ending", "checkpoint"})
_STATUSES = {status.value: status for status in RunStatus}
_ENVIRONMENTS = {environment.value: environment for environment in Environment}
_ONE_STEP = timedelta(milliseconds=1)
_HOPS = 10  # the most steps back that a resume chain is followed


def visible_columns(alias: LiteralString) -> sql.Composed:
    """The columns of a joined `runs` row that its clients see, to be read with `visible_from_row(row, alias + "__")`."""
    manifest = _MANIFEST.format(run=sql.Identifier(alias), name=sql.Identifier(f"{alias}__artifacts"))
    return sql.SQL(", ").join([prefixed(alias, _VISIBLE), manifest])


def visible_from_row(row: Mapping[str, Any], prefix: str) -> VisibleRun:
    """What clients see of the run of a row."""
    seen = {name: row[key] for name, key in keyed(prefix, _SEEN)}
    return VisibleRun(
        **seen,
        status=_STATUSES[row[prefix + "status"]],
        environment=_ENVIRONMENTS[row[prefix + "environment"]],
        state=row[prefix + "state"],
        artifacts=row[prefix + "artifacts"] or [],
    )


def from_row(row: Mapping[str, Any]) -> TaskRun:
    """The run of a row."""
    sandbox = row["sandbox"]
    return TaskRun(
        **{name: row[name] for name in _SEEN},
        status=RunStatus(row["status"]),
        environment=Environment(row["environment"]),
        state=row["state"],
        artifacts=row["artifacts"] or [],
        execution=Execution(
            **{name: row[name] for name in _FACTS},
            sandbox=None if sandbox is None else SandboxHandle(provider=sandbox["provider"], id=sandbox["id"]),
            failure=_ending(row["failure"]),
            stopping=_ending(row["stopping"]),
            ending=_ending(row["ending"]),
        ),
    )


def _ending(stored: Mapping[str, Any] | None) -> Ending | None:
    if stored is None:
        return None
    return Ending(status=RunStatus(stored["status"]), reason=EndReason(stored["reason"]), message=stored.get("message"))


_LOAD = sql.SQL("SELECT {} FROM runs WHERE id = %s").format(COLUMNS).as_bytes()
_LOAD_ALL = sql.SQL("SELECT {} FROM runs WHERE id = ANY (%s)").format(COLUMNS).as_bytes()
_LOCK = sql.SQL("SELECT {} FROM runs WHERE id = %s FOR UPDATE").format(COLUMNS).as_bytes()


async def load(tx: Transaction, run_id: UUID) -> TaskRun | None:
    """A run by id."""
    row = await (await tx.connection.execute(_LOAD, [run_id])).fetchone()
    return None if row is None else from_row(row)


async def load_all(tx: Transaction, run_ids: Sequence[UUID]) -> list[TaskRun]:
    """Those of the runs that exist, in no order."""
    return [from_row(row) for row in await (await tx.connection.execute(_LOAD_ALL, [list(run_ids)])).fetchall()]


async def load_for_update(tx: Transaction, run_id: UUID) -> TaskRun | None:
    """The freshest row of a run, locked until the end of the transaction."""
    row = await (await tx.connection.execute(_LOCK, [run_id])).fetchone()
    return None if row is None else from_row(row)


_FIND: LiteralString = """
    SELECT {} FROM runs WHERE id = %s AND task_id = %s AND project_id = %s
    AND EXISTS (SELECT 1 FROM tasks WHERE tasks.id = runs.task_id AND deleted_at IS NULL)
"""


async def find(tx: Transaction, project_id: int, task_id: UUID, run_id: UUID, *, lock: bool = False) -> TaskRun | None:
    """A run as its URL names it; None where project, task and run do not belong together, or the task was deleted."""
    statement = sql.SQL(_FIND).format(COLUMNS) + sql.SQL(" FOR UPDATE" if lock else "")
    row = await (await tx.connection.execute(statement, [run_id, task_id, project_id])).fetchone()
    return None if row is None else from_row(row)


async def add(tx: Transaction, run: TaskRun) -> TaskRun:
    """Store a new run with an empty journal. The database numbers it; its task's row stays locked until the end of the transaction."""
    number = await (
        await tx.connection.execute("UPDATE tasks SET run_count = run_count + 1 WHERE id = %s RETURNING run_count", [run.task_id])
    ).fetchone()
    assert number is not None
    statement = sql.SQL(
        "INSERT INTO runs (id, task_id, project_id, number, branch, status, environment, state, created_at, updated_at, started_at,"
        " active_at, wake_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING {}"
    ).format(COLUMNS)
    execution = run.execution
    identity = [run.id, run.task_id, run.project_id, number["run_count"], storable(run.branch), run.status.value, run.environment.value]
    moments = [run.created_at, run.updated_at, execution.started_at, execution.active_at, execution.wake_at]
    row = await (await tx.connection.execute(statement, [*identity, as_json(run.state), *moments])).fetchone()
    await tx.connection.execute("INSERT INTO journals (run_id, epoch) VALUES (%s, %s)", [run.id, execution.epoch])
    assert row is not None
    return from_row(row)


async def change(tx: Transaction, run: TaskRun, columns: Mapping[str, Any], now: datetime) -> TaskRun:
    """Write the named columns, and nothing else, of a run whose row is locked. `updated_at` grows by a millisecond at least.

    Whoever calls this puts the run's new state on its journal in the same transaction.
    """
    values = {**columns, "updated_at": max(now, run.updated_at + _ONE_STEP)}
    return await _write(tx, run.id, values)


async def note(tx: Transaction, run_id: UUID, facts: Mapping[str, Any]) -> TaskRun:
    """Write facts of a run's execution, which its clients do not see: `updated_at` stays."""
    return await _write(tx, run_id, facts)


async def _write(tx: Transaction, run_id: UUID, values: Mapping[str, Any]) -> TaskRun:
    names = sorted(values)
    statement = sql.SQL("UPDATE runs SET {} WHERE id = %s RETURNING {}").format(
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names), COLUMNS
    )
    row = await (await tx.connection.execute(statement, [*(_stored(name, values[name]) for name in names), run_id])).fetchone()
    assert row is not None
    return from_row(row)


def _stored(name: str, value: Any) -> Any:
    if name in _JSON_COLUMNS:
        return None if value is None else as_json(value)
    return storable(value) if isinstance(value, str) else value


_OF_TASK: LiteralString = "SELECT {} FROM runs WHERE task_id = %s ORDER BY number DESC LIMIT %s OFFSET %s"


async def of_task(tx: Transaction, task_id: UUID, limit: int, offset: int) -> tuple[int, list[TaskRun]]:
    """How many runs a task has, and a page of them, newest first."""
    count = await (await tx.connection.execute("SELECT count(*) AS count FROM runs WHERE task_id = %s", [task_id])).fetchone()
    assert count is not None
    rows = await (await tx.connection.execute(sql.SQL(_OF_TASK).format(COLUMNS), [task_id, limit, offset])).fetchall()
    return count["count"], [from_row(row) for row in rows]


async def resume_chain(tx: Transaction, run: TaskRun) -> list[UUID]:
    """The runs that a run resumes from, oldest first, then the run itself: of its own task alone, ten steps back at most."""
    chain = [run.id]
    while len(chain) <= _HOPS:
        previous = _uuid(run.state.get("resume_from_run_id"))
        earlier = None if previous is None or previous in chain else await load(tx, previous)
        if earlier is None or earlier.task_id != run.task_id:
            break
        chain.append(earlier.id)
        run = earlier
    return chain[::-1]


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None
