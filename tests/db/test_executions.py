"""What the lifecycle finds in the rows of runs."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

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


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=2)
    await database.open()
    yield database
    await database.close()


async def _task(tx: Transaction) -> tuple[int, UUID]:
    """A project and a task of it."""
    task_id = uuid7()
    project = await projects.add(tx, uuid4(), "Hedge", NOW)
    columns = {"title": "", "title_manually_set": False, "description": "", "origin_product": OriginProduct.USER_CREATED.value}
    times = {"created_at": NOW, "updated_at": NOW}
    await tasks.add(tx, columns | times | {"id": task_id, "project_id": project.id, "task_number": 0})
    return project.id, task_id


async def test_a_node_looks_after_its_own_runs_and_those_of_nobody_the_longest_overdue_first(database: Database) -> None:
    here, elsewhere = uuid7(), uuid7()
    async with database.transaction() as tx:
        project_id, task_id = await _task(tx)
        for node in (here, elsewhere):
            await nodes.report(tx, node, "http://worker.test", 30.0)
        unclaimed = await _run(tx, project_id, task_id, NOW - timedelta(seconds=1), None)
        own = await _run(tx, project_id, task_id, NOW - timedelta(seconds=2), here)
        await _run(tx, project_id, task_id, NOW - timedelta(hours=3), elsewhere)
        await _run(tx, project_id, task_id, NOW + timedelta(seconds=1), here)
        assert await executions.due(tx, here, NOW, 10) == [(own, here), (unclaimed, None)]
        assert await executions.due(tx, here, NOW, 1) == [(own, here)]


async def test_of_many_runs_that_may_rest_those_rest_of_which_nobody_wants_anything(database: Database) -> None:
    later = NOW + timedelta(seconds=30)
    async with database.transaction() as tx:
        project_id, task_id = await _task(tx)
        ids = [await _run(tx, project_id, task_id, NOW, None) for _ in range(3)]
    quiet, woken, written = ids
    async with database.statement() as tx:
        seen = await executions.look_at_all(tx, [*ids, uuid7()])
    async with database.transaction() as tx:
        await tx.connection.execute("UPDATE runs SET wake_at = %s WHERE id = %s", [NOW + timedelta(seconds=1), woken])
    async with database.transaction() as writer:
        await runs.load_for_update(writer, written)
        async with database.statement() as tx:
            assert await executions.rest_all(tx, [(run, later) for run, _ in seen]) == {quiet}
    async with database.statement() as tx:
        wake_at = {run.id: run.execution.wake_at for run, _ in await executions.look_at_all(tx, ids)}
    assert wake_at == {quiet: later, woken: NOW + timedelta(seconds=1), written: NOW}
