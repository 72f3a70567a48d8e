"""How runs come to their ends, and what keeps them from it."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any, cast

from hedgerow.db import executions, journal, messages
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.actions import Conclude, Deliver, Prepare
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.messages import UNANSWERED, MessageStatus
from hedgerow.domain.runs import Ending, EndReason, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.lifecycle import reconcile, reopen_door
from hedgerow.lifecycle.ends import EndsRunError, conclude, fail
from hedgerow.operations import commands
from hedgerow.operations.outputs import set_output
from hedgerow.operations.tasks import TaskDraft, update_task
from hedgerow.repositories import Published
from hedgerow.sandboxes.base import SandboxProvider
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemoryGate, MemorySandboxes

FINISHED = Conclude(Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED))


async def turn_over(world: World, run: TaskRun, **facts: Any) -> TaskRun:
    """The run as one of this node whose agent has ended its first turn."""
    now = world.node.backends.clock.now()
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
        first = await messages.take(tx, run.id, world.node.backends.clock.now())
        assert first is not None
        await messages.finish(tx, run.id, first.id)
        claimed = await executions.look(tx, run.id)
        assert claimed is not None
        done = {"checked_out_at": now, "base_commit": "1" * 40, "session_ready_at": now, "turn_ended_at": now, "stop_reason": "end_turn"}
        await executions.record(tx, claimed[0], done | facts)
    return await world.fresh(run)


async def say(world: World, run: TaskRun, text: str) -> None:
    command = Command(method=CommandMethod.USER_MESSAGE, params={"content": text})
    await commands.send_command(world.node.backends, world.caller, world.project, run.task_id, run.id, command)


async def test_a_message_that_was_accepted_after_the_look_keeps_the_run_going(world: World) -> None:
    looked_at = await turn_over(world, await world.run())
    await say(world, looked_at, "One thing more")
    await conclude(world.node, looked_at, FINISHED)
    assert (await world.fresh(looked_at)).execution.ending is None


async def test_a_run_that_nobody_spoke_to_meanwhile_ends(world: World) -> None:
    looked_at = await turn_over(world, await world.run())
    await conclude(world.node, looked_at, FINISHED)
    assert (await world.fresh(looked_at)).execution.ending == FINISHED.ending


async def test_a_database_that_was_away_for_a_moment_ends_no_run(world: World) -> None:
    run = await world.run()
    wrapped = EndsRunError(EndReason.SANDBOX_FAILED, "The database does not answer.")
    wrapped.__cause__ = DatabaseLostError()
    for error in (DatabaseLostError(), ExceptionGroup("both", [wrapped])):
        assert not await fail(world.node, run, Prepare(sandbox=True, workspace=True), error)
    execution = (await world.fresh(run)).execution
    assert execution.ending is None
    assert execution.wake_at is not None


async def test_a_delivery_that_failed_though_its_turn_is_over_ends_nothing(world: World) -> None:
    run = await turn_over(world, await world.run())
    assert await fail(world.node, run, Deliver(), UnavailableError("The agent server did not answer within 30 seconds."))
    assert (await world.fresh(run)).execution.ending == FINISHED.ending


@dataclass
class SlowSandboxes(MemorySandboxes):
    """Machines that are made only when a test lets them."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        self.begun.set()
        await self.go_on.wait()
        return await super().create(spec)


async def test_a_sandbox_that_is_being_made_when_the_clone_fails_is_not_left_behind(world: World) -> None:
    slow = SlowSandboxes()
    world = world.with_node(sandboxes=cast("dict[str, SandboxProvider]", {"process": slow}), sandbox_choice="process")
    world.repositories.problem = UnavailableError("git.test does not answer.")
    run = await world.run()
    looking = asyncio.create_task(reconcile(world.node, run.id))
    await slow.begun.wait()
    world.repositories.let_go.set()
    await world.repositories.began.wait()
    slow.go_on.set()
    await asyncio.wait_for(looking, timeout=10)
    ended = await world.fresh(run)
    assert (slow.made, slow.alive) == (1, {})
    assert (ended.execution.sandbox, ended.execution.wake_at) == (None, None)
    assert ended.error_message == "git.test does not answer."


async def test_a_sandbox_that_has_ended_is_not_named_in_the_state_any_more(world: World) -> None:
    run = await turn_over(world, await world.run(), sandbox={"provider": "process", "id": "1"})
    await reopen_door(world.node, run)
    assert (await world.fresh(run)).state["sandbox_url"] == f"http://worker.test/sandboxes/{run.id}"
    await world.patch(run, status=RunStatus.CANCELLED)
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert ended.execution.sandbox is None
    assert "sandbox_url" not in ended.state


class WalledUpGate(MemoryGate):
    """A gate that cannot open a door."""

    async def open(self, *where: Any, **wishes: Any) -> None:
        raise UnavailableError("The socket cannot be made.")


async def test_a_door_that_cannot_be_opened_again_ends_its_run_alone(world: World) -> None:
    run = await turn_over(world, await world.run(), sandbox={"provider": "process", "id": "1"}, turn_ended_at=None)
    await reopen_door(world.with_node(gate=WalledUpGate()).node, run)
    ending = (await world.fresh(run)).execution.ending
    assert ending is not None
    assert ending.reason is EndReason.SANDBOX_LOST
    assert "The socket cannot be made." in (ending.message or "")


async def test_messages_of_a_run_whose_result_cannot_be_collected_are_given_up(world: World) -> None:
    run = await turn_over(world, await world.run())
    await say(world, run, "One thing more")
    world.repositories.publishing_problem = UnavailableError("The disk is full.")
    world.node.folders(run.id).workspace.mkdir(parents=True)
    await world.patch(run, status=RunStatus.COMPLETED)
    await reconcile(world.node, run.id)
    async with world.node.backends.database.transaction() as tx:
        assert [message.status for message in await messages.of_run(tx, run.id)] == [MessageStatus.ACKNOWLEDGED, MessageStatus.FAILED]


async def test_a_run_that_its_agent_has_ended_says_as_well_where_its_uncollected_files_are(world: World) -> None:
    over = await turn_over(world, await world.run())
    await world.patch(over, status=RunStatus.FAILED, error_message="The agent gave up.")
    world.repositories.publishing_problem = UnavailableError("The disk is full.")
    await reconcile(world.node, over.id)
    told = await world.fresh(over)
    kept = f"The files are kept in {world.node.folders(over.id).workspace}."
    assert told.error_message == f"The agent gave up. The result could not be collected: The disk is full. {kept}"
    assert (told.status, told.state["end_reason"]) == (RunStatus.FAILED, "client")


async def test_a_run_whose_output_was_accepted_ends_as_completed_and_keeps_it_as_it_is(world: World) -> None:
    run = await turn_over(world, await world.run(), turn_ended_at=None)
    await update_task(world.node.backends, world.caller, world.project, run.task_id, TaskDraft(json_schema={"type": "array"}))
    await set_output(world.node.backends, world.caller, world.project, run.task_id, run.id, [1, 2])
    world.repositories.published = Published(branch="hedgerow/h-1", commit="2" * 40, diff_stat={}, pushed=True)
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"], ended.error_message) == (RunStatus.COMPLETED, "output_accepted", None)
    assert (ended.output, ended.branch) == ([1, 2], "hedgerow/h-1")
    assert ended.execution.cleaned_at is not None


async def test_the_first_reason_counts_where_an_action_fails_after_the_end_was_decided(world: World) -> None:
    run = await turn_over(world, await world.run())
    await conclude(world.node, run, FINISHED)
    assert await fail(world.node, run, Prepare(sandbox=True, workspace=True), UnavailableError("No such branch."))
    assert (await world.fresh(run)).execution.ending == FINISHED.ending


async def test_a_run_that_is_ended_and_opened_again_before_anybody_looked_keeps_no_message_waiting(world: World) -> None:
    run = await world.run()
    await world.patch(run, status=RunStatus.CANCELLED)
    await world.patch(run, status=RunStatus.IN_PROGRESS)
    await reconcile(world.node, run.id)
    async with world.node.backends.database.statement() as tx:
        (message,) = await messages.of_run(tx, run.id)
    assert (message.status, message.error) == (MessageStatus.FAILED, UNANSWERED)


async def test_whoever_follows_a_run_hears_of_its_unanswered_messages_before_its_end(world: World) -> None:
    world.repositories.let_go.set()
    world.repositories.problem = UnavailableError("git.test does not answer.")
    run = await world.run()
    await reconcile(world.node, run.id)
    async with world.node.backends.database.statement() as tx:
        events = [json.loads(event.text) for event in await journal.read(tx, run.id, 0)]
    told = [event["notification"]["params"] for event in events if event["type"] == "message_status"]
    assert [(event["status"], event.get("error")) for event in told] == [("queued", None), ("failed", UNANSWERED)]
    last_two = [event["type"] for event in events if event["type"] in {"message_status", "task_run_state"}][-2:]
    assert last_two == ["message_status", "task_run_state"]
    assert events[-1]["status"] == "failed"
