"""What a run needs next, for every state it can be in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.actions import (
    Action,
    BeginAgain,
    Checkpoint,
    Claim,
    CleanUp,
    Conclude,
    Deliver,
    End,
    ExpireRequests,
    GiveAnswer,
    HandOver,
    Hold,
    Land,
    LeaveQueue,
    Nothing,
    Prepare,
    StartSession,
    StopSandbox,
    Wait,
)
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunStatus, SandboxHandle, TaskRun

NOW = datetime(2026, 5, 7, 12, tzinfo=UTC)
HERE, ELSEWHERE = UUID(int=1), UUID(int=2)
DEADLINES = Deadlines(inactivity=timedelta(minutes=30), wall_clock=timedelta(hours=6), look_again=timedelta(minutes=1))
BASE = "1" * 40
SANDBOX = SandboxHandle(provider="process", id="1")
FAILED = Ending(status=RunStatus.FAILED, reason=EndReason.START_FAILED, message="no such branch")


def a_run(
    *, status: RunStatus = RunStatus.QUEUED, environment: Environment = Environment.CLOUD, mode: str = "background", **facts: Any
) -> TaskRun:
    execution = Execution(**({"started_at": NOW} | facts))
    return TaskRun(
        id=UUID(int=9),
        task_id=UUID(int=8),
        project_id=1,
        number=1,
        status=status,
        environment=environment,
        created_at=NOW,
        updated_at=NOW,
        state={"mode": mode},
        execution=execution,
    )


def ready(**facts: Any) -> TaskRun:
    there: dict[str, Any] = {"node_id": HERE, "sandbox": SANDBOX, "checked_out_at": NOW, "session_ready_at": NOW}
    return a_run(**(there | facts))


def next_action(run: TaskRun, inbox: Inbox | None = None, now: datetime = NOW) -> Action:
    return decide(run, inbox or Inbox(), now, DEADLINES, HERE)


def test_a_run_that_nobody_started_is_its_clients() -> None:
    assert next_action(a_run(started_at=None)) == Nothing()


def test_a_started_run_is_claimed_by_the_first_node_that_looks() -> None:
    assert next_action(a_run()) == Claim()


def test_a_run_of_another_node_is_handed_over() -> None:
    assert next_action(a_run(node_id=ELSEWHERE)) == HandOver(ELSEWHERE)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, Prepare(sandbox=True, workspace=True)),
        ({"sandbox": SANDBOX}, Prepare(sandbox=False, workspace=True)),
        ({"checked_out_at": NOW}, Prepare(sandbox=True, workspace=False)),
        ({"sandbox": SANDBOX, "checked_out_at": NOW}, StartSession()),
    ],
)
def test_what_is_missing_is_made_before_the_agent_starts(facts: dict[str, Any], expected: Action) -> None:
    assert next_action(a_run(node_id=HERE, **facts), Inbox(queued=1)) == expected


def test_a_queued_message_is_delivered_to_an_idle_agent() -> None:
    assert next_action(ready(), Inbox(queued=1)) == Deliver()


def test_a_message_waits_while_a_turn_runs() -> None:
    assert isinstance(next_action(ready(), Inbox(queued=1, delivered=1)), Wait)


@given(
    back=st.timedeltas(timedelta(0), timedelta(days=1)),
    inbox=st.sampled_from([Inbox(), Inbox(delivered=1), Inbox(delivered=1, asked=1)]),
    mode=st.sampled_from(["background", "interactive"]),
)
def test_a_clock_that_is_put_back_ends_nothing_and_makes_nobody_look_later(back: timedelta, inbox: Inbox, mode: str) -> None:
    now = NOW - back
    assert next_action(ready(mode=mode), inbox, now) == Wait(now + timedelta(minutes=1))


def test_an_answer_is_given_before_anything_else_is_said() -> None:
    assert next_action(ready(), Inbox(queued=1, answers=1)) == GiveAnswer()
    assert next_action(ready(), Inbox(delivered=1, answers=1)) == GiveAnswer()
    assert next_action(ready(ending=FAILED), Inbox(delivered=1, answers=1)) == StopSandbox()


def test_a_request_with_a_deadline_is_waited_for_until_then_and_no_longer() -> None:
    soon = Inbox(delivered=1, asked=2, answer_by=NOW + timedelta(seconds=10))
    assert next_action(ready(), soon) == Wait(NOW + timedelta(seconds=10))
    assert next_action(ready(), soon, now=NOW + timedelta(seconds=10)) == ExpireRequests()
    late = Inbox(delivered=1, asked=1, answer_by=NOW + timedelta(hours=2))
    assert isinstance(next_action(ready(), late, now=NOW + timedelta(hours=1)), Wait)


def test_a_request_without_a_deadline_waits_as_long_as_a_person_may_be_silent() -> None:
    asks, run = Inbox(delivered=1, asked=1), ready(mode="interactive", active_at=NOW + timedelta(minutes=10))
    assert isinstance(next_action(run, asks, now=NOW + timedelta(minutes=39)), Wait)
    assert next_action(run, asks, now=NOW + timedelta(minutes=39, seconds=50)) == Wait(NOW + timedelta(minutes=40))
    late = NOW + timedelta(minutes=40)
    assert next_action(run, asks, now=late) == Conclude(Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY))
    assert isinstance(next_action(run, Inbox(delivered=1), now=late), Wait)


def test_an_end_is_landed_step_by_step() -> None:
    run = ready(ending=FAILED)
    assert next_action(run) == StopSandbox()
    run = replace(run, execution=replace(run.execution, sandbox=None))
    assert next_action(run) == Land()
    run = replace(run, execution=replace(run.execution, landed_at=NOW))
    assert next_action(run) == End(FAILED)
    run = replace(run, status=RunStatus.FAILED)
    assert next_action(run) == CleanUp()
    run = replace(run, execution=replace(run.execution, cleaned_at=NOW))
    assert next_action(run) == Nothing()


def test_nothing_is_landed_where_no_agent_ever_worked() -> None:
    assert next_action(a_run(node_id=HERE, checked_out_at=NOW, ending=FAILED)) == End(FAILED)


def test_a_person_who_ends_a_run_stops_its_sandbox_at_once() -> None:
    assert next_action(ready(status=RunStatus.CANCELLED), Inbox(delivered=1)) == StopSandbox()


def test_an_ended_run_that_a_person_opens_again_is_theirs_once_it_is_tidied_up() -> None:
    run = ready(started_at=None, status=RunStatus.IN_PROGRESS, ending=FAILED)
    assert next_action(run) == StopSandbox()
    run = replace(run, execution=replace(run.execution, sandbox=None))
    assert next_action(run) == Land()
    run = replace(run, execution=replace(run.execution, landed_at=NOW))
    assert next_action(run) == CleanUp()
    run = replace(run, execution=replace(run.execution, cleaned_at=NOW))
    assert next_action(run) == Nothing()


def test_a_run_that_was_started_again_first_takes_leave_of_its_earlier_start() -> None:
    run = ready(restarting=True, turn_ended_at=NOW, stop_reason="end_turn")
    assert next_action(run, Inbox(queued=1)) == StopSandbox()
    run = replace(run, execution=replace(run.execution, sandbox=None))
    assert next_action(run, Inbox(queued=1)) == Land()
    run = replace(run, execution=replace(run.execution, landed_at=NOW))
    assert next_action(run, Inbox(queued=1)) == BeginAgain()


def test_an_earlier_start_without_a_session_has_nothing_to_land() -> None:
    assert next_action(a_run(node_id=HERE, checked_out_at=NOW, restarting=True)) == BeginAgain()


def test_only_the_node_of_the_earlier_start_tidies_up_after_it() -> None:
    assert next_action(a_run(node_id=ELSEWHERE, restarting=True)) == HandOver(ELSEWHERE)


def test_a_run_that_is_ended_while_it_starts_again_ends_after_its_earlier_work_was_landed() -> None:
    for changed in ({"ending": FAILED}, {"status": RunStatus.CANCELLED}):
        run = ready(restarting=True, **changed)
        assert next_action(run) == StopSandbox()
        run = replace(run, execution=replace(run.execution, sandbox=None))
        assert next_action(run) == Land()
        run = replace(run, execution=replace(run.execution, landed_at=NOW))
        assert next_action(run) in {End(FAILED), CleanUp()}


def test_a_run_that_goes_to_its_client_leaves_nothing_here_and_keeps_its_status() -> None:
    run = ready(environment=Environment.LOCAL, status=RunStatus.IN_PROGRESS)
    assert next_action(run) == StopSandbox()
    run = replace(run, execution=replace(run.execution, sandbox=None))
    assert next_action(run) == CleanUp()
    run = replace(run, execution=replace(run.execution, cleaned_at=NOW))
    assert next_action(run) == Nothing()


def test_what_a_client_does_not_find_in_the_last_checkpoint_is_landed_before_it_goes() -> None:
    run = ready(environment=Environment.LOCAL, sandbox=None, base_commit=BASE, checkpointed_at_rest=True, checkpoint_failed=True)
    assert next_action(run) == Land()
    assert next_action(replace(run, execution=replace(run.execution, landed_at=NOW))) == CleanUp()
    assert next_action(replace(run, execution=replace(run.execution, checkpoint_failed=False))) == CleanUp()


LATER = NOW + timedelta(seconds=1)


def test_files_are_checkpointed_after_each_turn_before_the_next_message() -> None:
    run = ready(base_commit=BASE, turn_started_at=NOW, turn_ended_at=LATER, mode="interactive")
    assert next_action(run, Inbox(queued=1), LATER) == Checkpoint()
    assert next_action(run, Inbox(queued=1), NOW - timedelta(hours=1)) == Checkpoint()  # the clock went back
    tried = replace(run, execution=replace(run.execution, checkpointed_at=LATER, checkpointed_turn=LATER))
    assert next_action(tried, Inbox(queued=1), LATER) == Deliver()
    assert isinstance(next_action(tried, now=LATER), Wait)


def test_a_turn_that_ends_while_a_checkpoint_is_taken_gets_one_of_its_own() -> None:
    run = ready(
        base_commit=BASE, turn_started_at=NOW, turn_ended_at=LATER, checkpointed_at=LATER, checkpointed_turn=NOW, mode="interactive"
    )
    assert next_action(run, now=LATER) == Checkpoint()


def test_files_are_checkpointed_from_time_to_time_while_a_turn_runs() -> None:
    run, running = ready(base_commit=BASE, turn_started_at=NOW), Inbox(delivered=1)
    almost = NOW + timedelta(minutes=4, seconds=30)
    assert next_action(run, running, almost) == Wait(NOW + timedelta(minutes=5))
    assert next_action(run, running, NOW + timedelta(minutes=5)) == Checkpoint()
    tried = replace(run, execution=replace(run.execution, checkpointed_at=NOW + timedelta(minutes=5)))
    assert isinstance(next_action(tried, running, NOW + timedelta(minutes=9)), Wait)
    assert next_action(tried, running, NOW + timedelta(minutes=10)) == Checkpoint()
    never = replace(DEADLINES, checkpoint=timedelta(0))
    assert isinstance(decide(run, running, NOW + timedelta(minutes=10), never, HERE), Wait)


def test_an_answer_to_the_agent_goes_before_a_checkpoint() -> None:
    run = ready(base_commit=BASE, turn_started_at=NOW)
    assert next_action(run, Inbox(delivered=1, answers=1), NOW + timedelta(minutes=5)) == GiveAnswer()


def test_without_a_repository_there_is_nothing_to_checkpoint() -> None:
    run = ready(turn_started_at=NOW, turn_ended_at=LATER, mode="interactive")
    assert next_action(run, Inbox(queued=1), LATER) == Deliver()
    assert isinstance(next_action(ready(turn_started_at=NOW), Inbox(delivered=1), NOW + timedelta(minutes=5)), Wait)
    assert next_action(ready(ending=FAILED, sandbox=None)) == Land()


@pytest.mark.parametrize(
    "facts",
    [{"ending": FAILED}, {"status": RunStatus.CANCELLED}, {"restarting": True}, {"environment": Environment.LOCAL}],
    ids=lambda facts: next(iter(facts)),
)
def test_files_at_rest_are_checkpointed_once_before_they_go(facts: dict[str, Any]) -> None:
    run = ready(base_commit=BASE, turn_ended_at=NOW, checkpointed_at=NOW, checkpointed_turn=NOW, **facts)
    assert next_action(run) == StopSandbox()
    run = replace(run, execution=replace(run.execution, sandbox=None))
    assert next_action(run) == Checkpoint()
    run = replace(run, execution=replace(run.execution, checkpointed_at_rest=True))
    assert next_action(run) == (CleanUp() if "environment" in facts else Land())


ALL_DEADLINES = replace(
    DEADLINES,
    sandbox=timedelta(hours=2),
    turn_silence=timedelta(hours=1),
    landing=timedelta(minutes=1),
    prepare_attempts=3,
)
TOO_LONG = Ending(status=RunStatus.FAILED, reason=EndReason.WALL_CLOCK, message="The run took longer than 6 hours, the most it may.")


def test_a_run_without_room_takes_its_place_once_and_then_waits() -> None:
    assert decide(a_run(), Inbox(), NOW, DEADLINES, HERE, room=False) == Claim()
    assert decide(a_run(place=1), Inbox(), NOW, DEADLINES, HERE, room=False) == Wait(NOW + timedelta(minutes=1))
    assert decide(a_run(place=40), Inbox(), NOW, DEADLINES, HERE, room=False) == Wait(NOW + timedelta(minutes=10))
    assert decide(a_run(place=1), Inbox(), NOW, DEADLINES, HERE, room=True) == Claim()


@pytest.mark.parametrize("changed", [{"status": RunStatus.CANCELLED}, {"environment": Environment.LOCAL}, {"ending": FAILED}])
def test_a_run_that_waits_no_more_leaves_its_line_before_anything_else(changed: dict[str, Any]) -> None:
    run = a_run(place=2, **changed)
    assert next_action(run) == LeaveQueue()
    left = replace(run, execution=replace(run.execution, place=None))
    assert next_action(left) in {CleanUp(), End(FAILED), Nothing()}


def test_what_failed_in_passing_is_tried_again_after_its_pause_and_no_earlier() -> None:
    run = a_run(node_id=HERE, prepare_attempts=1, retry_at=NOW + timedelta(seconds=2))
    assert next_action(run) == Wait(NOW + timedelta(seconds=2))
    assert next_action(run, now=NOW + timedelta(seconds=2)) == Prepare(sandbox=True, workspace=True)
    assert next_action(replace(run, status=RunStatus.CANCELLED)) == CleanUp()


_moments = st.none() | st.integers(0, 10_000).map(lambda minutes: NOW + timedelta(minutes=minutes))
_executions = st.builds(
    Execution,
    started_at=_moments,
    claimed_at=_moments,
    place=st.none() | st.integers(1, 3),
    sandbox_made_at=_moments,
    retry_at=_moments,
    stopping=st.sampled_from([None, FAILED]),
    stop_by=_moments,
    node_id=st.sampled_from([None, HERE, ELSEWHERE]),
    sandbox=st.sampled_from([None, SANDBOX]),
    checked_out_at=_moments,
    session_ready_at=_moments,
    turn_ended_at=_moments,
    base_commit=st.sampled_from([None, BASE]),
    turn_started_at=_moments,
    checkpointed_at=_moments,
    checkpointed_turn=_moments,
    checkpointed_at_rest=st.booleans(),
    stop_reason=st.sampled_from([None, "end_turn", "cancelled", "refusal"]),
    failure=st.sampled_from([None, FAILED]),
    active_at=_moments,
    cancel_requested_at=_moments,
    ending=st.sampled_from([None, FAILED]),
    landed_at=_moments,
    cleaned_at=_moments,
    restarting=st.booleans(),
)


_states: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["mode", "wall_clock_minutes", "inactivity_timeout_minutes", "turn_silence_minutes", "sandbox_minutes"]),
    st.sampled_from(["background", 0.5, 10, 10_000, -1, True, None, float("nan"), float("inf"), [], 10**400]),
)
_inboxes = st.builds(
    Inbox,
    queued=st.integers(0, 2),
    delivered=st.integers(0, 2),
    asked=st.integers(0, 2),
    answers=st.integers(0, 2),
    answer_by=_moments,
    heard_at=_moments,
)


@given(_executions, st.sampled_from(RunStatus), st.sampled_from(Environment), _inboxes, st.integers(0, 20_000), _states, st.booleans())
def test_every_state_has_an_answer_and_no_wait_lasts_longer_than_the_next_look(
    execution: Execution, status: RunStatus, environment: Environment, inbox: Inbox, minutes: int, state: dict[str, Any], room: bool
) -> None:
    now = NOW + timedelta(minutes=minutes)
    run = replace(a_run(status=status, environment=environment), execution=execution, state=state)
    action = decide(run, inbox, now, ALL_DEADLINES, HERE, room=room)
    if isinstance(action, Wait):
        assert now < action.until <= now + DEADLINES.look_again * (execution.place or 1)
    if isinstance(action, Nothing) and execution.sandbox is not None:
        assert execution.node_id == ELSEWHERE


def test_a_node_without_room_tells_it_once_and_waits() -> None:
    run, inbox = a_run(), Inbox(queued=1)
    told = replace(run, state={**run.state, WAITING_KEY: "room"})

    assert decide(run, inbox, NOW, DEADLINES, HERE, may_claim=False) == Hold()
    waits = decide(told, inbox, NOW, DEADLINES, HERE, may_claim=False)
    assert isinstance(waits, Wait)
    assert waits.until <= NOW + timedelta(seconds=5)
    assert decide(told, inbox, NOW, DEADLINES, HERE) == Claim()


@given(hours=st.floats(0, 10), sandbox=st.booleans())
def test_room_matters_to_nothing_but_a_claim(hours: float, sandbox: bool) -> None:
    run = a_run(node_id=HERE, sandbox=SANDBOX if sandbox else None)
    now = NOW + timedelta(hours=hours)

    assert decide(run, Inbox(queued=1), now, DEADLINES, HERE, may_claim=False) == decide(run, Inbox(queued=1), now, DEADLINES, HERE)
