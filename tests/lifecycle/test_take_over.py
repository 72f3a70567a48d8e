"""The runs of a node that is lost, on a real database."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from hedgerow.db import executions, messages, nodes, runs
from hedgerow.domain.ids import uuid7
from hedgerow.domain.nodes import NodeBeat
from hedgerow.domain.runs import EndReason, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.domain.takeovers import LOST_MESSAGE
from hedgerow.lifecycle import Leftovers, NodeLease, close_doors, reconcile, take_over
from hedgerow.lifecycle.facts import TakenOverError, require_own
from hedgerow.lifecycle.node import Node
from hedgerow.operations import logs
from hedgerow.repositories import Published
from tests.lifecycle.conftest import World

CHECKPOINT = {"checkpointId": "c1"}


@pytest.fixture
async def lost(world: World) -> NodeBeat:
    """A node that will be silent from now on."""
    return await silent_node(world)


async def silent_node(world: World) -> NodeBeat:
    beat = NodeBeat(id=uuid7(), beat=1, lease_seconds=2.0)
    async with world.node.backends.database.transaction() as tx:
        await nodes.report(tx, beat.id, "http://lost.test", beat.lease_seconds)
    return beat


async def held_by(world: World, node_id: UUID, **facts: Any) -> TaskRun:
    """A run whose agent is at work on a node, with these facts more."""
    run = await world.run()
    now = world.node.backends.clock.now()
    async with world.node.backends.database.transaction() as tx:
        assert await executions.claim(tx, run.id, node_id)
        ready = {"checked_out_at": now, "session_ready_at": now, "base_commit": "1" * 40, "sandbox": {"provider": "process", "id": "9"}}
        url = {"state": run.state | {"sandbox_url": f"http://lost.test/sandboxes/{run.id}"}}
        return await runs.note(tx, run.id, {**ready, **url, **facts})


async def deliver(world: World, run: TaskRun) -> None:
    """The agent is at the run's first message."""
    now = world.node.backends.clock.now()
    async with world.node.backends.database.transaction() as tx:
        message = await messages.take(tx, run.id, now)
        assert message is not None
        await messages.mark_delivered(tx, message.id)
        await runs.note(tx, run.id, {"turn_started_at": now})


async def inbox(world: World, run: TaskRun) -> list[tuple[str, str | None]]:
    """Where the run's messages stand, in order, and what they say or why they failed."""
    async with world.node.backends.database.transaction() as tx:
        return [(message.status.value, message.error or message.content) for message in await messages.of_run(tx, run.id)]


async def test_a_run_that_was_at_work_goes_on_from_its_checkpoint_and_its_agent_is_asked_again_first(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id, checkpoint=CHECKPOINT)
    await deliver(world, run)
    now = world.node.backends.clock.now()
    async with world.node.backends.database.transaction() as tx:
        await messages.add(tx, replace((await messages.of_run(tx, run.id))[0], id=uuid7(), content="And then this", artifacts=[]))
    assert await take_over(world.node, lost) == 1
    taken = await world.fresh(run)
    execution = taken.execution
    assert (execution.node_id, execution.sandbox, execution.session_ready_at) == (None, None, None)
    assert (execution.epoch, execution.checkpoint) == (run.execution.epoch + 1, CHECKPOINT)
    assert execution.wake_at is not None
    assert execution.wake_at >= now
    assert (taken.status, "sandbox_url" in taken.state) == (run.status, False)
    first, second, third = await inbox(world, run)
    assert first == ("failed", LOST_MESSAGE)
    assert second[0] == "queued"
    assert "checkpoint" in (second[1] or "")
    assert (second[1] or "").endswith("Mend it")
    assert third == ("queued", "And then this")
    pieces = await logs.read_logs(world.node.backends, world.caller, world.project, run.task_id, run.id)
    assert "taken over from a machine that is lost" in b"".join([piece async for piece in pieces]).decode()


async def test_a_run_without_a_checkpoint_ends_as_lost_and_nobody_is_left_waiting(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    await deliver(world, run)
    await take_over(world.node, lost)
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"]) == (RunStatus.FAILED, EndReason.SANDBOX_LOST.value)
    assert [status for status, _ in await inbox(world, run)] == ["failed"]
    assert (ended.execution.wake_at, ended.execution.cleaned_at is None) == (None, False)


async def test_an_end_whose_checkpoint_cannot_be_brought_back_says_so_and_is_no_success(world: World, lost: NodeBeat) -> None:
    world.repositories.let_go.set()
    ending = {"status": "completed", "reason": "finished", "message": None}
    now = world.node.backends.clock.now()
    run = await held_by(world, lost.id, checkpoint=CHECKPOINT, checkpointed_at_rest=True, turn_started_at=now, sandbox=None, ending=ending)
    await take_over(world.node, lost)
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"]) == (RunStatus.FAILED, EndReason.SANDBOX_FAILED.value)
    assert "could not be collected" in (ended.error_message or "")
    assert ended.execution.cleaned_at is not None
    assert ended.execution.epoch == run.execution.epoch + 2
    assert world.sandboxes.made == 0, "no agent starts for it"


async def test_a_run_that_nobody_has_spoken_to_begins_again(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    await take_over(world.node, lost)
    taken = await world.fresh(run)
    assert (taken.execution.node_id, taken.execution.ending) == (None, None)
    assert await inbox(world, run) == [("queued", "Mend it")]


async def test_a_node_that_reports_before_it_is_taken_over_keeps_its_runs(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    async with world.node.backends.database.transaction() as tx:
        await nodes.report(tx, lost.id, "http://lost.test", 2.0)
    assert await take_over(world.node, lost) == 0
    assert (await world.fresh(run)).execution.node_id == lost.id


async def test_two_nodes_that_take_over_at_once_do_it_once(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id, checkpoint=CHECKPOINT)
    await deliver(world, run)
    assert sorted(await asyncio.gather(take_over(world.node, lost), take_over(world.node, lost))) == [0, 1]
    assert (await world.fresh(run)).execution.epoch == run.execution.epoch + 1
    assert [status for status, _ in await inbox(world, run)] == ["failed", "queued"]


async def test_what_has_ended_and_what_is_its_clients_is_left_to_its_node(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    await world.patch(run, status=RunStatus.COMPLETED)
    assert await take_over(world.node, lost) == 0
    assert (await world.fresh(run)).execution.node_id == lost.id
    assert [status for status, _ in await inbox(world, run)] == ["failed"], "nobody is left waiting"


async def test_a_run_that_is_started_again_does_not_wait_for_a_node_that_is_lost(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    await world.patch(run, status=RunStatus.COMPLETED)
    await world.resume(run)
    assert (await world.fresh(run)).execution.restarting
    assert await take_over(world.node, lost) == 1
    taken = await world.fresh(run)
    assert (taken.execution.restarting, taken.execution.node_id, taken.execution.ending) == (False, None, None)
    assert [status for status, _ in await inbox(world, run)] == ["failed", "queued"]


async def test_what_was_announced_to_a_lost_node_keeps_nobody_waiting(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id)
    await world.node.backends.jobs.nudge(run.id, lost.id)
    await take_over(world.node, lost)
    async with world.node.backends.database.transaction() as tx:
        rows = await (await tx.connection.execute("SELECT queue_name FROM procrastinate_jobs WHERE status = 'todo'")).fetchall()
    assert {row["queue_name"] for row in rows} == {"runs"}


async def test_what_the_lost_node_still_does_for_the_run_is_refused(world: World, lost: NodeBeat) -> None:
    run = await held_by(world, lost.id, checkpoint=CHECKPOINT)
    await require_own(world.node, run)
    await take_over(world.node, lost)
    with pytest.raises(TakenOverError):
        await require_own(world.node, run)
    async with world.node.backends.database.transaction() as tx:
        assert not await executions.record(tx, run, {"base_commit": "2" * 40})


async def test_a_result_is_not_pushed_once_the_run_is_another_nodes(world: World) -> None:
    ending = {"status": "completed", "reason": "finished", "message": None}
    run = await held_by(world, world.node.id, sandbox=None, checkpointed_at_rest=True, ending=ending)
    world.node.folders(run.id).workspace.mkdir(parents=True)
    world.repositories.published = Published(branch="hedgerow/lost", commit="2" * 40, pushed=True)

    async def taken_over_meanwhile() -> None:
        world.repositories.before_push = None
        async with world.node.backends.database.transaction() as tx:
            await runs.note(tx, run.id, {"node_id": None})
            await executions.raise_epoch(tx, run)

    world.repositories.before_push = taken_over_meanwhile
    await reconcile(world.node, run.id)
    fresh = await world.fresh(run)
    assert (fresh.branch, fresh.output, fresh.execution.landed_at) == (None, None, None)
    assert fresh.execution.epoch == run.execution.epoch + 1
    assert fresh.execution.ending is not None
    assert fresh.execution.ending.reason is EndReason.FINISHED, "its end is the other node's to tell"


def lapsed(node: Node) -> Node:
    return replace(node, lease=NodeLease(2.0))


async def test_a_node_that_could_not_report_acts_no_more(world: World) -> None:
    run = await world.run()
    await reconcile(lapsed(world.node), run.id)
    assert (await world.fresh(run)).execution.node_id is None
    run = await held_by(world, world.node.id)
    with pytest.raises(TakenOverError):
        await require_own(lapsed(world.node), run)


async def test_a_clone_that_is_under_way_is_given_up_once_the_node_may_not_act(world: World) -> None:
    lease = NodeLease(1000.0)
    lease.renew(lease.now())
    run = await world.run()
    looking = asyncio.create_task(reconcile(replace(world.node, lease=lease), run.id))
    await world.repositories.began.wait()
    lease._until = lease.now()
    await world.node.backends.jobs.nudge(run.id, None)
    await asyncio.wait_for(looking, timeout=5)
    assert world.repositories.given_up.is_set()


async def test_a_node_that_is_back_cuts_off_and_removes_what_was_taken_over(world: World) -> None:
    mine, theirs = await held_by(world, world.node.id), await held_by(world, (await silent_node(world)).id)
    for run in (mine, theirs):
        folders = world.node.folders(run.id)
        folders.workspace.mkdir(parents=True)
        await world.node.gate.open(run.id, folders.sockets, frozenset(), None)
    await close_doors(world.node)
    assert set(world.gate.doors) == {mine.id}
    await Leftovers().remove(world.node)
    assert world.node.folders(mine.id).workspace.exists()
    assert not world.node.folders(theirs.id).root.exists()
    assert [path.name for path in (world.node.data_dir / "runs").iterdir()] == [str(mine.id)]


async def sandbox_of(world: World, run: TaskRun, name: str | None = None) -> SandboxHandle:
    """A sandbox that nobody has written down."""
    folder = Path("/")
    spec = SandboxSpec(
        name=name or str(run.id), command=("true",), working_directory=folder, home=folder, mounts=(), owner=str(world.node.id)
    )
    return await world.sandboxes.create(spec)


async def test_a_sandbox_that_its_maker_could_not_write_down_is_ended_once_it_was_seen_for_a_while(world: World) -> None:
    run = await held_by(world, world.node.id, sandbox=None)
    orphan = await sandbox_of(world, run)
    leftovers = Leftovers()
    assert await leftovers.remove(world.node)
    assert list(world.sandboxes.alive) == [orphan.id], "it may just be being made"
    assert not await leftovers.remove(world.node, grace_seconds=0.0)
    assert world.sandboxes.alive == {}


async def test_what_a_run_claims_and_what_works_for_one_stays(world: World) -> None:
    run = await held_by(world, world.node.id, sandbox=None)
    claimed, at_work = await sandbox_of(world, run), await sandbox_of(world, run, f"{run.id}-result-1")
    await sandbox_of(world, run, f"{run.id}-result-of-a-dead-worker")
    world.node.one_shots.add(f"{run.id}-result-1")
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"sandbox": {"provider": claimed.provider, "id": claimed.id}})
    assert not await Leftovers().remove(world.node, grace_seconds=0.0)
    assert list(world.sandboxes.alive) == [claimed.id, at_work.id]


async def test_work_that_could_not_be_collected_stays_also_where_another_node_has_the_run_by_now(world: World, lost: NodeBeat) -> None:
    marked, told, gone = [await held_by(world, lost.id) for _ in range(3)]
    for run in (marked, told, gone):
        world.node.folders(run.id).workspace.mkdir(parents=True)
    world.node.folders(marked.id).keep()
    aside = world.node.data_dir / "runs" / f"{gone.id}-kept-1"
    aside.mkdir()
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, told.id, {"error_message": f"The files are kept in {world.node.folders(told.id).workspace}."})
    await Leftovers().remove(world.node)
    left = {path.name for path in (world.node.data_dir / "runs").iterdir()}
    assert left == {str(marked.id), str(told.id), aside.name}
