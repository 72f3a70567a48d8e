"""The agent starts in its workspace."""

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any

from hedgerow.agents.connection import AgentEndedError
from hedgerow.db import runs
from hedgerow.domain.actions import StartSession
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.progress import Step
from hedgerow.domain.runs import EndReason, Environment, RunStatus, TaskRun
from hedgerow.lifecycle.agent_choice import choose_agent
from hedgerow.lifecycle.agent_server import connect, session_body
from hedgerow.lifecycle.door import with_sandbox_url
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.facts import change_in
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.steps import step

_LISTEN_SECONDS = 20.0
_START_SECONDS = 120.0


async def start_session(node: Node, run: TaskRun, action: StartSession) -> None:
    """Have the agent server start the agent, and write down that it takes messages. Raises EndsRunError where it can't."""
    agent = choose_agent(node, run)
    async with step(node, run, Step.AGENT) as note:
        try:
            note.detail = agent.name if agent.model is None else f"{agent.name}, {agent.model}"
            body = await session_body(node, run, agent)
            async with await connect(node, run) as agent_server:
                await _while_alive(node, run, agent_server.listening(_LISTEN_SECONDS))
                await _while_alive(node, run, agent_server.start_session(body, _START_SECONDS))
        except EndsRunError:
            raise
        except AgentEndedError as error:
            raise EndsRunError(error.reason, error.message) from error
        except HedgerowError as error:
            raise EndsRunError(EndReason.START_FAILED, error.message, passing=error.passing) from error
    await _write_down(node, run)


async def _while_alive(node: Node, run: TaskRun, asking: Coroutine[Any, Any, None]) -> None:
    """Await an answer of the agent server, but no longer than its sandbox lives. Raises EndsRunError where that ends first."""
    handle = run.execution.sandbox
    assert handle is not None
    answer = asyncio.ensure_future(asking)
    gone = asyncio.ensure_future(node.sandboxes[handle.provider].wait(handle))
    try:
        either: list[asyncio.Future[Any]] = [answer, gone]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            state = gone.result()
            message = f"The sandbox ended before its agent was ready: {state.describe()}."
            raise EndsRunError(EndReason.SANDBOX_FAILED, message, passing=state.killed)
        await answer
    finally:
        answer.cancel()
        gone.cancel()


async def _write_down(node: Node, run: TaskRun) -> None:
    def columns(fresh: TaskRun) -> dict[str, Any]:
        handle = run.execution.sandbox
        assert handle is not None
        named = replace(fresh, state=fresh.state | {"sandbox_id": f"{handle.provider}:{handle.id}"})
        ours = fresh.environment is Environment.CLOUD and not fresh.execution.restarting and not fresh.status.terminal
        status = {"status": RunStatus.IN_PROGRESS.value} if ours else {}
        return {"state": named.state} | with_sandbox_url(node, named) | status

    now = node.backends.clock.now()
    async with node.backends.database.transaction() as tx:
        await change_in(tx, node, run, columns)
        await runs.note(tx, run.id, {"session_ready_at": now, "active_at": now})
