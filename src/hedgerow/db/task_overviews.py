"""Short answers about many tasks at once."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

from hedgerow.db.database import Transaction
from hedgerow.domain.runs import Environment, RunStatus
from hedgerow.domain.tasks import LatestRun, TaskSummary

_REPOSITORIES: LiteralString = """
    SELECT DISTINCT repository COLLATE "C" AS repository FROM tasks
    WHERE project_id = %s AND deleted_at IS NULL AND NOT internal AND repository <> '' ORDER BY 1
"""


async def repositories(tx: Transaction, project_id: int) -> list[str]:
    """The repositories that a project's tasks name, each once, in alphabetical order. Deleted and internal tasks do not count."""
    return [row["repository"] for row in await (await tx.connection.execute(_REPOSITORIES, [project_id])).fetchall()]


_SUMMARIES: LiteralString = """
    WITH found AS MATERIALIZED (
        SELECT id, created_at FROM tasks WHERE project_id = %s AND deleted_at IS NULL AND id = ANY (%s)
    ), page AS (SELECT id FROM found ORDER BY created_at DESC, id LIMIT %s OFFSET %s)
    SELECT total.count, t.id, t.title, t.repository, t.created_at, t.updated_at, r.status, r.environment
    FROM (SELECT count(*) AS count FROM found) total
    LEFT JOIN (page JOIN tasks t ON t.id = page.id) ON true
    LEFT JOIN LATERAL (
        SELECT status, environment FROM runs WHERE runs.task_id = t.id ORDER BY number DESC LIMIT 1
    ) r ON true
    ORDER BY t.created_at DESC, t.id
"""


async def summaries(tx: Transaction, project_id: int, ids: Sequence[UUID], limit: int, offset: int) -> tuple[int, list[TaskSummary]]:
    """How many of the named tasks a project has, and a page of them, newest first: one statement."""
    rows = await (await tx.connection.execute(_SUMMARIES, [project_id, list(ids), limit, offset])).fetchall()
    return rows[0]["count"], [_summary(row) for row in rows if row["id"] is not None]


def _summary(row: dict[str, Any]) -> TaskSummary:
    latest = None if row["status"] is None else LatestRun(RunStatus(row["status"]), Environment(row["environment"]))
    return TaskSummary(
        id=row["id"],
        title=row["title"],
        repository=row["repository"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        latest_run=latest,
    )
