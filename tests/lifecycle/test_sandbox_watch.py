"""Sandboxes that die are noticed at once, and runs that only wait on are told so without a job."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hedgerow.db import executions
from hedgerow.domain.runs import Ending, EndReason, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.lifecycle import SandboxWatch, rest_those_that_wait
from hedgerow.sandboxes.process import ProcessSandboxes
from tests.lifecycle.conftest import World


class Yard:
    """A world whose sandboxes are real processes that sleep."""

    def __init__(self, world: World, folder: Path) -> None:
        self.provider = ProcessSandboxes(grace_seconds=0.1)
        self.world = world.with_node(sandboxes={"process": self.provider})
        self.watch = SandboxWatch(self.world.node)
        self.handles: list[SandboxHandle] = []
        self._folder = folder

    async def run(self) -> tuple[TaskRun, int]:
        """A run that waits, held by this node, and the first process of its sandbox."""
        run = await self.world.run()
        command = (sys.executable, "-c", "import time; time.sleep(600)")
        spec = SandboxSpec(name=str(run.id), command=command, working_directory=self._folder, home=self._folder, mounts=())
        handle = await self.provider.create(spec)
        self.handles.append(handle)
        now = self.world.node.backends.clock.now()
        sandbox = {"provider": handle.provider, "id": handle.id}
        facts = {"node_id": self.world.node.id, "sandbox": sandbox, "checked_out_at": now, "session_ready_at": now}
        async with self.world.node.backends.database.transaction() as tx:
            await executions.record(tx, run, facts)
        return await self.world.fresh(run), int(handle.id.split("-")[0])

    async def until_ending(self, run: TaskRun) -> TaskRun:
        """The run once its sandbox was waited for."""
        await asyncio.gather(*(wait for sandbox, wait in self.watch._waits.items() if sandbox.run_id == str(run.id)))
        return await self.world.fresh(run)


@pytest.fixture
async def yard(world: World, tmp_path: Path) -> AsyncIterator[Yard]:
    """A yard whose sandboxes end with the test."""
    yard = Yard(world, tmp_path)
    yield yard
    await yard.watch.close()
    for handle in yard.handles:
        await yard.provider.destroy(handle)


async def test_a_sandbox_that_dies_is_noticed_without_another_look(yard: Yard) -> None:
    (run, pid), (other, _) = await yard.run(), await yard.run()
    await yard.watch.look()
    os.kill(pid, signal.SIGKILL)
    ending = (await yard.until_ending(run)).execution.ending
    assert ending is not None
    assert (ending.status, ending.reason) == (RunStatus.FAILED, EndReason.SANDBOX_LOST)
    assert ending.message == "The sandbox ended unexpectedly: killed (signal 9), as the system does when memory runs out."
    assert (await yard.world.fresh(other)).execution.ending is None


async def test_a_sandbox_that_dies_once_the_last_turn_is_over_does_not_take_the_end_of_it_away(yard: Yard) -> None:
    run, pid = await yard.run()
    async with yard.world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE messages SET status = 'acknowledged' WHERE run_id = %s", [run.id])
        await executions.record(tx, run, {"turn_ended_at": yard.world.node.backends.clock.now(), "stop_reason": "end_turn"})
    await yard.watch.look()
    os.kill(pid, signal.SIGKILL)
    assert (await yard.until_ending(run)).execution.ending == Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)


async def test_a_sandbox_that_died_before_the_first_look_is_found_by_it(yard: Yard) -> None:
    run, pid = await yard.run()
    os.kill(pid, signal.SIGKILL)
    await yard.provider.wait(yard.handles[0])
    await yard.watch.look()
    assert (await yard.until_ending(run)).execution.ending is not None


async def test_a_loss_that_could_not_be_written_down_is_found_by_the_next_look(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    run, pid = await yard.run()
    with monkeypatch.context() as broken:
        broken.setattr("hedgerow.lifecycle.sandbox_watch.conclude_unless_ending", _fail)
        await yard.watch.look()
        os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*yard.watch._waits.values())
    assert (await yard.world.fresh(run)).execution.ending is None
    await yard.watch.look()
    assert (await yard.until_ending(run)).execution.ending is not None


async def _fail(*_: object) -> None:
    raise OSError("the disk is gone")


async def test_nobody_waits_for_the_sandbox_of_a_run_that_ends(yard: Yard) -> None:
    run, pid = await yard.run()
    await yard.watch.look()
    await yard.world.patch(run, status=RunStatus.CANCELLED)
    await yard.watch.look()
    assert yard.watch._waits == {}
    os.kill(pid, signal.SIGKILL)
    await yard.provider.wait(yard.handles[0])
    await yard.watch.look()
    assert (await yard.world.fresh(run)).execution.ending is None


async def test_a_sandbox_that_is_ended_with_its_run_is_no_loss(yard: Yard, capsys: pytest.CaptureFixture[str]) -> None:
    (run, _), (lost, pid) = await yard.run(), await yard.run()
    await yard.watch.look()
    await yard.world.patch(run, status=RunStatus.CANCELLED)
    await yard.provider.destroy(yard.handles[0])
    await yard.until_ending(run)
    assert "a sandbox died" not in capsys.readouterr().out
    os.kill(pid, signal.SIGKILL)
    await yard.until_ending(lost)
    assert "a sandbox died" in capsys.readouterr().out


async def test_a_run_that_waits_on_is_told_so_without_a_job(yard: Yard) -> None:
    run, _ = await yard.run()
    assert await rest_those_that_wait(yard.world.node, [run.id]) == set(), "its first message is to be delivered"
    async with yard.world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE messages SET status = 'delivered' WHERE run_id = %s", [run.id])
    assert await rest_those_that_wait(yard.world.node, [run.id]) == {run.id}
    fresh = await yard.world.fresh(run)
    assert fresh.execution.wake_at is not None
    assert fresh.execution.wake_at > yard.world.node.backends.clock.now()
