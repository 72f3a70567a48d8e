"""A run that was started again takes leave of its earlier start."""

import asyncio

from hedgerow.db import executions
from hedgerow.domain.actions import BeginAgain
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import record
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.queue import call_next


async def begin_again(node: Node, run: TaskRun, action: BeginAgain) -> None:
    """Remove what the earlier start left here, and let any node claim the run as a new one. Its inbox stays. Safe to repeat."""
    await node.gate.close(run.id)
    await asyncio.to_thread(node.folders(run.id).remove)
    await record(node, run, dict(executions.FORGOTTEN))
    await call_next(node, run)
