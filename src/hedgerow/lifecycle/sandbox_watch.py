"""Sandboxes that die without being asked to: each is waited for, so that a thousand that live cost next to nothing."""

import asyncio
from contextlib import suppress
from uuid import UUID

import structlog

from hedgerow.db import executions
from hedgerow.db.executions import LiveSandbox
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.domain.sandboxes import SandboxState
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.node import Node

log = structlog.get_logger()


class SandboxWatch:
    """Waits for every sandbox of a node's live runs, and writes down the loss of those that died."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._waits: dict[LiveSandbox, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Wait for the sandboxes that have come since the last look, and no longer for those that need not live any more."""
        async with self._node.backends.database.statement() as tx:
            live = await executions.live_sandboxes(tx, self._node.id)
        for gone in self._waits.keys() - live:
            self._waits.pop(gone).cancel()
        for come in live - self._waits.keys():
            self._waits[come] = asyncio.create_task(self._wait(come))

    async def close(self) -> None:
        """Wait for none any more."""
        waits = list(self._waits.values())
        self._waits.clear()
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)

    async def _wait(self, sandbox: LiveSandbox) -> None:
        """Until it ends. Where its loss cannot be written down, the next look waits for it again, which takes no time."""
        try:
            state = await self._node.sandboxes[sandbox.handle.provider].wait(sandbox.handle)
            if not state.alive:
                await self._lost(sandbox, state)
        except HedgerowError as error:
            log.warning("could not look after a sandbox; trying again", run_id=sandbox.run_id, reason=error.message)
        except Exception:
            log.exception("could not look after a sandbox; trying again", run_id=sandbox.run_id)
        finally:
            with suppress(KeyError):
                if self._waits[sandbox] is asyncio.current_task():
                    del self._waits[sandbox]

    async def _lost(self, sandbox: LiveSandbox, state: SandboxState) -> None:
        async with self._node.backends.database.transaction() as tx:
            found = await executions.look(tx, UUID(sandbox.run_id))
        if found is None or found[0].execution.sandbox != sandbox.handle or _starts(found[0]):
            return
        if await conclude_unless_ending(self._node, found[0], loss_of(state)):
            log.warning("a sandbox died", run_id=sandbox.run_id, how=state.describe())


def loss_of(state: SandboxState) -> Ending:
    """How a run ends whose sandbox has died."""
    return Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message=f"The sandbox ended unexpectedly: {state.describe()}.")


def _starts(run: TaskRun) -> bool:
    """Whether the agent is being started, and whoever does that sees by himself that the sandbox dies."""
    return run.execution.checked_out_at is not None and run.execution.session_ready_at is None
