"""The lines of runs that wait for a place. Who changes a line holds its lock, and takes it before it locks any run's row."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from psycopg import sql

from hedgerow.db import runs
from hedgerow.db.database import Transaction
from hedgerow.domain.queue import RunLimits
from hedgerow.domain.runs import TaskRun

_LOCKS = 0x68656467  # the class of advisory locks that lines use; the second number is the project's, or 0 for all

_WAITING = sql.SQL("""
    started_at IS NOT NULL AND claimed_at IS NULL AND cleaned_at IS NULL AND environment = 'cloud'
    AND status NOT IN ('completed', 'failed', 'cancelled') AND ending IS NULL
""")
_HOLDING = sql.SQL("""
    claimed_at IS NOT NULL AND cleaned_at IS NULL
    AND (node_id IS NOT NULL OR (environment = 'cloud' AND started_at IS NOT NULL AND status NOT IN ('completed', 'failed', 'cancelled')))
""")

# In a line: who has a place by it, then who has none yet by the moment of its start. Among the lines: who was started first, yet
# nobody before those in front of him.
_ADMISSIBLE = sql.SQL("""
    WITH held AS (
        SELECT project_id, count(*) AS count FROM runs WHERE {holding} GROUP BY project_id
    ), line AS (
        SELECT id, project_id, started_at, row_number() OVER (PARTITION BY project_id ORDER BY place NULLS LAST, started_at, id) AS rank
        FROM runs WHERE {waiting} AND (%(total)s > 0 OR project_id = %(project_id)s)
    ), heads AS (
        SELECT line.id, line.rank, max(line.started_at) OVER (PARTITION BY project_id ORDER BY rank) AS turn
        FROM line LEFT JOIN held USING (project_id)
        WHERE %(per_project)s = 0 OR rank <= %(per_project)s - coalesce(held.count, 0)
    )
    SELECT id FROM heads ORDER BY turn, rank, id
    LIMIT CASE WHEN %(total)s = 0 THEN NULL ELSE greatest(%(total)s - (SELECT coalesce(sum(count), 0) FROM held), 0) END
""").format(holding=_HOLDING, waiting=_WAITING)


async def lock(tx: Transaction, project_id: int, limits: RunLimits) -> None:
    """Keep every other worker from the project's line until the end of the transaction; from all lines where there is a total limit."""
    await tx.connection.execute("SELECT pg_advisory_xact_lock(%s, %s)", [_LOCKS, 0 if limits.total else project_id])


async def admissible(tx: Transaction, project_id: int, limits: RunLimits) -> list[UUID]:
    """The waiting runs that may be claimed now, first come first: of the project, or of all where there is a total limit."""
    values = {"project_id": project_id, "per_project": limits.per_project, "total": limits.total}
    return [row["id"] for row in await (await tx.connection.execute(_ADMISSIBLE, values)).fetchall()]


_LINE = sql.SQL("SELECT {} FROM runs WHERE {} AND project_id = %s ORDER BY place NULLS LAST, started_at, id FOR UPDATE").format(
    runs.COLUMNS, _WAITING
)


async def line(tx: Transaction, project_id: int) -> list[TaskRun]:
    """The waiting runs of a project in their order, their rows locked."""
    return [runs.from_row(row) for row in await (await tx.connection.execute(_LINE, [project_id])).fetchall()]


_MOVE_UP = sql.SQL("""
    UPDATE runs SET place = new_place, state = new_state, updated_at = greatest(%s, updated_at + interval '1 millisecond')
    FROM unnest(%s::uuid[], %s::integer[], %s::json[]) AS moved (run_id, new_place, new_state) WHERE runs.id = run_id RETURNING {}
""").format(runs.COLUMNS)


async def move_up(tx: Transaction, moved: Sequence[TaskRun], now: datetime) -> list[TaskRun]:
    """Write place and `state` of runs whose rows are locked, as they stand in `moved`; the rows as they are then.

    Whoever calls this puts each run's new state on its journal in the same transaction.
    """
    places = [run.execution.place for run in moved]
    values = [now, [run.id for run in moved], places, [json.dumps(run.state) for run in moved]]
    return [runs.from_row(row) for row in await (await tx.connection.execute(_MOVE_UP, values)).fetchall()]


async def number(tx: Transaction, places: Mapping[UUID, int]) -> None:
    """Write the places of runs that nobody tells theirs: there is room for them."""
    statement = "UPDATE runs SET place = new FROM unnest(%s::uuid[], %s::integer[]) AS given (run_id, new) WHERE id = run_id"
    if places:
        await tx.connection.execute(statement, [list(places), list(places.values())])


async def wake(tx: Transaction, run_ids: Sequence[UUID], now: datetime) -> None:
    """Have somebody look at waiting runs, also where the word of it is lost."""
    if run_ids:
        await tx.connection.execute("UPDATE runs SET wake_at = %s WHERE id = ANY (%s) AND claimed_at IS NULL", [now, list(run_ids)])
