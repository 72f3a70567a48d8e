"""Agent servers that do not answer, though their sandboxes live: a run whose turn hangs in one must not wait for its last deadline."""

import asyncio
import time
from uuid import UUID

import structlog

from hedgerow.agents.connection import AgentConnection
from hedgerow.db import executions
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.node import Node

log = structlog.get_logger()

_AT_ONCE = 20
_ANSWER_SECONDS = 10.0


class AgentProbe:
    """Asks the agent servers of running turns for a sign of life. That of an idle run is missed when the next message is delivered."""

    def __init__(self, node: Node, silence_seconds: float) -> None:
        """`silence_seconds`: how long an agent server may not answer before its run ends as one that has lost its agent."""
        self._node = node
        self._silence_seconds = silence_seconds
        self._silent_since: dict[tuple[UUID, int], float] = {}  # by run and epoch

    async def __call__(self) -> None:
        """Ask once, and end the runs whose agent servers have been silent for too long."""
        async with self._node.backends.database.transaction() as tx:
            asked = [run for run in await executions.held_by(tx, self._node.id, in_a_turn=True) if _may_end(run)]
        places = asyncio.Semaphore(_AT_ONCE)
        answers = await asyncio.gather(*(self._answers(run, places) for run in asked))
        await self._judge([run for run, answered in zip(asked, answers, strict=True) if not answered])

    async def _answers(self, run: TaskRun, places: asyncio.Semaphore) -> bool:
        async with places, AgentConnection(self._node.folders(run.id).sockets, token="") as agent_server:
            try:
                async with asyncio.timeout(min(_ANSWER_SECONDS, self._silence_seconds)):
                    return await agent_server.healthy()
            except TimeoutError:
                return False

    async def _judge(self, silent: list[TaskRun]) -> None:
        now = time.monotonic()
        before = self._silent_since
        self._silent_since = {(run.id, run.execution.epoch): before.get((run.id, run.execution.epoch), now) for run in silent}
        for run in silent:
            if now - self._silent_since[run.id, run.execution.epoch] >= self._silence_seconds:
                log.warning("an agent server does not answer", run_id=str(run.id))
                message = f"The agent server did not answer for {self._silence_seconds:g} seconds, though its sandbox lives."
                await conclude_unless_ending(self._node, run, Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message=message))


def _may_end(run: TaskRun) -> bool:
    """Whether the run has an agent server, and nobody has ended it."""
    execution = run.execution
    return execution.sandbox is not None and execution.ending is None and not run.status.terminal
