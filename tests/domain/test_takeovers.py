from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from tests.domain.test_lifecycle import DEADLINES

from hedgerow.domain.actions import Checkpoint, Claim, CleanUp, Conclude, Deliver, End, Land, Prepare, StartSession, Wait
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunMode, RunStatus, SandboxHandle, TaskRun
from hedgerow.domain.takeovers import Takeover, lives_by_its_checkpoint, may_be_taken_over, takeover

NOW = datetime(2026, 5, 7, 12, tzinfo=UTC)
LOST, OTHER = UUID(int=1), UUID(int=2)
FINISHED = Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)
WORKED: dict[str, Any] = {"turn_started_at": NOW}
CHECKPOINT: dict[str, Any] = {"checkpoint": {"checkpointId": "c1"}}


def run(status: RunStatus = RunStatus.IN_PROGRESS, environment: Environment = Environment.CLOUD, **facts: Any) -> TaskRun:
    """A run whose agent is at work on the machine that will be lost."""
    held = Execution(
        started_at=NOW,
        active_at=NOW,
        epoch=1,
        node_id=LOST,
        sandbox=SandboxHandle(provider="process", id="1"),
        checked_out_at=NOW,
        base_commit="1" * 40,
        session_ready_at=NOW,
    )
    return TaskRun(
        id=UUID(int=9),
        task_id=UUID(int=8),
        project_id=1,
        number=1,
        status=status,
        environment=environment,
        created_at=NOW,
        updated_at=NOW,
        state={"mode": RunMode.BACKGROUND.value},
        execution=replace(held, **facts),
    )


def after(before: TaskRun, outcome: Takeover) -> TaskRun:
    """The run once it was taken over."""
    ending = {} if outcome.ending is None else {"ending": outcome.ending}
    return replace(before, execution=replace(before.execution, **{**outcome.facts, **ending}, epoch=before.execution.epoch + 1))


def actions(taken: TaskRun, inbox: Inbox, deadlines: Deadlines = DEADLINES) -> list[type]:
    """What another node does with it, one after the other, where everything succeeds."""
    found: list[type] = []
    for _ in range(12):
        action = decide(taken, inbox, NOW, deadlines, OTHER)
        found.append(type(action))
        facts: dict[str, Any] = {}
        match action:
            case Claim():
                facts = {"node_id": OTHER}
            case Prepare(sandbox=sandbox):
                facts = {"checked_out_at": NOW, "base_commit": "1" * 40}
                facts |= {"sandbox": SandboxHandle(provider="process", id="2")} if sandbox else {}
            case StartSession():
                facts = {"session_ready_at": NOW}
            case Conclude(ending=ending):
                facts = {"ending": ending, "sandbox": None}  # and it is stopped
            case Checkpoint():
                facts = {"checkpointed_at_rest": True}
            case Land():
                facts = {"landed_at": NOW}
            case End(ending=ending):
                taken = replace(taken, status=ending.status)
            case CleanUp():
                return found
            case _:
                return found
        taken = replace(taken, execution=replace(taken.execution, **facts))
    raise AssertionError(f"it does not come to rest: {found}")


def test_a_run_whose_agent_has_heard_nothing_begins_again() -> None:
    for before in (run(), run(session_ready_at=None, sandbox=None), run(ending=None, checked_out_at=None)):
        outcome = takeover(before, in_flight=False)
        assert (outcome.ending, outcome.asks_again) == (None, False)
        assert actions(after(before, outcome), Inbox(queued=1)) == [Claim, Prepare, StartSession, Deliver]


def test_a_run_with_a_checkpoint_goes_on_from_it_and_is_asked_again_what_its_agent_was_at() -> None:
    before = run(**WORKED, **CHECKPOINT)
    outcome = takeover(before, in_flight=True)
    assert (outcome.ending, outcome.asks_again) == (None, True)
    taken = after(before, outcome)
    assert taken.execution.checkpoint is not None
    assert actions(taken, Inbox(queued=1)) == [Claim, Prepare, StartSession, Deliver]


def test_a_turn_that_had_ended_and_was_saved_lets_the_run_end_elsewhere_without_being_played_again() -> None:
    before = run(**WORKED, **CHECKPOINT, turn_ended_at=NOW, checkpointed_turn=NOW, stop_reason="end_turn")
    outcome = takeover(before, in_flight=False)
    assert not outcome.asks_again
    assert actions(after(before, outcome), Inbox()) == [Claim, Prepare, StartSession, Conclude, Checkpoint, Land, End, CleanUp]


def test_a_turn_that_had_ended_and_was_not_saved_is_played_again() -> None:
    ended: dict[str, Any] = {"turn_ended_at": NOW, "stop_reason": "end_turn"}
    for before in (run(**WORKED, **CHECKPOINT, **ended), run(**WORKED, **CHECKPOINT, **ended, ending=FINISHED)):
        outcome = takeover(before, in_flight=False)
        assert outcome.asks_again
        taken = after(before, outcome)
        assert taken.execution.ending is None, "nobody has been told of it, and it would tell of work that is gone"
        assert actions(taken, Inbox(queued=1)) == [Claim, Prepare, StartSession, Deliver]


def test_what_an_agent_was_at_before_a_turn_that_failed_is_not_asked_again_in_place_of_it() -> None:
    failure = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message="No credit is left.")
    before = run(**WORKED, **CHECKPOINT, turn_ended_at=NOW, stop_reason="error", failure=failure)
    outcome = takeover(before, in_flight=False)
    assert not outcome.asks_again
    assert decide(after(before, outcome), Inbox(), NOW, DEADLINES, OTHER) == Claim()
    assert actions(after(before, outcome), Inbox())[3] is Conclude
    assert takeover(before, in_flight=True).asks_again, "the next message was heard since"


def test_a_turn_whose_files_could_not_be_saved_is_played_again() -> None:
    ended: dict[str, Any] = {"turn_ended_at": NOW, "checkpointed_turn": NOW, "stop_reason": "end_turn", "checkpoint_failed": True}
    for before in (run(**WORKED, **CHECKPOINT, **ended), run(**WORKED, **CHECKPOINT, **ended, checkpointed_at_rest=True, ending=FINISHED)):
        outcome = takeover(before, in_flight=False)
        assert outcome.asks_again
        taken = after(before, outcome)
        assert taken.execution.ending is None
        assert not takeover(taken, in_flight=False).asks_again, "it is asked again once, however many machines are lost"


def test_a_turn_that_was_over_before_its_beginning_was_written_down_is_work() -> None:
    before = run(turn_ended_at=NOW, stop_reason="end_turn", ending=FINISHED)
    ending = takeover(before, in_flight=False).ending
    assert ending is not None
    assert (ending.status, ending.reason) == (RunStatus.FAILED, EndReason.SANDBOX_LOST)


def test_what_an_end_lacks_is_said_once_however_many_machines_are_lost() -> None:
    idle = Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY)
    first = after(before := run(**WORKED, **CHECKPOINT, turn_ended_at=NOW, ending=idle), takeover(before, in_flight=False))
    again = after(first, takeover(first, in_flight=False))
    assert again.execution.ending == first.execution.ending != idle


def test_the_plain_branch_stands_in_for_a_checkpoint_only_where_it_is_not_told_as_what_was_done() -> None:
    assert not lives_by_its_checkpoint(run(**WORKED))
    assert not lives_by_its_checkpoint(replace(run(**WORKED, turn_ended_at=NOW), state={"mode": "interactive"}))
    assert lives_by_its_checkpoint(run(**WORKED, turn_ended_at=NOW))
    assert lives_by_its_checkpoint(run(**WORKED, ending=FINISHED))
    assert lives_by_its_checkpoint(run(RunStatus.CANCELLED))


def test_an_end_that_stands_says_where_its_result_lacks_the_latest_changes() -> None:
    before = run(**WORKED, **CHECKPOINT, turn_ended_at=NOW, ending=Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY))
    ending = takeover(before, in_flight=False).ending
    assert ending is not None
    assert ending.reason is EndReason.INACTIVITY
    assert "last checkpoint" in (ending.message or "")


def test_the_end_of_a_run_without_a_repository_loses_nothing() -> None:
    before = run(**WORKED, base_commit=None, ending=FINISHED)
    outcome = takeover(before, in_flight=False)
    assert outcome.ending is None
    assert actions(after(before, outcome), Inbox()) == [End, CleanUp]


def test_a_message_that_was_on_its_way_counts_as_heard() -> None:
    assert takeover(run(), in_flight=True).ending is not None


def test_where_an_agent_has_worked_and_there_is_no_checkpoint_the_run_ends_as_lost() -> None:
    before = run(**WORKED)
    outcome = takeover(before, in_flight=True)
    assert outcome.ending is not None
    assert (outcome.ending.status, outcome.ending.reason) == (RunStatus.FAILED, EndReason.SANDBOX_LOST)
    assert "no checkpoint" in (outcome.ending.message or "")
    assert not outcome.asks_again
    assert actions(after(before, outcome), Inbox(queued=1)) == [End, CleanUp]


def test_an_end_that_was_decided_is_landed_out_of_the_checkpoint_without_an_agent() -> None:
    before = run(**WORKED, **CHECKPOINT, ending=FINISHED, checkpointed_at_rest=True)
    outcome = takeover(before, in_flight=False)
    assert outcome.ending is None
    assert actions(after(before, outcome), Inbox()) == [Claim, Prepare, Land, End, CleanUp]


def test_an_end_whose_work_is_lost_is_no_success_and_keeps_its_words_where_it_was_none() -> None:
    success = takeover(run(**WORKED, ending=FINISHED), in_flight=False).ending
    assert success is not None
    assert (success.status, success.reason) == (RunStatus.FAILED, EndReason.SANDBOX_LOST)
    failure = Ending(status=RunStatus.FAILED, reason=EndReason.WALL_CLOCK, message="It took too long.")
    kept = takeover(run(**WORKED, ending=failure), in_flight=False).ending
    assert kept is not None
    assert (kept.status, kept.reason) == (RunStatus.FAILED, EndReason.WALL_CLOCK)
    assert (kept.message or "").startswith("It took too long. The work was lost")


def test_an_end_whose_work_was_collected_is_told_as_it_was_decided() -> None:
    before = run(**WORKED, ending=FINISHED, landed_at=NOW, sandbox=None)
    outcome = takeover(before, in_flight=False)
    assert outcome.ending is None
    assert actions(after(before, outcome), Inbox()) == [End, CleanUp]


def test_what_could_not_be_brought_back_is_tried_again_after_its_pause() -> None:
    lost = run(**WORKED, **CHECKPOINT, checkpointed_at_rest=True, ending=FINISHED, node_id=OTHER, session_ready_at=None, sandbox=None)
    waiting = replace(lost, execution=replace(lost.execution, checked_out_at=None, retry_at=NOW + timedelta(seconds=2)))
    assert decide(waiting, Inbox(), NOW, DEADLINES, OTHER) == Wait(NOW + timedelta(seconds=2))
    assert decide(waiting, Inbox(), NOW + timedelta(seconds=2), DEADLINES, OTHER) == Prepare(sandbox=False, workspace=True)


def test_what_was_to_be_cancelled_is_not_asked_again() -> None:
    before = run(**WORKED, **CHECKPOINT, cancel_requested_at=NOW)
    outcome = takeover(before, in_flight=True)
    assert not outcome.asks_again
    assert actions(after(before, outcome), Inbox()) == [Claim, Prepare, StartSession, Conclude, Checkpoint, Land, End, CleanUp]


def test_a_new_start_does_not_wait_for_the_machine_of_the_earlier_one() -> None:
    before = run(**WORKED, restarting=True, ending=None)
    outcome = takeover(before, in_flight=False)
    assert "lost" in outcome.sentence
    assert actions(after(before, outcome), Inbox(queued=1)) == [Claim, Prepare, StartSession, Deliver]


@pytest.mark.parametrize("landed_at", [None, NOW], ids=["uncollected", "handed over by a client, or not pushed"])
def test_a_new_start_goes_on_from_the_checkpoint_of_work_that_lies_nowhere_else(landed_at: datetime | None) -> None:
    before = run(**WORKED, **CHECKPOINT, restarting=True, landed_at=landed_at)
    taken = after(before, takeover(before, in_flight=False))
    assert taken.execution.checkpoint is not None
    assert taken.execution.landed_at is None


def test_a_second_machine_that_is_lost_before_its_agent_starts_changes_nothing() -> None:
    first = run(**WORKED, **CHECKPOINT)
    taken = after(first, takeover(first, in_flight=True))
    again = replace(taken, execution=replace(taken.execution, node_id=LOST, checked_out_at=NOW))
    outcome = takeover(again, in_flight=False)
    assert actions(after(again, outcome), Inbox(queued=1)) == [Claim, Prepare, StartSession, Deliver]


def test_what_has_ended_or_is_its_clients_is_left_to_its_machine() -> None:
    assert may_be_taken_over(run())
    assert not may_be_taken_over(run(RunStatus.COMPLETED))
    assert not may_be_taken_over(run(environment=Environment.LOCAL))
    assert not may_be_taken_over(run(started_at=None))
    assert not may_be_taken_over(run(cleaned_at=NOW))
