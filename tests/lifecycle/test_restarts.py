"""Runs that begin anew, and what becomes of their earlier start."""

import asyncio
from typing import Any

from hedgerow.db import messages
from hedgerow.domain.actions import CleanUp, Deliver, End
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.messages import MessageStatus
from hedgerow.domain.runs import Ending, EndReason, Environment, RunStatus, TaskRun
from hedgerow.lifecycle import conclude_unless_ending, reconcile
from hedgerow.lifecycle.clean_up import clean_up
from hedgerow.lifecycle.deliver import deliver
from hedgerow.lifecycle.ends import conclude, end, fail
from hedgerow.repositories import Published
from tests.lifecycle.conftest import World
from tests.lifecycle.test_ends import FINISHED, turn_over

SANDBOX = {"provider": "process", "id": "1"}


async def until_cloned(world: World, run: TaskRun) -> asyncio.Task[None]:
    """A look at the run that has come as far as the clone of its new start, which waits."""
    looking = asyncio.create_task(reconcile(world.node, run.id))
    begun = asyncio.create_task(world.repositories.began.wait())
    await asyncio.wait([looking, begun], timeout=20, return_when=asyncio.FIRST_COMPLETED)
    assert begun.done(), (await world.fresh(run)).execution
    return looking


async def ended(world: World, **facts: Any) -> TaskRun:
    """A run whose agent has worked, that a person has ended, and that nobody has looked at since."""
    run = await turn_over(world, await world.run(), **facts)
    return await world.patch(run, status=RunStatus.COMPLETED)


async def give_up(world: World, run: TaskRun, looking: asyncio.Task[None]) -> None:
    await world.patch(run, status=RunStatus.CANCELLED)
    await asyncio.wait_for(looking, timeout=20)


async def test_the_work_of_the_earlier_start_is_landed_before_the_run_begins_anew(world: World) -> None:
    run = await ended(world, sandbox=SANDBOX)
    world.node.folders(run.id).home.mkdir(parents=True)
    world.repositories.published = Published(branch="hedgerow/h-1", commit="2" * 40, diff_stat={}, pushed=True)
    await world.resume(run)
    looking = await until_cloned(world, run)
    begun = await world.fresh(run)
    execution = begun.execution
    assert (begun.status, begun.branch, (begun.output or {})["commit"]) == (RunStatus.QUEUED, "hedgerow/h-1", "2" * 40)
    assert (execution.epoch, execution.node_id, execution.restarting) == (run.execution.epoch + 1, world.node.id, False)
    assert (execution.landed_at, execution.session_ready_at, execution.turn_ended_at) == (None, None, None)
    async with world.node.backends.database.statement() as tx:
        assert (await messages.of_run(tx, run.id))[-1].status is MessageStatus.QUEUED
    await give_up(world, run, looking)
    assert not world.node.folders(run.id).root.exists()


async def test_a_run_that_was_tidied_up_is_claimed_as_a_new_one(world: World) -> None:
    run = await ended(world)
    await reconcile(world.node, run.id)
    assert (await world.fresh(run)).execution.cleaned_at is not None
    await world.resume(run)
    looking = await until_cloned(world, run)
    execution = (await world.fresh(run)).execution
    assert (execution.epoch, execution.cleaned_at) == (run.execution.epoch + 1, None)
    await give_up(world, run, looking)
    execution = (await world.fresh(run)).execution
    assert execution.cleaned_at is not None
    assert execution.wake_at is None


async def test_work_that_cannot_be_landed_ends_the_resumed_run_and_stays_where_it_is_found(world: World) -> None:
    run = await ended(world)
    note = world.node.folders(run.id).workspace / "note.txt"
    note.parent.mkdir(parents=True)
    note.write_text("hours of work")
    world.repositories.publishing_problem = UnavailableError("The disk is full.")
    await world.resume(run)
    await reconcile(world.node, run.id)
    failed = await world.fresh(run)
    assert (failed.status, failed.state["end_reason"]) == (RunStatus.FAILED, "sandbox_failed")
    assert "The disk is full." in (failed.error_message or "")
    assert note.read_text() == "hours of work"
    await world.resume(run)
    looking = await until_cloned(world, run)
    await give_up(world, run, looking)
    root = world.node.folders(run.id).root
    assert (root.with_name(f"{root.name}-kept-1") / "workspace" / "note.txt").read_text() == "hours of work"


async def test_a_run_that_is_cancelled_while_it_starts_again_leaves_nothing(world: World) -> None:
    run = await ended(world, sandbox=SANDBOX)
    await world.resume(run)
    await world.patch(run, status=RunStatus.CANCELLED)
    await reconcile(world.node, run.id)
    over = await world.fresh(run)
    assert (over.status, over.execution.sandbox, over.execution.wake_at) == (RunStatus.CANCELLED, None, None)
    assert over.execution.cleaned_at is not None
    assert not world.repositories.began.is_set()


async def test_the_loss_of_a_sandbox_that_a_run_has_left_behind_does_not_end_it(world: World) -> None:
    run = await ended(world, sandbox=SANDBOX)
    await world.resume(run)
    lost = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message="gone")
    await conclude_unless_ending(world.node, run, lost)
    assert (await world.fresh(run)).execution.ending is None
    looking = await until_cloned(world, run)
    await conclude_unless_ending(world.node, run, lost)
    assert (await world.fresh(run)).execution.ending is None
    await give_up(world, run, looking)


async def test_the_agent_of_the_earlier_start_gets_no_message_of_the_new_one(world: World) -> None:
    run = await ended(world, sandbox=SANDBOX)
    await world.resume(run)
    await deliver(world.node, run, Deliver())
    async with world.node.backends.database.statement() as tx:
        assert (await messages.of_run(tx, run.id))[-1].status is MessageStatus.QUEUED


async def test_tidying_up_that_a_new_start_overtakes_leaves_it_its_message(world: World) -> None:
    ending = await ended(world, landed_at=world.node.backends.clock.now())
    await world.resume(ending)
    await clean_up(world.node, ending, CleanUp())
    begun = await world.fresh(ending)
    assert (begun.execution.restarting, begun.execution.cleaned_at) == (True, None)
    assert await _statuses(world, begun) == [MessageStatus.ACKNOWLEDGED, MessageStatus.QUEUED]


async def test_a_run_that_was_ended_unclaimed_and_resumed_does_not_count_as_tidied_up(world: World) -> None:
    over = await world.patch(await world.run(), status=RunStatus.CANCELLED)
    await world.resume(over)
    await clean_up(world.node, over, CleanUp())
    assert (await world.fresh(over)).execution.cleaned_at is None
    assert await _statuses(world, over) == [MessageStatus.FAILED, MessageStatus.QUEUED]


async def test_an_end_that_is_told_too_late_does_not_end_the_new_start(world: World) -> None:
    run = await turn_over(world, await world.run())
    await conclude(world.node, run, FINISHED)
    concluded = await world.fresh(run)
    await world.patch(run, environment=Environment.LOCAL)
    await end(world.node, concluded, End(FINISHED.ending))
    assert not (await world.fresh(run)).status.terminal
    await world.resume(run)
    await end(world.node, concluded, End(FINISHED.ending))
    assert (await world.fresh(run)).status is RunStatus.QUEUED


async def test_what_an_action_of_the_earlier_start_meets_does_not_end_the_new_one(world: World) -> None:
    run = await ended(world, sandbox=SANDBOX)
    await world.resume(run)
    assert await fail(world.node, run, Deliver(), UnavailableError("The agent server does not answer."))
    assert (await world.fresh(run)).execution.ending is None


async def _statuses(world: World, run: TaskRun) -> list[MessageStatus]:
    async with world.node.backends.database.statement() as tx:
        return [message.status for message in await messages.of_run(tx, run.id)]
