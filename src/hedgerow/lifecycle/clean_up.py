"""The last step of a run: nothing of it stays on the machine."""

import asyncio

from hedgerow.domain.lifecycle import CleanUp
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import record
from hedgerow.lifecycle.node import Node


async def clean_up(node: Node, run: TaskRun, action: CleanUp) -> None:
    """Remove the run's folders and close its gate. Safe to repeat."""
    await node.gate.close(run.id)
    await asyncio.to_thread(node.folders(run.id).remove)
    await record(node, run, {"cleaned_at": node.backends.clock.now()})
