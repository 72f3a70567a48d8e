"""How a run comes to its end by itself, as `decide` says it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from tests.domain.test_lifecycle import ALL_DEADLINES, DEADLINES, HERE, NOW, TOO_LONG, a_run, next_action, ready

from hedgerow.domain.actions import Action, Conclude, Deliver, StopTurn, Wait
from hedgerow.domain.endings import settled_ending
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun


def test_a_background_run_is_finished_when_its_turn_has_ended_and_its_inbox_is_empty() -> None:
    run = ready(turn_ended_at=NOW, stop_reason="end_turn")
    assert next_action(run) == Conclude(Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED))
    assert next_action(run, Inbox(queued=1)) == Deliver()


def test_an_interactive_run_waits_for_the_next_message_until_it_was_inactive_too_long() -> None:
    run = ready(turn_ended_at=NOW, stop_reason="end_turn", mode="interactive")
    assert next_action(run) == Wait(NOW + timedelta(minutes=1))
    late = NOW + timedelta(minutes=30)
    assert next_action(run, now=late) == Conclude(Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY))


def test_inactivity_counts_from_the_last_sign_of_life() -> None:
    run = ready(mode="interactive", active_at=NOW + timedelta(minutes=20))
    assert isinstance(next_action(run, now=NOW + timedelta(minutes=45)), Wait)


@pytest.mark.parametrize("stop_reason", ["max_tokens", "refusal", "max_turn_requests"])
def test_a_turn_that_stopped_short_is_not_called_a_success(stop_reason: str) -> None:
    action = next_action(ready(turn_ended_at=NOW, stop_reason=stop_reason))
    assert isinstance(action, Conclude)
    assert (action.ending.status, action.ending.reason) == (RunStatus.FAILED, EndReason.AGENT_FAILED)
    assert stop_reason in (action.ending.message or "")


def test_a_turn_of_whose_end_nothing_is_said_is_not_called_a_success() -> None:
    message = "The agent ended its turn without saying how."
    failed = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message=message)
    assert next_action(ready(turn_ended_at=NOW, stop_reason=None)) == Conclude(failed)


def test_a_turn_that_failed_ends_a_background_run_with_its_words_and_reason() -> None:
    lost = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message="The agent ended unexpectedly with exit code 7.")
    failed = {"turn_ended_at": NOW, "stop_reason": "error", "failure": lost}
    assert next_action(ready(**failed)) == Conclude(lost)
    assert isinstance(next_action(ready(**failed, mode="interactive")), Wait)
    assert next_action(ready(**failed, cancel_requested_at=NOW)) != Conclude(lost)


def test_a_cancelled_turn_ends_a_background_run_as_cancelled() -> None:
    expected = Conclude(Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED))
    assert next_action(ready(turn_ended_at=NOW, stop_reason="cancelled")) == expected
    assert next_action(ready(turn_ended_at=NOW, stop_reason="end_turn", cancel_requested_at=NOW)) == expected


def test_a_run_may_not_take_longer_than_the_wall_clock_allows_even_within_a_turn() -> None:
    action = next_action(ready(), Inbox(delivered=1), now=NOW + timedelta(hours=6))
    assert isinstance(action, Conclude)
    assert action.ending.reason is EndReason.WALL_CLOCK


def test_waiting_in_line_is_no_part_of_the_time_that_a_run_may_take() -> None:
    tomorrow = NOW + timedelta(days=1)
    assert decide(a_run(place=1), Inbox(), tomorrow, DEADLINES, HERE, room=False) == Wait(tomorrow + timedelta(minutes=1))
    assert next_action(ready(claimed_at=tomorrow), Inbox(queued=1), tomorrow) == Deliver()
    assert next_action(ready(claimed_at=tomorrow), Inbox(delivered=1), tomorrow + timedelta(hours=6)) == Conclude(TOO_LONG)


def decided(run: TaskRun, inbox: Inbox, now: datetime) -> Action:
    return decide(run, inbox, now, replace(ALL_DEADLINES, sandbox=None, turn_silence=None), HERE)


def test_a_turn_is_asked_to_stop_before_the_time_is_over_and_the_run_ends_once_it_has() -> None:
    last = NOW + timedelta(hours=6)
    soon = last - timedelta(minutes=1)
    assert decided(ready(), Inbox(delivered=1), soon - timedelta(seconds=10)) == Wait(soon)
    assert decided(ready(), Inbox(delivered=1, queued=1), soon) == StopTurn(TOO_LONG, last)
    asked = ready(stopping=TOO_LONG, stop_by=last)
    assert decided(asked, Inbox(delivered=1, queued=1), soon) == Wait(last)
    assert decided(asked, Inbox(queued=1), soon) == Conclude(TOO_LONG)
    assert decided(asked, Inbox(delivered=1), last) == Conclude(TOO_LONG)


def test_no_turn_is_begun_that_would_be_asked_to_stop_at_once_but_what_is_done_counts_as_done() -> None:
    soon = NOW + timedelta(hours=6) - timedelta(seconds=30)
    assert decided(ready(), Inbox(queued=1), soon) == Conclude(TOO_LONG)
    done = decided(ready(turn_ended_at=soon, stop_reason="end_turn"), Inbox(), soon)
    assert done == Conclude(Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED))


def test_a_short_time_leaves_three_quarters_of_it_for_work() -> None:
    run = replace(ready(), state={"mode": "background", "wall_clock_minutes": 2})
    assert decided(run, Inbox(delivered=1), NOW + timedelta(seconds=80)) == Wait(NOW + timedelta(seconds=90))


def test_the_life_of_a_sandbox_ends_a_run_as_well() -> None:
    run = ready(sandbox_made_at=NOW + timedelta(hours=1))
    action = decide(run, Inbox(delivered=1, heard_at=NOW + timedelta(hours=3)), NOW + timedelta(hours=3), ALL_DEADLINES, HERE)
    assert action == Conclude(replace(TOO_LONG, message="Its sandbox has lived for 2 hours, the most it may."))


def test_a_turn_of_which_nothing_comes_is_asked_to_stop_and_the_run_has_lost_its_agent() -> None:
    late = NOW + timedelta(hours=1)
    run = ready(turn_started_at=NOW)
    action = decide(run, Inbox(delivered=1), late, ALL_DEADLINES, HERE)
    assert isinstance(action, StopTurn)
    assert (action.ending.reason, action.by) == (EndReason.AGENT_LOST, late + timedelta(seconds=30))
    assert "60 minutes" in (action.ending.message or "")


@pytest.mark.parametrize(
    "inbox",
    [Inbox(), Inbox(delivered=1, heard_at=NOW + timedelta(minutes=1)), Inbox(delivered=1, asked=1, answer_by=NOW + timedelta(hours=2))],
)
def test_whoever_is_heard_or_idle_or_waits_for_a_person_is_not_silent(inbox: Inbox) -> None:
    deadlines = replace(ALL_DEADLINES, inactivity=timedelta(days=1))
    assert isinstance(decide(ready(turn_started_at=NOW), inbox, NOW + timedelta(hours=1), deadlines, HERE), Wait)


LOST = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message="The agent ended unexpectedly with exit code 7.")


def test_an_end_is_settled_once_a_background_run_has_had_its_last_turn() -> None:
    over = ready(turn_ended_at=NOW, stop_reason="end_turn")
    assert settled_ending(over, Inbox()) == Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)
    assert settled_ending(ready(turn_ended_at=NOW, stop_reason="error", failure=LOST), Inbox()) == LOST
    assert settled_ending(over, Inbox(queued=1)) is None, "more is asked of its agent"
    assert settled_ending(over, Inbox(delivered=1)) is None
    assert settled_ending(ready(), Inbox()) is None
    assert settled_ending(ready(turn_ended_at=NOW, mode="interactive"), Inbox()) is None
    assert settled_ending(replace(over, execution=replace(over.execution, session_ready_at=None)), Inbox()) is None


def test_an_end_is_settled_once_its_agent_was_asked_to_stop() -> None:
    cancelled = Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
    assert settled_ending(ready(cancel_requested_at=NOW), Inbox(delivered=1)) == cancelled
    assert settled_ending(ready(cancel_requested_at=NOW), Inbox(queued=1, delivered=1)) is None
    assert settled_ending(ready(cancel_requested_at=NOW, mode="interactive"), Inbox(delivered=1)) is None
    for mode in ("background", "interactive"):
        assert settled_ending(ready(stopping=TOO_LONG, mode=mode), Inbox(delivered=1)) == TOO_LONG
