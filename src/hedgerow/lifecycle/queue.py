"""How a run comes to its node: at once where there is room, else through the line of its project."""

import asyncio

import structlog

from hedgerow.db import executions
from hedgerow.domain.actions import Claim, LeaveQueue
from hedgerow.domain.queue import POSITION_KEY
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.hold import stop_waiting
from hedgerow.lifecycle.node import Node
from hedgerow.operations import queue

log = structlog.get_logger()


async def claim(node: Node, run: TaskRun, action: Claim) -> None:
    """Take the run, or give it its place in line. Safe to repeat: who has taken it keeps it."""
    kept = await asyncio.to_thread(node.folders(run.id).set_aside)
    if kept is not None:
        log.warning("files of an earlier start, which could not be collected, were moved", folder=str(kept))
    if not node.limits.any and run.execution.place is None and POSITION_KEY not in run.state:
        async with node.backends.database.transaction() as tx:
            await stop_waiting(tx, node, run)
            await executions.claim(tx, run.id, node.id, node.backends.clock.now())
        return
    async with node.claiming, node.backends.database.transaction() as tx:
        await queue.take_in(node.backends, tx, run, node.limits, node.id)
        await stop_waiting(tx, node, run)


async def leave_queue(node: Node, run: TaskRun, action: LeaveQueue) -> None:
    """Take the run out of its line. Safe to repeat."""
    async with node.claiming, node.backends.database.transaction() as tx:
        await queue.leave(node.backends, tx, run, node.limits)


async def call_next(node: Node, run: TaskRun) -> None:
    """The run holds its place no more: whoever is next hears of it. Where that is lost, the next look at him finds the room."""
    if node.limits.any:
        async with node.claiming, node.backends.database.transaction() as tx:
            await queue.call_next(node.backends, tx, run.project_id, node.limits)
