from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.db import journal, messages
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError, RefusedError
from hedgerow.domain.journal import EventKind
from hedgerow.domain.runs import Environment, RunMode, RunStatus
from hedgerow.operations import runs, tasks
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk, new_desk


async def test_a_started_run_is_queued_with_its_first_message_and_its_state_on_the_journal(desk: Desk) -> None:
    task = await desk.task(description="Mend it.")

    run = await desk.started_run(task, branch="main")

    assert (run.number, run.status, run.environment, run.branch) == (1, RunStatus.QUEUED, Environment.CLOUD, "main")
    assert run.state == {"mode": "background", "pr_base_branch": "main"}
    assert run.execution.started_at is not None
    assert run.execution.wake_at == run.execution.started_at
    async with desk.backends.database.statement() as tx:
        inbox = await messages.of_run(tx, run.id)
        events = await journal.read(tx, run.id, 0)
    assert [message.content for message in inbox] == ["Mend it."]
    assert [(event.number, event.kind) for event in events] == [(1, EventKind.STATE), (2, EventKind.MESSAGE)]
    assert '"status":"queued"' in events[0].text


async def test_the_newest_run_is_the_one_that_was_made_last_also_where_the_clock_was_put_back_meanwhile(desk: Desk) -> None:
    task = await desk.task()
    first = await desk.run(task)
    clock = FixedClock(first.created_at - timedelta(hours=1))
    second = await replace(desk, backends=replace(desk.backends, clock=clock)).run(task)
    assert (second.created_at < first.created_at, second.id < first.id) == (True, True)
    listed = await runs.list_runs(desk.backends, desk.caller, desk.project, task.id, Paging())
    assert [run.id for run in listed.items] == [second.id, first.id]
    latest = (await tasks.retrieve_task(desk.backends, desk.caller, desk.project, task.id)).latest_run
    assert latest is not None
    assert latest.id == second.id


@pytest.mark.parametrize(
    ("fields", "asked", "content"),
    [
        ({"description": "words"}, {"pending_user_message": "first"}, "first"),
        ({"title": "title", "description": " "}, {}, "title"),
        ({"description": "words"}, {"pending_user_message": ""}, "words"),
    ],
)
async def test_the_first_message_is_what_was_asked_for_most_directly(
    desk: Desk, fields: dict[str, Any], asked: dict[str, Any], content: str
) -> None:
    run = await desk.started_run(await desk.task(**fields), **asked)

    async with desk.backends.database.statement() as tx:
        assert [message.content for message in await messages.of_run(tx, run.id)] == [content]
    assert ("pending_user_message" in run.state) == bool(asked.get("pending_user_message"))


async def test_a_run_that_is_only_created_is_nobodys_work(desk: Desk) -> None:
    run = await desk.run(environment=Environment.LOCAL, mode=RunMode.INTERACTIVE)

    assert (run.status, run.environment, run.mode) == (RunStatus.QUEUED, Environment.LOCAL, RunMode.INTERACTIVE)
    assert (run.execution.started_at, run.execution.wake_at) == (None, None)


async def test_what_a_run_was_asked_for_stands_in_its_state(desk: Desk) -> None:
    run = await desk.run(
        runtime_adapter="claude",
        model="claude-opus-4-6",
        reasoning_effort="xhigh",
        initial_permission_mode="plan",
        run_source="signal_report",
        signal_report_id="s",
        pr_authorship_mode="user",
    )

    assert run.state == {
        "mode": "background",
        "pr_authorship_mode": "bot",
        "run_source": "signal_report",
        "signal_report_id": "s",
        "runtime_adapter": "claude",
        "provider": "anthropic",
        "model": "claude-opus-4-6",
        "reasoning_effort": "xhigh",
        "initial_permission_mode": "plan",
    }


@pytest.mark.parametrize(
    ("asked", "attr", "code"),
    [
        ({"initial_permission_mode": "plan", "model": "m"}, "initial_permission_mode", "invalid_input"),
        ({"runtime_adapter": "claude", "initial_permission_mode": "read-only"}, "initial_permission_mode", "invalid_input"),
        ({"runtime_adapter": "codex", "initial_permission_mode": "plan"}, "initial_permission_mode", "invalid_input"),
        ({"model": "m"}, "runtime_adapter", "invalid_input"),
        ({"reasoning_effort": "low"}, "runtime_adapter", "invalid_input"),
        ({"runtime_adapter": "codex"}, "model", "invalid_input"),
        ({"runtime_adapter": "codex", "model": "m", "reasoning_effort": "max"}, "reasoning_effort", "invalid_input"),
        ({"runtime_adapter": "claude", "model": "claude-haiku", "reasoning_effort": "low"}, "reasoning_effort", "invalid_input"),
        ({"runtime_adapter": "claude", "model": "claude-opus-4-5", "reasoning_effort": "max"}, "reasoning_effort", "invalid_input"),
    ],
)
async def test_a_request_that_does_not_fit_together_is_refused_before_anything_is_looked_up(
    desk: Desk, asked: dict[str, Any], attr: str, code: str
) -> None:
    for call in (
        runs.run_task(desk.backends, desk.caller, desk.project, uuid4(), RunRequest(**asked)),
        runs.create_run(desk.backends, desk.caller, desk.project, uuid4(), RunRequest(**asked), Environment.LOCAL),
    ):
        with pytest.raises(InvalidError) as refusal:
            await call
        assert (refusal.value.attr, refusal.value.detail_code) == (attr, code)


async def test_the_scripted_agent_needs_no_model(desk: Desk) -> None:
    assert (await desk.run(runtime_adapter="scripted")).state["runtime_adapter"] == "scripted"


async def test_an_unknown_task_is_not_found(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        await runs.run_task(desk.backends, desk.caller, desk.project, uuid4(), RunRequest())


async def test_a_resumed_run_inherits_what_the_request_leaves_out(desk: Desk) -> None:
    task = await desk.task()
    asked: dict[str, Any] = {
        "runtime_adapter": "codex",
        "model": "m",
        "reasoning_effort": "high",
        "initial_permission_mode": "auto",
        "branch": "dev",
    }
    first = await desk.run(task, **asked, pending_user_message="x")
    await update_run(
        desk.backends, desk.caller, desk.project, task.id, first.id, RunPatch(state={"snapshot_external_id": "snap", "other": 1})
    )

    second = await desk.started_run(task, resume_from_run_id=first.id, reasoning_effort="low", runtime_adapter="codex", model="m2")

    assert second.branch == "dev"
    assert second.state == {
        "mode": "background",
        "pr_base_branch": "dev",
        "runtime_adapter": "codex",
        "provider": "openai",
        "model": "m2",
        "reasoning_effort": "low",
        "resume_from_run_id": str(first.id),
        "snapshot_external_id": "snap",
    }


async def test_an_effort_that_does_not_fit_the_inherited_model_is_refused(desk: Desk) -> None:
    task = await desk.task()
    first = await desk.run(task, runtime_adapter="claude", model="claude-opus-4-6", reasoning_effort="max")

    with pytest.raises(InvalidError) as refusal:
        await desk.started_run(task, resume_from_run_id=first.id, runtime_adapter="claude", model="claude-opus-4-5")

    assert refusal.value.attr == "reasoning_effort"


async def test_only_a_run_of_the_same_task_can_be_resumed(desk: Desk) -> None:
    other = await desk.run()

    for run_id in (other.id, uuid4()):
        with pytest.raises(RefusedError) as refusal:
            await desk.started_run(resume_from_run_id=run_id)
        assert refusal.value.family == "detail"


async def test_unknown_environments_and_artifacts_are_refused(desk: Desk) -> None:
    with pytest.raises(RefusedError) as refusal:
        await desk.started_run(sandbox_environment_id=uuid4())
    assert refusal.value.family == "detail"
    with pytest.raises(RefusedError) as refusal:
        await desk.started_run(pending_user_artifact_ids=("b", "a", "b"))
    assert (refusal.value.family, refusal.value.missing_artifact_ids) == ("detail", ["b", "a"])


async def test_authoring_pull_requests_oneself_needs_an_identity(desk: Desk) -> None:
    with pytest.raises(InvalidError) as refusal:
        await desk.started_run(pr_authorship_mode="user")
    assert (refusal.value.attr, refusal.value.detail_code) == ("pr_authorship_mode", "github_authorization_required")

    run = await desk.started_run(pr_authorship_mode="user", github_user_token="ghu_secret")

    assert run.state["pr_authorship_mode"] == "user"
    assert "ghu_secret" not in str(run)


async def test_runs_are_numbered_and_listed_newest_first(desk: Desk) -> None:
    task = await desk.task()
    for _ in range(3):
        await desk.run(task)
    await desk.run()

    page = await runs.list_runs(desk.backends, desk.caller, desk.project, task.id, Paging(limit=2))

    assert (page.count, [run.number for run in page.items]) == (3, [3, 2])


async def test_a_run_is_found_under_its_own_task_and_project_alone(desk: Desk) -> None:
    run, other = await desk.run(), await desk.task()
    stranger = await new_desk(desk.backends)

    assert await desk.fresh(run) == run
    with pytest.raises(NotFoundError):
        await runs.retrieve_run(desk.backends, desk.caller, desk.project, other.id, run.id)
    with pytest.raises(NotFoundError):
        await runs.retrieve_run(desk.backends, stranger.caller, stranger.project, run.task_id, run.id)


async def test_a_run_token_reads_its_run_and_those_it_resumes_from(desk: Desk) -> None:
    task = await desk.task()
    first = await desk.run(task)
    second = await desk.started_run(task, resume_from_run_id=first.id)
    third = await desk.run(task)
    agent = desk.agent(second)

    for run in (first, second):
        assert (await runs.retrieve_run(desk.backends, agent, desk.project, task.id, run.id)).id == run.id
    with pytest.raises(NotFoundError):
        await runs.retrieve_run(desk.backends, agent, desk.project, task.id, third.id)
    for run in (first, second):
        with pytest.raises(ForbiddenError):
            await runs.retrieve_run(desk.backends, desk.agent(second, epoch=1), desk.project, task.id, run.id)
    with pytest.raises(ForbiddenError):
        await runs.run_task(desk.backends, agent, desk.project, task.id, RunRequest())
