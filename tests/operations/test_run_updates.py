import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hedgerow.db import executions, journal, messages
from hedgerow.db import runs as rows
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError
from hedgerow.domain.runs import Ending, EndReason, Environment, RunMode, RunStatus, TaskRun
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk

NOW = datetime(2026, 5, 7, tzinfo=UTC)


async def patched(desk: Desk, run: TaskRun, **fields: Any) -> TaskRun:
    """The run after a person's PATCH."""
    return await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(**fields))


async def by_agent(desk: Desk, run: TaskRun, epoch: int = 0, **fields: Any) -> TaskRun:
    """The run after a PATCH of its agent server."""
    return await update_run(desk.backends, desk.agent(run, epoch), desk.project, run.task_id, run.id, RunPatch(**fields))


async def states(desk: Desk, run: TaskRun) -> list[dict[str, Any]]:
    """The state events on a run's journal."""
    async with desk.backends.database.statement() as tx:
        return [json.loads(event.text) for event in await journal.read(tx, run.id, 0)]


async def test_an_empty_patch_moves_the_run_on_by_one_event(desk: Desk) -> None:
    run = await desk.run()

    changed = await patched(desk, run)

    assert changed.updated_at - run.updated_at >= timedelta(milliseconds=1)
    assert len(await states(desk, run)) == 2


async def test_updated_at_grows_also_where_the_clock_stands_still(desk: Desk) -> None:
    run = await desk.run()
    async with desk.backends.database.transaction() as tx:
        ahead = await rows.note(tx, run.id, {"updated_at": run.updated_at + timedelta(days=1)})

    changed = await patched(desk, run)

    assert changed.updated_at - ahead.updated_at == timedelta(milliseconds=1)


async def test_updated_at_grows_also_where_the_clock_is_put_back_by_an_hour(desk: Desk) -> None:
    run = await desk.run()
    clock = FixedClock(run.updated_at - timedelta(hours=1))
    slow = replace(desk, backends=replace(desk.backends, clock=clock))
    before = run.updated_at
    for stage in ("a", "b", "c"):
        changed = await patched(slow, run, stage=stage)
        assert changed.updated_at > before
        before = changed.updated_at
    stamps = [state["updated_at"] for state in await states(desk, run)]
    assert stamps == sorted(set(stamps))


async def test_outputs_are_merged_and_everything_else_replaces(desk: Desk) -> None:
    run = await desk.run()

    for given, expected in (
        ({"a": 1, "b": {"x": 1}}, {"a": 1, "b": {"x": 1}}),
        ({"b": {"y": 2}}, {"a": 1, "b": {"y": 2}}),
        ([1], [1]),
        ({"c": "\x00\ud800"}, {"c": "\x00\ud800"}),
        (None, None),
        ("text", "text"),
    ):
        assert (await patched(desk, run, output=given)).output == expected


async def test_state_keys_are_removed_before_others_are_merged(desk: Desk) -> None:
    run = await desk.run()
    await patched(desk, run, state={"a": 1, "b": 2, "c": 3})

    changed = await patched(desk, run, state={"a": 9}, state_remove_keys=("a", "b", "none"))

    assert changed.state == {"mode": "background", "a": 9, "c": 3}


async def test_protected_keys_are_left_alone(desk: Desk) -> None:
    run = await desk.run(pr_authorship_mode="bot")

    changed = await patched(
        desk,
        run,
        state={"sandbox_id": "x", "sandbox_connect_token": "x", "end_reason": "x", "_own": 1, "free": 1, "pr_authorship_mode": "user"},
        state_remove_keys=("pr_authorship_mode",),
    )

    assert changed.state == {"mode": "background", "pr_authorship_mode": "bot", "free": 1}


async def test_a_sandbox_url_is_taken_from_a_client_only_where_the_operator_allows_it(desk: Desk) -> None:
    run = await desk.run()
    allowing = desk.with_rules(sandbox_url_allowlist=("http://127.0.0.1:*",))

    assert "sandbox_url" not in (await patched(desk, run, state={"sandbox_url": "http://127.0.0.1:9"})).state
    assert "sandbox_url" not in (await patched(allowing, run, state={"sandbox_url": "http://evil.test"})).state
    assert (await patched(allowing, run, state={"sandbox_url": "http://127.0.0.1:9"})).state["sandbox_url"] == "http://127.0.0.1:9"
    of_agent = RunPatch(state={"sandbox_url": "http://127.0.0.1:10"}, state_remove_keys=("sandbox_url",))
    by_agent = await update_run(allowing.backends, desk.agent(run), desk.project, run.task_id, run.id, of_agent)
    assert by_agent.state["sandbox_url"] == "http://127.0.0.1:9", "an agent does not say where commands to it go"
    assert "sandbox_url" in (await patched(desk, run, state_remove_keys=("sandbox_url",))).state
    assert "sandbox_url" not in (await patched(allowing, run, state_remove_keys=("sandbox_url",))).state


async def test_a_person_ends_a_run_and_takes_it_back(desk: Desk) -> None:
    run = await desk.started_run()

    ended = await patched(desk, run, status=RunStatus.COMPLETED, stage="done", branch="b", error_message="none")
    again = await patched(desk, run, status=RunStatus.CANCELLED)
    back = await patched(desk, run, status=RunStatus.IN_PROGRESS)

    assert (ended.status, ended.state["end_reason"], ended.stage, ended.branch, ended.error_message) == (
        RunStatus.COMPLETED,
        "client",
        "done",
        "b",
        "none",
    )
    assert ended.completed_at is not None
    assert (again.completed_at, again.state["end_reason"]) == (ended.completed_at, "client")
    assert (back.completed_at, "end_reason" in back.state) == (ended.completed_at, False)


async def test_ending_a_driven_run_wakes_its_lifecycle(desk: Desk) -> None:
    run, idle = await desk.started_run(), await desk.run()
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"wake_at": None})

    assert (await patched(desk, run, stage="x")).execution.wake_at is None
    async with desk.backends.hub.subscribe(run.id) as watcher:
        assert (await patched(desk, run, status=RunStatus.CANCELLED)).execution.wake_at is not None
        assert await watcher.wait(5)
        assert (watcher.changes > 0, watcher.head) == (True, 5)  # two of them of its message, which fails
    assert (await patched(desk, idle, status=RunStatus.CANCELLED)).execution.wake_at is None


async def test_a_run_that_goes_to_its_client_keeps_its_status(desk: Desk) -> None:
    run = await desk.started_run()

    changed = await patched(desk, run, environment=Environment.LOCAL)

    assert (changed.environment, changed.status) == (Environment.LOCAL, RunStatus.QUEUED)


async def test_the_agent_reports_in_progress_and_failed_and_nothing_else(desk: Desk) -> None:
    run = await desk.started_run()

    assert (await by_agent(desk, run, status=RunStatus.IN_PROGRESS)).status is RunStatus.IN_PROGRESS
    for ignored in (RunStatus.COMPLETED, RunStatus.CANCELLED, RunStatus.QUEUED):
        assert (await by_agent(desk, run, status=ignored, stage="s")).status is RunStatus.IN_PROGRESS
    failed = await by_agent(desk, run, status=RunStatus.FAILED, error_message="no", end_reason="start_failed")
    assert (failed.status, failed.state["end_reason"], failed.error_message) == (RunStatus.FAILED, "start_failed", "no")
    late = await by_agent(desk, run, status=RunStatus.IN_PROGRESS)
    assert (late.status, late.state["end_reason"]) == (RunStatus.FAILED, "start_failed")


async def test_an_agent_that_fails_after_an_end_was_decided_changes_nothing_of_it(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"ending": {"status": "completed", "reason": "finished", "message": None}})
    late = await by_agent(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.", end_reason="agent_lost")
    assert (late.status, late.error_message, "end_reason" in late.state) == (RunStatus.QUEUED, None, False)


FINISHED = Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)
CANCELLED = Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
TOO_LONG = Ending(status=RunStatus.FAILED, reason=EndReason.WALL_CLOCK, message="The run took too long.")
FAILED = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message="No credit is left.")


@pytest.mark.parametrize(
    ("facts", "turn_is_over", "settled"),
    [
        ({"turn_ended_at": NOW, "stop_reason": "end_turn"}, True, FINISHED),
        ({"turn_ended_at": NOW, "stop_reason": "error", "failure": executions.stored_ending(FAILED)}, True, FAILED),
        ({"cancel_requested_at": NOW}, False, CANCELLED),
        ({"stopping": executions.stored_ending(TOO_LONG)}, False, TOO_LONG),
    ],
)
async def test_an_agent_that_fails_once_the_end_is_settled_changes_nothing_of_it(
    desk: Desk, facts: dict[str, Any], turn_is_over: bool, settled: Ending
) -> None:
    run = await desk.started_run(mode=RunMode.BACKGROUND)
    async with desk.backends.database.transaction() as tx:
        message = await messages.take(tx, run.id, NOW)
        assert message is not None
        await messages.mark_delivered(tx, message.id)
        if turn_is_over:
            await messages.finish(tx, run.id, message.id)
        await rows.note(tx, run.id, {"session_ready_at": NOW, "wake_at": None, **facts})

    late = await by_agent(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.", end_reason="agent_lost")

    assert (late.status, late.error_message, late.execution.ending) == (RunStatus.QUEUED, None, settled)
    assert late.execution.wake_at is not None


async def test_an_agent_that_dies_when_more_was_asked_of_it_has_failed(desk: Desk) -> None:
    run = await desk.started_run(mode=RunMode.BACKGROUND)
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"session_ready_at": NOW, "turn_ended_at": NOW, "stop_reason": "end_turn"})
    late = await by_agent(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.", end_reason="agent_lost")
    assert (late.status, late.state["end_reason"]) == (RunStatus.FAILED, "agent_lost")


async def test_a_run_that_went_to_its_client_does_not_fail_with_the_agent_that_it_left(desk: Desk) -> None:
    run = await desk.started_run()
    handed_over = await patched(desk, run, environment=Environment.LOCAL)
    for status in (RunStatus.FAILED, RunStatus.IN_PROGRESS):
        late = await by_agent(desk, run, status=status, error_message="The agent ended unexpectedly.")
        assert (late.status, late.error_message) == (handed_over.status, None)


async def test_a_run_that_was_opened_again_by_hand_does_not_fail_with_the_agent_of_its_earlier_start(desk: Desk) -> None:
    run = await desk.started_run()
    await patched(desk, run, status=RunStatus.COMPLETED)
    await patched(desk, run, status=RunStatus.IN_PROGRESS)
    late = await by_agent(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.")
    assert (late.status, late.error_message) == (RunStatus.IN_PROGRESS, None)


async def test_the_words_of_a_failure_that_is_not_heard_are_not_kept_either(desk: Desk) -> None:
    run = await desk.started_run()
    await patched(desk, run, status=RunStatus.COMPLETED)
    late = await by_agent(desk, run, status=RunStatus.FAILED, error_message="The agent ended unexpectedly.")
    assert (late.status, late.error_message) == (RunStatus.COMPLETED, None)
    assert (await by_agent(desk, run, error_message="A word by itself.")).error_message == "A word by itself."


@pytest.mark.parametrize("reason", ["finished", "client", "nonsense", ""])
async def test_an_agent_gives_only_reasons_of_its_own(desk: Desk, reason: str) -> None:
    run = await desk.started_run()

    assert (await by_agent(desk, run, status=RunStatus.FAILED, end_reason=reason)).state["end_reason"] == "agent_failed"


async def test_a_run_token_of_another_run_or_epoch_changes_nothing(desk: Desk) -> None:
    run, other = await desk.started_run(), await desk.run()

    with pytest.raises(ForbiddenError):
        await by_agent(desk, run, epoch=1, stage="x")
    with pytest.raises(ForbiddenError):
        await update_run(desk.backends, desk.agent(other), desk.project, run.task_id, run.id, RunPatch(stage="x"))
    with pytest.raises(NotFoundError):
        await update_run(desk.backends, desk.caller, desk.project, other.task_id, run.id, RunPatch(stage="x"))
    assert (await desk.fresh(run)) == run


async def test_patches_at_once_lose_nothing(desk: Desk) -> None:
    run = await desk.run()

    await asyncio.gather(*(patched(desk, run, state={f"k{i}": i}, output={f"o{i}": i}) for i in range(20)))

    after = await desk.fresh(run)
    assert after.state == {"mode": "background"} | {f"k{i}": i for i in range(20)}
    assert after.output == {f"o{i}": i for i in range(20)}
    stamps = [state["updated_at"] for state in await states(desk, run)]
    assert len(stamps) == 21
    assert stamps == sorted(set(stamps))


async def test_the_address_of_the_servers_own_sandbox_cannot_be_removed_by_naming_it_twice(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"state": run.state | {"sandbox_url": "http://gate.test/sandboxes/1"}})
    changed = await patched(desk, run, state_remove_keys=("sandbox_url", "sandbox_url"))
    assert changed.state["sandbox_url"] == "http://gate.test/sandboxes/1"


@pytest.mark.parametrize("key", ["wall_clock_minutes", "inactivity_timeout_minutes", "turn_silence_minutes", "sandbox_minutes"])
async def test_a_deadline_of_its_own_is_checked_before_anything_is_changed_and_has_a_worker_look(desk: Desk, key: str) -> None:
    run = await desk.run()
    for value in (0, "5", None, True, 1e9):
        with pytest.raises(InvalidError) as refused:
            await patched(desk, run, state={key: value, "other": 1})
        assert refused.value.attr == f"state__{key}"
    assert len(await states(desk, run)) == 1
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"started_at": run.created_at, "wake_at": None})
    changed = await patched(desk, run, state={key: 5})
    assert changed.state[key] == 5
    assert changed.execution.wake_at is not None
    assert key not in (await patched(desk, run, state_remove_keys=(key,))).state


async def test_an_agent_does_not_set_its_own_deadlines(desk: Desk) -> None:
    run = await desk.run()
    await patched(desk, run, state={"wall_clock_minutes": 5})
    changed = await by_agent(
        desk, run, state={"wall_clock_minutes": 500, "sandbox_minutes": "x"}, state_remove_keys=("wall_clock_minutes",)
    )
    assert (changed.state["wall_clock_minutes"], "sandbox_minutes" in changed.state) == (5, False)
