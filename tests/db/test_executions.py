"""What the lifecycle finds in the rows of runs."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from hedgerow.db import executions, nodes, projects, runs, tasks
from hedgerow.db.database import Database, Transaction
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import Environment, Execution, RunStatus, TaskRun
from hedgerow.domain.tasks import OriginProduct

NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def _run(tx: Transaction, project_id: int, task_id: UUID, wake_at: datetime, node_id: UUID | None) -> UUID:
    started = Execution(started_at=NOW, active_at=NOW, wake_at=wake_at)
    run = TaskRun(
        id=uuid7(),
        task_id=task_id,
        project_id=project_id,
        number=0,
        status=RunStatus.QUEUED,
        environment=Environment.CLOUD,
        created_at=NOW,
        updated_at=NOW,
        execution=started,
    )
    await runs.add(tx, run)
    if node_id is not None:
        await executions.claim(tx, run.id, node_id)
    return run.id


async def test_a_node_looks_after_its_own_runs_and_those_of_nobody_the_longest_overdue_first(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    here, elsewhere, task_id = uuid7(), uuid7(), uuid7()
    try:
        async with database.transaction() as tx:
            project = await projects.add(tx, uuid4(), "Hedge", NOW)
            columns = {"title": "", "title_manually_set": False, "description": "", "origin_product": OriginProduct.USER_CREATED.value}
            times = {"created_at": NOW, "updated_at": NOW}
            await tasks.add(tx, columns | times | {"id": task_id, "project_id": project.id, "task_number": 0})
            for node in (here, elsewhere):
                await nodes.report(tx, node, "http://worker.test", 30.0)
            unclaimed = await _run(tx, project.id, task_id, NOW - timedelta(seconds=1), None)
            own = await _run(tx, project.id, task_id, NOW - timedelta(seconds=2), here)
            await _run(tx, project.id, task_id, NOW - timedelta(hours=3), elsewhere)
            await _run(tx, project.id, task_id, NOW + timedelta(seconds=1), here)
            assert await executions.due(tx, here, NOW, 10) == [(own, here), (unclaimed, None)]
            assert await executions.due(tx, here, NOW, 1) == [(own, here)]
    finally:
        await database.close()
