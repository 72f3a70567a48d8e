"""A message on its way to the agent."""

from typing import Any

from hedgerow.db import messages, runs
from hedgerow.domain.actions import Deliver
from hedgerow.domain.runs import PENDING_MESSAGE_KEYS, TaskRun
from hedgerow.lifecycle.agent_server import connect
from hedgerow.lifecycle.facts import change_in
from hedgerow.lifecycle.node import Node
from hedgerow.operations import inbox


async def deliver(node: Node, run: TaskRun, action: Deliver) -> None:
    """Take the next message, hand it to the agent server, then write that down.

    From the moment it is taken it is neither moved nor taken back, whatever becomes of it: so nobody hears of a message as gone
    that the agent gets. The agent server keeps a message id once, so a crash between the two only sends it again. Its turn may be
    over before this writes: a message that is acknowledged stays so.
    """
    async with node.backends.database.transaction() as tx:
        fresh = await runs.load_for_update(tx, run.id)
        if fresh is None or fresh.execution.restarting or fresh.execution.epoch != run.execution.epoch:
            return  # what waits in the inbox of a run that was started again is not for the agent of its earlier start
        message = await messages.take(tx, run.id, node.backends.clock.now())
    if message is None:
        return  # it was taken back
    began = node.backends.clock.now()
    async with await connect(node, run) as agent_server:
        await agent_server.deliver(message.id, message.content, message.artifacts)
    async with node.backends.database.transaction() as tx:
        changed = await change_in(tx, node, run, _without_pending_message)
        await runs.note(tx, changed.id, {"turn_started_at": began, "active_at": began})
        await inbox.note_delivery(node.backends, tx, run.id, message.id)


def _without_pending_message(run: TaskRun) -> dict[str, Any]:
    if not any(key in run.state for key in PENDING_MESSAGE_KEYS):
        return {}
    return {"state": {key: value for key, value in run.state.items() if key not in PENDING_MESSAGE_KEYS}}
