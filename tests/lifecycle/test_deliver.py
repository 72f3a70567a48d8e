"""Messages on their way to an agent server whose agent, or whose sandbox, is there no more."""

import signal
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import pytest

from hedgerow.db import runs
from hedgerow.domain.actions import Deliver
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.runs import EndReason, SandboxHandle
from hedgerow.domain.sandboxes import SandboxState
from hedgerow.lifecycle.deliver import deliver
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.sandboxes.base import SandboxProvider
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemorySandboxes
from tests.lifecycle.test_permission_requests import an_agent_server


@dataclass
class LivingSandboxes(MemorySandboxes):
    """Machines that do not end while somebody waits for that."""

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        raise TimeoutError


@dataclass
class DyingSandboxes(MemorySandboxes):
    """Machines that were killed, though not everything in them is dead yet."""

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        return SandboxState(alive=False, signal=signal.SIGKILL)


async def delivered(world: World, sandboxes: MemorySandboxes, answer: tuple[int, object] | None) -> HedgerowError:
    """What a delivery meets where the agent server answers so; None: nobody listens."""
    with tempfile.TemporaryDirectory() as folder:
        world = world.with_node(data_dir=Path(folder), sandboxes={"process": cast("SandboxProvider", sandboxes)})
        facts = {name: datetime.now(UTC) for name in ("checked_out_at", "session_ready_at")}
        run = await world.run()
        async with world.node.backends.database.transaction() as tx:
            run = await runs.note(tx, run.id, {**facts, "node_id": world.node.id, "sandbox": {"provider": "process", "id": "1"}})
        async with AsyncExitStack() as listening:
            if answer is not None:
                await listening.enter_async_context(an_agent_server(world, run, *answer))
            with pytest.raises(HedgerowError) as met:
                await deliver(world.node, run, Deliver())
    return met.value


async def test_an_agent_that_has_ended_is_told_of_as_its_agent_server_reports_it(world: World) -> None:
    ended = {"message": "The journal of the run could not be written: No space left on device.", "endReason": "agent_failed"}
    error = await delivered(world, LivingSandboxes(), (400, {"error": "No active session", "ended": ended}))
    assert isinstance(error, EndsRunError)
    assert (error.reason, error.message) == (EndReason.AGENT_FAILED, ended["message"])


@pytest.mark.parametrize("ended", [None, "no object", {"message": 7}])
async def test_a_session_that_is_gone_for_no_reason_that_is_told_is_told_of_as_it_is(world: World, ended: object) -> None:
    error = await delivered(world, LivingSandboxes(), (400, {"error": "No active session", "ended": ended}))
    assert (type(error), error.message) == (UnavailableError, "No active session")


async def test_a_sandbox_that_dies_with_a_message_on_its_way_is_lost_as_any_other(world: World) -> None:
    error = await delivered(world, DyingSandboxes(), None)
    assert isinstance(error, EndsRunError)
    assert error.reason is EndReason.SANDBOX_LOST
    assert error.message == "The sandbox ended unexpectedly: killed (signal 9), as the system does when memory runs out."


async def test_an_agent_server_that_does_not_answer_though_its_sandbox_lives_says_nothing(world: World) -> None:
    assert (await delivered(world, LivingSandboxes(), None)).message == "The agent server does not answer."
