"""The runs of a node: taken up when its worker begins, and looked at when their time has come."""

import asyncio
from datetime import timedelta

from hedgerow.db import executions, repository_scans
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle import Node, held, reopen_door, rest_those_that_wait

_TAKEN_UP_AT_ONCE = 8  # each takes a connection to the database
_ANNOUNCED_ALREADY = timedelta(milliseconds=500)


async def take_up(node: Node) -> None:
    """Open the gate for sandboxes that outlived the last worker, several at once, and have every run of the node looked at."""
    at_once = asyncio.Semaphore(_TAKEN_UP_AT_ONCE)

    async def reopen(run: TaskRun) -> None:
        async with at_once:
            await reopen_door(node, run)

    async with asyncio.TaskGroup() as doors:
        for run in await held(node):
            if run.execution.sandbox is not None:
                doors.create_task(reopen(run))
    await wake(node)


async def wake(node: Node) -> None:
    """Have every run of the node looked at."""
    async with node.backends.database.transaction() as tx:
        await executions.wake_held(tx, node.id, node.backends.clock.now())


async def sweep(node: Node, limit: int) -> None:
    """Announce the runs whose time has come and the scans that wait, and give the jobs of dead workers to living ones.

    A run of this node that has nothing to do but to wait on is told so here. An announcement may be lost, a row not.
    """
    await node.backends.jobs.retry_stalled()
    async with node.backends.database.transaction() as tx:
        before = node.backends.clock.now() - _ANNOUNCED_ALREADY
        due = await executions.due(tx, node.id, before, limit)
        scans = await repository_scans.waiting(tx, before, limit)
    resting = await rest_those_that_wait(node, [run_id for run_id, node_id in due if node_id is not None])
    for run_id, node_id in due:
        if run_id not in resting:
            await node.backends.jobs.nudge(run_id, node_id)
    for scan_id in scans:
        await node.backends.jobs.nudge_scan(scan_id)
