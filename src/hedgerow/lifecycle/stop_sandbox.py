"""The end of a sandbox: its last entries are handed over, then every process in it ends."""

from hedgerow.db import runs
from hedgerow.domain.actions import StopSandbox
from hedgerow.domain.messages import UNANSWERED
from hedgerow.domain.permission_requests import SESSION_OVER
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.agent_server import connect
from hedgerow.lifecycle.door import without_sandbox_url
from hedgerow.lifecycle.facts import change_in
from hedgerow.lifecycle.node import Node
from hedgerow.operations import inbox, run_changes

_FLUSH_SECONDS = 10.0


async def stop_sandbox(node: Node, run: TaskRun, action: StopSandbox) -> None:
    """Close the agent server politely where it still lives, destroy the sandbox, close its gate, no longer name its address.

    Where the run has ended, the messages that its agent has not answered by now fail: its readers hear of that while they are there.
    Safe to repeat.
    """
    handle = run.execution.sandbox
    assert handle is not None
    provider = node.sandboxes[handle.provider]
    if (await provider.inspect(handle)).alive:
        async with await connect(node, run) as agent_server:
            await agent_server.close(_FLUSH_SECONDS)
    await provider.destroy(handle)
    await node.gate.close(run.id)
    async with node.backends.database.transaction() as tx:
        changed = await change_in(tx, node, run, without_sandbox_url)
        await runs.note(tx, changed.id, {"sandbox": None})
        await run_changes.void_requests(node.backends, tx, changed.id, SESSION_OVER)
        if changed.status.terminal:
            await inbox.give_up(node.backends, tx, changed.id, UNANSWERED)
