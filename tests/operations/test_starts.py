import asyncio
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.db import executions, journal, messages, nodes
from hedgerow.db import runs as rows
from hedgerow.domain.access import RunCaller
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError, RefusedError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.messages import MessageStatus
from hedgerow.domain.runs import Environment, RunMode, RunStatus, TaskRun
from hedgerow.domain.tasks import OriginProduct, Task
from hedgerow.operations import commands
from hedgerow.operations.outputs import set_output
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.starts import StartRequest, resume_in_cloud, start_run
from hedgerow.operations.tasks import TaskDraft, delete_task, update_task
from tests.operations.conftest import Desk, new_desk


async def start(desk: Desk, run: TaskRun, **asked: Any) -> Task:
    return await start_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, StartRequest(**asked))


async def resume(desk: Desk, run: TaskRun) -> TaskRun:
    return await resume_in_cloud(desk.backends, desk.caller, desk.project, run.task_id, run.id)


async def patched(desk: Desk, run: TaskRun, **fields: Any) -> TaskRun:
    return await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(**fields))


async def inbox(desk: Desk, run: TaskRun) -> list[tuple[str | None, MessageStatus]]:
    async with desk.backends.database.statement() as tx:
        return [(message.content, message.status) for message in await messages.of_run(tx, run.id)]


async def events(desk: Desk, run: TaskRun) -> int:
    async with desk.backends.database.statement() as tx:
        return await journal.head(tx, run.id)


async def worked_on(desk: Desk, run: TaskRun, **facts: Any) -> TaskRun:
    """The run as one that a node has driven to the end of its first turn."""
    node, now = uuid7(), desk.backends.clock.now()
    there = {"checked_out_at": now, "base_commit": "1" * 40, "session_ready_at": now, "turn_ended_at": now, "stop_reason": "end_turn"}
    async with desk.backends.database.transaction() as tx:
        await nodes.report(tx, node, "http://worker.test", 30.0)
        await executions.claim(tx, run.id, node)
        claimed = await rows.load(tx, run.id)
        assert claimed is not None
        await executions.record(tx, claimed, there | facts)
    return await desk.fresh(run)


async def test_a_created_run_is_started_with_its_first_message(desk: Desk) -> None:
    created = await desk.run(await desk.task(description="Mend it."))

    task = await start(desk, created)

    assert task.latest_run is not None
    run = await desk.fresh(task.latest_run)
    assert (run.id, run.status, run.state) == (created.id, RunStatus.QUEUED, created.state)
    execution = run.execution
    assert execution.started_at is not None
    assert (execution.wake_at, execution.active_at, execution.node_id, execution.epoch) == (execution.started_at,) * 2 + (None, 0)
    assert await inbox(desk, run) == [("Mend it.", MessageStatus.QUEUED)]
    assert await events(desk, run) == 2


async def test_what_a_start_says_is_kept_and_said_first(desk: Desk) -> None:
    created = await desk.run()

    await start(desk, created, pending_user_message="Go")

    run = await desk.fresh(created)
    assert run.state == {**created.state, "pending_user_message": "Go"}
    assert run.updated_at > created.updated_at
    assert await inbox(desk, run) == [("Go", MessageStatus.QUEUED)]
    assert await events(desk, run) == 3


async def test_starting_twice_says_the_same_once_and_another_thing_as_well(desk: Desk) -> None:
    run = await desk.run(await desk.task(description="Mend it."))

    await asyncio.gather(*(start(desk, run, pending_user_message="Go") for _ in range(4)))
    started_at = (await desk.fresh(run)).execution.started_at
    await start(desk, run)
    await start(desk, run, pending_user_message="Faster")

    assert await inbox(desk, run) == [("Go", MessageStatus.QUEUED), ("Faster", MessageStatus.QUEUED)]
    assert (await desk.fresh(run)).execution.started_at == started_at


async def test_odd_words_in_the_state_are_no_first_message(desk: Desk) -> None:
    run = await patched(desk, await desk.run(await desk.task(description="Mend it.")), state={"pending_user_message": {"a": 1}})

    await start(desk, run)

    assert await inbox(desk, run) == [("Mend it.", MessageStatus.QUEUED)]


async def test_a_start_is_refused_in_the_contracts_order(desk: Desk) -> None:
    local = await desk.run(environment=Environment.LOCAL)
    ended = await patched(desk, await desk.run(), status=RunStatus.CANCELLED)
    created = await desk.run()

    for run, word, family in ((local, "local", "error"), (ended, "cancelled", "error"), (created, "artifacts", "detail")):
        before = await desk.fresh(run)
        with pytest.raises(RefusedError, match=word) as refusal:
            await start(desk, run, pending_user_message="x", pending_user_artifact_ids=("b", "a"))
        assert refusal.value.family == family
        assert await desk.fresh(run) == before
        assert await inbox(desk, run) == []
    assert refusal.value.missing_artifact_ids == ["b", "a"]


async def test_a_run_that_is_not_started_or_not_there_is_told_apart(desk: Desk) -> None:
    run = await patched(desk, await desk.run(), status=RunStatus.NOT_STARTED)
    assert (await start(desk, run)).latest_run is not None
    other = await desk.task()
    for task_id, run_id in ((run.task_id, uuid4()), (other.id, run.id), (uuid4(), run.id)):
        with pytest.raises(NotFoundError):
            await start_run(desk.backends, desk.caller, desk.project, task_id, run_id, StartRequest())
        with pytest.raises(NotFoundError):
            await resume_in_cloud(desk.backends, desk.caller, desk.project, task_id, run_id)


async def test_no_run_of_a_deleted_task_is_started(desk: Desk) -> None:
    run = await desk.run()
    await delete_task(desk.backends, desk.caller, desk.project, run.task_id)
    with pytest.raises(NotFoundError):
        await start(desk, run)
    with pytest.raises(NotFoundError):
        await resume(desk, run)


async def test_an_agent_starts_nothing(desk: Desk) -> None:
    run = await desk.run()
    for asking in (
        start_run(desk.backends, desk.agent(run), desk.project, run.task_id, run.id, StartRequest()),
        resume_in_cloud(desk.backends, desk.agent(run), desk.project, run.task_id, run.id),
    ):
        with pytest.raises(ForbiddenError):
            await asking


async def test_a_run_of_a_client_is_resumed_in_the_cloud(desk: Desk) -> None:
    task = await desk.task(description="Mend it.")
    local = await desk.run(task, environment=Environment.LOCAL, pr_authorship_mode="bot")
    await patched(desk, local, status=RunStatus.FAILED, error_message="no", state={"pending_user_message": "x", "kept": 1})

    run = await resume(desk, local)

    assert (run.id, run.status, run.environment, run.mode) == (local.id, RunStatus.QUEUED, Environment.CLOUD, RunMode.INTERACTIVE)
    assert (run.completed_at, run.error_message) == (None, None)
    assert run.state == {"mode": "interactive", "pr_authorship_mode": "bot", "kept": 1, "handoff_resumed": True}
    assert run.execution.started_at is not None
    assert (run.execution.restarting, run.execution.wake_at) == (False, run.execution.started_at)
    [(words, status)] = await inbox(desk, run)
    assert (words or "").endswith("Mend it.")
    assert status is MessageStatus.QUEUED
    assert await events(desk, run) == 4


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.IN_PROGRESS])
async def test_a_run_that_is_active_in_the_cloud_is_not_resumed(desk: Desk, status: RunStatus) -> None:
    run = await patched(desk, await desk.run(), status=status)
    with pytest.raises(RefusedError, match=f"active in the cloud already.*{status.value}") as refusal:
        await resume(desk, run)
    assert refusal.value.family == "error"
    assert await desk.fresh(run) == run


@pytest.mark.parametrize(
    ("environment", "status"),
    [(Environment.CLOUD, status) for status in (RunStatus.NOT_STARTED, RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED)]
    + [(Environment.LOCAL, status) for status in RunStatus],
)
async def test_every_other_run_is_resumed(desk: Desk, environment: Environment, status: RunStatus) -> None:
    run = await patched(desk, await desk.run(environment=environment), status=status)
    assert (await resume(desk, run)).status is RunStatus.QUEUED


async def test_who_authors_the_pull_requests_of_a_resumed_run(desk: Desk) -> None:
    mine = await desk.run(environment=Environment.LOCAL)
    assert (await resume(desk, mine)).state["pr_authorship_mode"] == "bot"
    of_a_machine = await desk.run(await desk.task(origin_product=OriginProduct.AUTOMATION), environment=Environment.LOCAL)
    assert "pr_authorship_mode" not in (await resume(desk, of_a_machine)).state


async def test_a_resumed_run_whose_pull_requests_need_a_person_is_refused_and_left_as_it_was(desk: Desk) -> None:
    asked = await desk.run(environment=Environment.LOCAL, pr_authorship_mode="user", github_user_token="ghu_secret")
    of_another = await desk.run(environment=Environment.LOCAL)
    guest = await new_desk(desk.backends)
    for run, caller in ((asked, desk.caller), (of_another, guest.caller)):
        before = await desk.fresh(run)
        with pytest.raises(InvalidError) as refusal:
            await resume_in_cloud(desk.backends, caller, desk.project, run.task_id, run.id)
        assert (refusal.value.attr, refusal.value.detail_code) == ("pr_authorship_mode", "github_authorization_required")
        assert await desk.fresh(run) == before


async def test_a_run_of_which_nothing_is_left_is_as_good_as_new(desk: Desk) -> None:
    run = await worked_on(desk, await desk.started_run(), landed_at=desk.backends.clock.now(), cleaned_at=desk.backends.clock.now())
    await patched(desk, run, status=RunStatus.COMPLETED)

    resumed = await resume(desk, run)

    execution = resumed.execution
    assert (execution.node_id, execution.epoch, execution.restarting, execution.ending) == (None, 1, False, None)
    forgotten = ("checked_out_at", "base_commit", "session_ready_at", "turn_ended_at", "stop_reason", "landed_at", "cleaned_at", "sandbox")
    assert {getattr(execution, name) for name in forgotten} == {None}
    assert [status for _, status in await inbox(desk, run)] == [MessageStatus.FAILED, MessageStatus.QUEUED]


async def test_a_run_of_which_something_is_left_waits_for_its_node(desk: Desk) -> None:
    run = await worked_on(desk, await desk.started_run(), sandbox={"provider": "process", "id": "1"})
    ended = await patched(desk, run, status=RunStatus.COMPLETED)

    resumed = await resume(desk, ended)

    execution = resumed.execution
    assert (execution.restarting, execution.node_id, execution.sandbox) == (True, run.execution.node_id, run.execution.sandbox)
    assert execution.session_ready_at is not None
    assert execution.started_at is not None
    assert run.execution.started_at is not None
    assert execution.started_at > run.execution.started_at


async def test_the_agent_of_the_earlier_start_does_not_end_the_new_one(desk: Desk) -> None:
    run = await worked_on(desk, await desk.started_run(), sandbox={"provider": "process", "id": "1"})
    await patched(desk, run, status=RunStatus.FAILED)
    await update_task(desk.backends, desk.caller, desk.project, run.task_id, TaskDraft(json_schema=True))
    await resume(desk, run)
    agent = RunCaller(run_id=run.id, epoch=1)

    late = await update_run(desk.backends, agent, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.FAILED))
    with_output = await set_output(desk.backends, agent, desk.project, run.task_id, run.id, "late")

    assert (late.status, with_output.execution.ending) == (RunStatus.QUEUED, None)


async def test_a_resumed_run_takes_messages(desk: Desk) -> None:
    run = await resume(desk, await desk.run(environment=Environment.LOCAL))
    command = Command(method=CommandMethod.USER_MESSAGE, params={"content": "And this"})
    await commands.send_command(desk.backends, desk.caller, desk.project, run.task_id, run.id, command)
    assert (await inbox(desk, run))[-1] == ("And this", MessageStatus.QUEUED)


async def test_updated_at_grows_with_a_resume(desk: Desk) -> None:
    run = await desk.run(environment=Environment.LOCAL)
    assert (await resume(desk, run)).updated_at - run.updated_at >= timedelta(milliseconds=1)


async def test_a_run_that_was_opened_again_by_hand_begins_without_the_words_of_its_earlier_end(desk: Desk) -> None:
    run = await desk.started_run()
    await patched(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.")
    opened = await patched(desk, run, status=RunStatus.QUEUED)
    assert (opened.error_message, opened.completed_at is None) == ("The agent ended unexpectedly.", False)

    await start(desk, run)

    begun = await desk.fresh(run)
    assert (begun.error_message, begun.completed_at, begun.execution.ending) == (None, None, None)
    before = await events(desk, run)
    await start(desk, run)
    assert await events(desk, run) == before, "once more is no change"
