"""A message on its way to the agent."""

import asyncio
from typing import Any

from hedgerow.agents.connection import AgentEndedError
from hedgerow.db import messages, runs
from hedgerow.domain.actions import Deliver
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.runs import PENDING_MESSAGE_KEYS, TaskRun
from hedgerow.lifecycle.agent_server import connect
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.facts import change_in
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.sandbox_watch import loss_of
from hedgerow.operations import inbox

_DYING_SECONDS = 2.0  # its processes end one after the other


async def deliver(node: Node, run: TaskRun, action: Deliver) -> None:
    """Take the next message, hand it to the agent server, then write that down.

    From the moment it is taken it is neither moved nor taken back, whatever becomes of it: so nobody hears of a message as gone
    that the agent gets. The agent server keeps a message id once, so a crash between the two only sends it again. Its turn may be
    over before this writes: a message that is acknowledged stays so.

    Where nobody is there to take it, this ends the run, as others do who notice that: in the same words, whoever is first.
    """
    async with node.backends.database.transaction() as tx:
        fresh = await runs.load_for_update(tx, run.id)
        if fresh is None or fresh.execution.restarting or fresh.execution.epoch != run.execution.epoch:
            return  # what waits in the inbox of a run that was started again is not for the agent of its earlier start
        message = await messages.take(tx, run.id, node.backends.clock.now())
    if message is None:
        return  # it was taken back
    began = node.backends.clock.now()
    try:
        async with await connect(node, run) as agent_server:
            await agent_server.deliver(message.id, message.content, message.artifacts)
    except AgentEndedError as error:
        raise EndsRunError(error.reason, error.message) from error
    except UnavailableError as error:
        await _check_sandbox(node, run, error)
        raise
    async with node.backends.database.transaction() as tx:
        changed = await change_in(tx, node, run, _without_pending_message)
        await runs.note(tx, changed.id, {"turn_started_at": began, "active_at": began})
        await inbox.note_delivery(node.backends, tx, run.id, message.id)


async def _check_sandbox(node: Node, run: TaskRun, error: UnavailableError) -> None:
    """Raise EndsRunError where nobody answered because the sandbox is dying, which whoever watches over it notices as well."""
    handle = run.execution.sandbox
    assert handle is not None
    try:
        async with asyncio.timeout(_DYING_SECONDS):
            lost = loss_of(await node.sandboxes[handle.provider].wait(handle))
    except (TimeoutError, HedgerowError):
        return
    raise EndsRunError(lost.reason, lost.message or "") from error


def _without_pending_message(run: TaskRun) -> dict[str, Any]:
    if not any(key in run.state for key in PENDING_MESSAGE_KEYS):
        return {}
    return {"state": {key: value for key, value in run.state.items() if key not in PENDING_MESSAGE_KEYS}}
