"""An agent is asked to stop its turn before the run ends, so that the end does not come in the middle of something."""

import structlog

from hedgerow.db import executions
from hedgerow.domain.actions import StopTurn
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.agent_server import connect
from hedgerow.lifecycle.facts import decide_again
from hedgerow.lifecycle.node import Node

log = structlog.get_logger()


async def stop_turn(node: Node, run: TaskRun, action: StopTurn) -> None:
    """Write down how the run ends once its turn is over, then ask the agent to stop.

    In this order: a turn that stops because it was asked to is no turn that somebody cancelled. Where the word does not reach the
    agent, the run ends at the written moment all the same.
    """
    async with node.backends.database.transaction() as tx:
        decided = await decide_again(tx, node, run)
        if not isinstance(decided, StopTurn):
            return
        await executions.record(tx, run, {"stopping": executions.stored_ending(decided.ending), "stop_by": decided.by})
    try:
        async with await connect(node, run) as agent_server:
            await agent_server.cancel()
    except UnavailableError as error:
        log.warning("an agent could not be asked to stop", run_id=str(run.id), reason=error.message)
