"""The last step of a run: nothing of it stays on the machine."""

import asyncio

from hedgerow.db import executions
from hedgerow.domain.actions import CleanUp
from hedgerow.domain.messages import UNANSWERED
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import decide_again
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.queue import call_next
from hedgerow.operations import inbox


async def clean_up(node: Node, run: TaskRun, action: CleanUp) -> None:
    """Remove the run's folders, close its gate, and give up the messages that no agent will read. Safe to repeat.

    Where the run was started again meanwhile, what waits in its inbox is for its next agent, and nothing is written down.
    """
    await node.gate.close(run.id)
    await asyncio.to_thread(node.folders(run.id).remove)
    async with node.backends.database.transaction() as tx:
        if isinstance(await decide_again(tx, node, run), CleanUp):
            await inbox.give_up(node.backends, tx, run.id, UNANSWERED)
            await executions.record(tx, run, {"cleaned_at": node.backends.clock.now()})
    await call_next(node, run)
