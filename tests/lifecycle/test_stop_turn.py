"""Agents that are asked to stop, and agent servers that cannot be asked any more."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from hedgerow.db import executions, messages
from hedgerow.domain.runs import EndReason, RunStatus, TaskRun
from hedgerow.lifecycle import AgentProbe, reconcile
from tests.lifecycle.conftest import World

SANDBOX = {"provider": "process", "id": "1"}


async def in_a_turn(world: World, run: TaskRun) -> TaskRun:
    """The run as one of this node whose agent has begun its first turn an hour ago, and of which nothing came since."""
    async with world.node.backends.database.transaction() as tx:
        began = world.node.backends.clock.now() - timedelta(hours=1)
        await executions.claim(tx, run.id, world.node.id, began)
        message = await messages.take(tx, run.id, began)
        assert message is not None
        await messages.mark_delivered(tx, message.id)
        claimed = await executions.look(tx, run.id)
        assert claimed is not None
        done = {"checked_out_at": began, "session_ready_at": began, "turn_started_at": began, "active_at": began, "sandbox": SANDBOX}
        await executions.record(tx, claimed[0], done)
    return await world.fresh(run)


def with_deadlines(world: World, **changes: Any) -> World:
    return world.with_node(deadlines=replace(world.node.deadlines, **changes))


async def test_how_a_silent_run_ends_is_written_down_before_its_agent_is_asked_to_stop(world: World) -> None:
    world = with_deadlines(world, turn_silence=timedelta(minutes=50), stopping=timedelta(minutes=10))
    run = await in_a_turn(world, await world.run())
    await reconcile(world.node, run.id)
    execution = (await world.fresh(run)).execution
    assert execution.stopping is not None
    assert (execution.stopping.reason, execution.ending) == (EndReason.AGENT_LOST, None)
    assert execution.stop_by is not None
    assert execution.wake_at is not None
    assert world.node.backends.clock.now() < execution.wake_at <= execution.stop_by


async def test_an_agent_that_does_not_stop_holds_the_end_up_no_longer_than_it_may(world: World) -> None:
    world = with_deadlines(world, turn_silence=timedelta(minutes=50), stopping=timedelta(0))
    run = await in_a_turn(world, await world.run())
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"]) == (RunStatus.FAILED, "agent_lost")
    assert ended.error_message == "Nothing was heard from the agent for 50 minutes in the middle of its turn."
    assert ended.execution.cleaned_at is not None


async def test_an_agent_server_that_gives_no_sign_of_life_is_given_up_only_after_its_time(world: World) -> None:
    run = await in_a_turn(world, await world.run())
    patient = AgentProbe(world.node, 3600)
    for _ in range(2):
        await patient()
    assert (await world.fresh(run)).execution.ending is None
    await AgentProbe(world.node, 0)()
    ending = (await world.fresh(run)).execution.ending
    assert ending is not None
    assert (ending.status, ending.reason) == (RunStatus.FAILED, EndReason.AGENT_LOST)


async def test_an_idle_agent_server_is_not_asked(world: World) -> None:
    run = await in_a_turn(world, await world.run())
    async with world.node.backends.database.transaction() as tx:
        await messages.finish(tx, run.id, None)
    await AgentProbe(world.node, 0)()
    assert (await world.fresh(run)).execution.ending is None


async def test_a_turn_is_watched_also_where_the_clock_was_put_back_before_it(world: World) -> None:
    run = await in_a_turn(world, await world.run())
    async with world.node.backends.database.transaction() as tx:
        await executions.record(tx, run, {"turn_ended_at": world.node.backends.clock.now()})  # of the turn before
    await AgentProbe(world.node, 0)()
    assert (await world.fresh(run)).execution.ending is not None
