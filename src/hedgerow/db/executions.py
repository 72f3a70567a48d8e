"""The execution of a run in the database: facts that its lifecycle writes down.

Each statement names the epoch that its writer holds. Where another worker has taken the run over, it changes nothing and says so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

from psycopg import sql
from psycopg.rows import tuple_row
from psycopg.types.json import Json

from hedgerow.db import runs
from hedgerow.db.database import Transaction
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.runs import Ending, Environment, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.tasks import slug_prefix

FORGOTTEN: Mapping[str, Any] = {
    "claimed_at": None,
    "place": None,
    "node_id": None,
    "sandbox": None,
    "sandbox_made_at": None,
    "prepare_attempts": 0,
    "retry_at": None,
    "checked_out_at": None,
    "base_commit": None,
    "session_ready_at": None,
    "turn_started_at": None,
    "turn_ended_at": None,
    "stop_reason": None,
    "failure": None,
    "stopping": None,
    "stop_by": None,
    "landed_at": None,
    "cleaned_at": None,
    "checkpointed_at": None,
    "checkpointed_turn": None,
    "checkpointed_at_rest": False,
    "checkpoint_failed": False,
    "restarting": False,
}
"""The facts of a run that was started again and of whose earlier start nothing is left: any node may claim it, as a new one.

Its epoch stays until then. An end that is decided stays too, and so does a wish to cancel: they may be of the new start.
"""

_LOOK: LiteralString = """
    SELECT *, (SELECT heard_at FROM journals WHERE run_id = wanted.id) AS heard_at FROM unnest(%s::uuid[]) AS wanted (id), LATERAL (
        SELECT count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'delivered') AS delivered
        FROM messages WHERE run_id = wanted.id AND status IN ('queued', 'delivered')
    ) inbox, LATERAL (
        SELECT count(*) FILTER (WHERE state = 'waiting') AS asked, count(*) FILTER (WHERE state <> 'waiting') AS answers,
            min(deadline) FILTER (WHERE state = 'waiting') AS answer_by
        FROM permission_requests
        WHERE run_id = wanted.id AND (state = 'waiting' OR (state IN ('answered', 'expired') AND delivered_at IS NULL))
    ) requests
"""


async def look(tx: Transaction, run_id: UUID) -> tuple[TaskRun, Inbox] | None:
    """The run and its inbox; None where there is no such run."""
    return next(iter(await look_at_all(tx, [run_id])), None)


async def look_at_all(tx: Transaction, run_ids: Sequence[UUID]) -> list[tuple[TaskRun, Inbox]]:
    """Those of the runs that exist, each with its inbox, in no order."""
    found = await runs.load_all(tx, run_ids)
    rows = await (await tx.connection.execute(_LOOK, [[run.id for run in found]])).fetchall()
    inboxes = {row.pop("id"): Inbox(**row) for row in rows}
    return [(run, inboxes[run.id]) for run in found]


@dataclass(frozen=True, slots=True)
class TaskWords:
    """What the lifecycle needs to know of a run's task, also where that was deleted meanwhile."""

    slug: str
    title: str
    repository: str | None


_TASK_WORDS: LiteralString = """
    SELECT t.task_number, t.title, t.repository, p.name FROM tasks t JOIN projects p ON p.id = t.project_id WHERE t.id = %s
"""


async def task_words(tx: Transaction, run: TaskRun) -> TaskWords:
    """How the task of a run is called, and where its files come from."""
    row = await (await tx.connection.execute(_TASK_WORDS, [run.task_id])).fetchone()
    assert row is not None
    return TaskWords(f"{slug_prefix(row['name'])}-{row['task_number']}", row["title"], row["repository"])


_CLAIM: LiteralString = """
    UPDATE runs SET node_id = %s, epoch = epoch + 1, claimed_at = coalesce(claimed_at, %s, now()) WHERE id = %s AND node_id IS NULL
    RETURNING epoch
"""


async def claim(tx: Transaction, run_id: UUID, node_id: UUID, now: datetime | None = None) -> bool:
    """Give an unclaimed run to a node and raise its epoch, so that whoever held it before is refused from now on.

    Its wall clock begins with its first claim. `now` None: the database says what time it is.
    """
    row = await (await tx.connection.execute(_CLAIM, [node_id, now, run_id])).fetchone()
    if row is None:
        return False
    await tx.connection.execute("UPDATE journals SET epoch = %s WHERE run_id = %s", [row["epoch"], run_id])
    return True


async def record(tx: Transaction, run: TaskRun, facts: Mapping[str, Any]) -> bool:
    """Write facts of the run's execution, named as its columns. False where the run's epoch has moved on."""
    names = sorted(facts)
    statement = sql.SQL("UPDATE runs SET {} WHERE id = %s AND epoch = %s").format(
        sql.SQL(", ").join(sql.SQL("{} = %s").format(sql.Identifier(name)) for name in names)
    )
    values = [Json(facts[name]) if isinstance(facts[name], dict) else facts[name] for name in names]
    cursor = await tx.connection.execute(statement, [*values, run.id, run.execution.epoch])
    return cursor.rowcount == 1


async def rest(tx: Transaction, run: TaskRun, until: datetime | None) -> bool:
    """Let nobody look at the run before `until` (None: ever), unless somebody asked for a look since `run` was read."""
    cursor = await tx.connection.execute(
        "UPDATE runs SET wake_at = %s WHERE id = %s AND wake_at IS NOT DISTINCT FROM %s", [until, run.id, run.execution.wake_at]
    )
    return cursor.rowcount == 1


_REST_ALL: LiteralString = """
    UPDATE runs SET wake_at = waits.until FROM unnest(%s::uuid[], %s::timestamptz[], %s::timestamptz[]) AS waits (id, until, seen)
    WHERE runs.id = waits.id AND runs.id IN (SELECT id FROM runs WHERE id = ANY (%s) FOR UPDATE SKIP LOCKED)
        AND wake_at IS NOT DISTINCT FROM waits.seen
    RETURNING runs.id
"""


async def rest_all(tx: Transaction, waits: Sequence[tuple[TaskRun, datetime]]) -> set[UUID]:
    """As `rest`, for many at once; which of them may rest. A run at which somebody is writing is left as it is."""
    ids = [run.id for run, _ in waits]
    values = [ids, [until for _, until in waits], [run.execution.wake_at for run, _ in waits], ids]
    return {row["id"] for row in await (await tx.connection.execute(_REST_ALL, values)).fetchall()}


async def conclude_all(tx: Transaction, task_id: UUID, ending: Ending, now: datetime) -> list[TaskRun]:
    """Have every run of a task that the server still drives end this way; those runs. One that ends already ends as it would."""
    statement = sql.SQL(
        "UPDATE runs SET ending = %s, wake_at = %s WHERE id IN ("
        "SELECT id FROM runs WHERE task_id = %s AND started_at IS NOT NULL AND environment = %s AND status <> ALL (%s) AND ending IS NULL"
        " ORDER BY place NULLS LAST, started_at, id FOR UPDATE"  # as whoever moves them up in their line
        ") RETURNING {}"
    ).format(runs.COLUMNS)
    over = [status.value for status in RunStatus if status.terminal]
    values = [Json(stored_ending(ending)), now, task_id, Environment.CLOUD.value, over]
    return [runs.from_row(row) for row in await (await tx.connection.execute(statement, values)).fetchall()]


def stored_ending(ending: Ending) -> dict[str, Any]:
    """An ending as its column holds it."""
    return {"status": ending.status.value, "reason": ending.reason.value, "message": ending.message}


_DUE: LiteralString = "SELECT id, node_id FROM runs WHERE wake_at <= %s AND (node_id IS NULL OR node_id = %s) ORDER BY wake_at LIMIT %s"


async def due(tx: Transaction, node_id: UUID, now: datetime, limit: int) -> list[tuple[UUID, UUID | None]]:
    """Runs that a node must look at: those it holds and those that nobody holds, longest overdue first.

    The runs of other nodes are theirs to look after: those of a node that is gone would stand in front of everything for ever.
    """
    rows = await (await tx.connection.execute(_DUE, [now, node_id, limit])).fetchall()
    return [(row["id"], row["node_id"]) for row in rows]


_IN_A_TURN = sql.SQL("AND EXISTS (SELECT 1 FROM messages WHERE run_id = runs.id AND messages.status = 'delivered')")


async def held_by(tx: Transaction, node_id: UUID, *, in_a_turn: bool = False) -> list[TaskRun]:
    """The runs that a node holds and has not cleaned up; `in_a_turn`: of these, the ones in a turn that has not ended."""
    condition = _IN_A_TURN if in_a_turn else sql.SQL("")
    statement = sql.SQL("SELECT {} FROM runs WHERE node_id = %s AND cleaned_at IS NULL {}").format(runs.COLUMNS, condition)
    rows = await (await tx.connection.execute(statement, [node_id])).fetchall()
    return [runs.from_row(row) for row in rows]


class LiveSandbox(NamedTuple):
    """The sandbox of a run that goes on, as plain as it comes: a worker reads a thousand of them each second."""

    run_id: str
    provider: str
    id: str

    @property
    def handle(self) -> SandboxHandle:
        """How its provider knows it."""
        return SandboxHandle(provider=self.provider, id=self.id)


_LIVE: LiteralString = """
    SELECT id::text, sandbox ->> 'provider', sandbox ->> 'id' FROM runs
    WHERE node_id = %s AND cleaned_at IS NULL AND sandbox IS NOT NULL AND ending IS NULL AND NOT restarting AND status <> ALL (%s)
"""


async def live_sandboxes(tx: Transaction, node_id: UUID) -> set[LiveSandbox]:
    """The sandboxes on a node that have no leave to end."""
    cursor = tx.connection.cursor(row_factory=tuple_row)
    rows = await (await cursor.execute(_LIVE, [node_id, [status.value for status in RunStatus if status.terminal]])).fetchall()
    return set(map(LiveSandbox._make, rows))


async def wake_held(tx: Transaction, node_id: UUID, now: datetime) -> None:
    """Have every run looked at that a node holds and has not cleaned up."""
    await tx.connection.execute("UPDATE runs SET wake_at = %s WHERE node_id = %s AND cleaned_at IS NULL", [now, node_id])


_TAKEABLE: LiteralString = """
    SELECT id FROM runs WHERE node_id = %(node_id)s AND cleaned_at IS NULL AND (
        (started_at IS NOT NULL AND environment = %(cloud)s AND status <> ALL (%(over)s))
        OR EXISTS (SELECT 1 FROM messages WHERE run_id = runs.id AND messages.status IN ('queued', 'delivered'))
    ) ORDER BY id LIMIT %(limit)s
"""


async def takeable(tx: Transaction, node_id: UUID, limit: int) -> list[UUID]:
    """The runs of a node that others can do something for: to take them over, or to tell those who wait that nobody will answer."""
    over = [status.value for status in RunStatus if status.terminal]
    values = {"node_id": node_id, "cloud": Environment.CLOUD.value, "over": over, "limit": limit}
    rows = await (await tx.connection.execute(_TAKEABLE, values)).fetchall()
    return [row["id"] for row in rows]


async def lock_at_once(tx: Transaction, run_id: UUID) -> bool:
    """Lock a run's row until the end of the transaction. False where another one holds it: it may be of a machine that stands still."""
    statement: LiteralString = "SELECT 1 FROM runs WHERE id = %s FOR UPDATE SKIP LOCKED"
    return await (await tx.connection.execute(statement, [run_id])).fetchone() is not None


async def raise_epoch(tx: Transaction, run: TaskRun) -> None:
    """Refuse, from the end of the transaction on, whatever comes from those who act for a run whose row is locked."""
    await tx.connection.execute("UPDATE runs SET epoch = epoch + 1 WHERE id = %s", [run.id])
    await tx.connection.execute("UPDATE journals SET epoch = %s WHERE run_id = %s", [run.execution.epoch + 1, run.id])


async def owners(tx: Transaction, run_ids: Sequence[UUID]) -> dict[UUID, UUID | None]:
    """The node that holds each of these runs, which it may have cleaned up. A run that does not exist is not in the answer."""
    rows = await (await tx.connection.execute("SELECT id, node_id FROM runs WHERE id = ANY (%s)", [list(run_ids)])).fetchall()
    return {row["id"]: row["node_id"] for row in rows}
