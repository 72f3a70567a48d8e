"""What a run needs next. Pure: the same facts and the same moment always give the same action."""

from datetime import datetime, timedelta
from uuid import UUID

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
    StopTurn,
    Wait,
)
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.endings import ending_of, hard_stop, next_moment
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.runs import Ending, Environment, Execution, TaskRun


def decide(
    run: TaskRun,
    inbox: Inbox,
    now: datetime,
    deadlines: Deadlines,
    node_id: UUID,
    *,
    room: bool = True,
    may_claim: bool = True,
) -> Action:
    """The next thing that `node_id` must do for `run`.

    Any number of callers may ask, late or twice: each action is safe to repeat, and what it achieves is a fact of the run.
    `room`: whether a run that nobody has claimed may be, as the line of its project and the limits stand. `may_claim`: whether this
    machine has a place for another run.
    """
    execution = run.execution
    if execution.node_id is not None and execution.node_id != node_id:
        return Nothing() if execution.cleaned_at is not None else HandOver(execution.node_id)
    if execution.place is not None and not _waits(run):
        return LeaveQueue()
    if execution.started_at is None or run.environment is Environment.LOCAL:
        return _leave(run)
    if run.status.terminal or execution.ending is not None:
        return _land(run, now)
    if execution.restarting:
        return _take_leave(execution)
    if execution.node_id is None:
        return _enter(run, now, deadlines, room=room, may_claim=may_claim)
    deadlines = deadlines.of(run)
    if execution.stopping is not None:
        return _stop(execution, execution.stopping, inbox, now, deadlines)
    ending = ending_of(run, inbox, now, deadlines)
    if ending is not None:
        return ending if isinstance(ending, StopTurn) else Conclude(ending)
    return _advance(run, inbox, now, deadlines)


def _waits(run: TaskRun) -> bool:
    """Whether the run is to be claimed by whoever may."""
    execution = run.execution
    driven = execution.started_at is not None and run.environment is Environment.CLOUD and execution.node_id is None
    return driven and not run.status.terminal and execution.ending is None


def _enter(run: TaskRun, now: datetime, deadlines: Deadlines, *, room: bool, may_claim: bool) -> Action:
    """A run that has its place in line is looked at now and then, the more seldom the further back it stands."""
    execution = run.execution
    if room or execution.place is None:
        if may_claim:
            return Claim()
        return Wait(now + _NO_ROOM) if WAITING_KEY in run.state else Hold()
    return Wait(now + deadlines.look_again * min(max(execution.place, 1), _SELDOM))


_SELDOM = 10
_NO_ROOM = timedelta(seconds=5)
"""After which a run that found no room is looked at again, by whichever node comes first."""


def _stop(execution: Execution, ending: Ending, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Action:
    """The agent was asked to stop: the run ends once its turn is over, or was to be."""
    if not inbox.delivered or execution.stop_by is None or now >= execution.stop_by:
        return Conclude(ending)
    return Wait(min(execution.stop_by, now + deadlines.look_again))


def _leave(run: TaskRun) -> Action:
    """The run is its client's: nothing of it stays here, and its status is not ours to set.

    A client that takes a run over finds the agent's work in its last checkpoint; where that failed, or an ended run was only opened again,
    it is landed.
    """
    if run.execution.sandbox is not None:
        return StopSandbox()
    if _unkept(run.execution):
        return Checkpoint()
    if (run.environment is Environment.CLOUD or run.execution.checkpoint_failed) and _unlanded(run.execution):
        return Land()
    if run.execution.node_id is not None and run.execution.cleaned_at is None:
        return CleanUp()
    return Nothing()


def _land(run: TaskRun, now: datetime) -> Action:
    execution = run.execution
    if execution.sandbox is not None:
        return StopSandbox()
    if _unkept(execution):
        return Checkpoint()
    if _unlanded(execution):
        return Land()
    if _only_in_checkpoint(execution):
        return _bring_back(execution, now)
    if not run.status.terminal:
        assert execution.ending is not None
        return End(execution.ending)
    if execution.cleaned_at is None:
        return CleanUp()
    return Nothing()


def _take_leave(execution: Execution) -> Action:
    """What an earlier start left is landed and tidied up as if the run ended, but the run goes on."""
    if execution.sandbox is not None:
        return StopSandbox()
    if _unkept(execution):
        return Checkpoint()
    return Land() if _unlanded(execution) else BeginAgain()


def _unlanded(execution: Execution) -> bool:
    """Whether an agent may have worked in the workspace, and nobody has collected what it did."""
    worked = execution.session_ready_at is not None and execution.checked_out_at is not None
    return worked and execution.landed_at is None and execution.cleaned_at is None


def _only_in_checkpoint(execution: Execution) -> bool:
    """Whether an agent has worked on a machine that is lost, and what it did has only its checkpoint left to be collected from."""
    lost = execution.worked and execution.session_ready_at is None and execution.checkpoint is not None
    return lost and execution.landed_at is None and execution.cleaned_at is None


def _bring_back(execution: Execution, now: datetime) -> Action:
    """What a run that ends lost with its machine is restored, so that it can be landed; no agent starts for that."""
    if execution.node_id is None:
        return Claim()
    if execution.retry_at is not None and now < execution.retry_at:
        return Wait(execution.retry_at)
    return Prepare(sandbox=False, workspace=True) if execution.checked_out_at is None else Land()


def _unkept(execution: Execution) -> bool:
    """Whether nobody has tried to checkpoint the files since the sandbox is gone: that is done once, and then they are landed."""
    return _unlanded(execution) and execution.base_commit is not None and not execution.checkpointed_at_rest


def _is_checkpoint_due(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> bool:
    """Whether a turn has ended since the last try, or one has been running for long enough."""
    execution = run.execution
    if execution.base_commit is not None and execution.turn_ended_at not in {None, execution.checkpointed_turn}:
        return True
    moment = _next_checkpoint(run, inbox, deadlines)
    return moment is not None and now >= moment


def _next_checkpoint(run: TaskRun, inbox: Inbox, deadlines: Deadlines) -> datetime | None:
    """When the turn that runs has been running for long enough; None where none runs, or its end is awaited."""
    execution = run.execution
    if not inbox.delivered or not deadlines.checkpoint or execution.base_commit is None or execution.turn_started_at is None:
        return None
    return max(execution.turn_started_at, execution.checkpointed_at or execution.turn_started_at) + deadlines.checkpoint


def _advance(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Action:
    execution = run.execution
    if execution.session_ready_at is None and execution.retry_at is not None and now < execution.retry_at:
        return Wait(min(execution.retry_at, hard_stop(execution, deadlines), now + deadlines.look_again))
    if execution.sandbox is None or execution.checked_out_at is None:
        return Prepare(sandbox=execution.sandbox is None, workspace=execution.checked_out_at is None)
    if execution.session_ready_at is None:
        return StartSession()
    if inbox.answer_by is not None and now >= inbox.answer_by:
        return ExpireRequests()
    if inbox.answers:
        return GiveAnswer()
    if _is_checkpoint_due(run, inbox, now, deadlines):
        return Checkpoint()
    if inbox.queued and not inbox.delivered:
        return Deliver()
    return Wait(min(_next_deadline(run, inbox, deadlines), now + deadlines.look_again))


def _next_deadline(run: TaskRun, inbox: Inbox, deadlines: Deadlines) -> datetime:
    moments = (next_moment(run, inbox, deadlines), inbox.answer_by, _next_checkpoint(run, inbox, deadlines))
    return min(moment for moment in moments if moment is not None)
