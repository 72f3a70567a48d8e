"""What a run needs next. Pure: the same facts and the same moment always give the same action."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunMode, RunStatus, TaskRun


@dataclass(frozen=True, slots=True)
class Nothing:
    """The run needs nobody any more, or belongs to its client."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing can be done before `until`, unless the row changes first."""

    until: datetime


@dataclass(frozen=True, slots=True)
class Claim:
    """No machine holds the run yet: this one takes it."""


@dataclass(frozen=True, slots=True)
class Hold:
    """No machine holds the run yet, and this one has no room: the run's readers are told."""


@dataclass(frozen=True, slots=True)
class HandOver:
    """Another machine holds the run: its workers are told."""

    node_id: UUID


@dataclass(frozen=True, slots=True)
class Prepare:
    """Make what is missing: the sandbox with its agent server, the checked-out workspace, or both side by side."""

    sandbox: bool
    workspace: bool


@dataclass(frozen=True, slots=True)
class StartSession:
    """Let the agent server start the agent in the workspace."""


@dataclass(frozen=True, slots=True)
class Deliver:
    """Hand the oldest queued message to the agent."""


@dataclass(frozen=True, slots=True)
class GiveAnswer:
    """Hand the agent the oldest answer to a permission request that it has not got."""


@dataclass(frozen=True, slots=True)
class ExpireRequests:
    """Reject the permission requests that nobody has answered in time."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Keep the files as they stand, so that they can be put into another workspace."""


@dataclass(frozen=True, slots=True)
class Conclude:
    """Write down how the run is going to end, so that whoever looks next lands it."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class StopSandbox:
    """Ask the agent server for its last entries, then end the sandbox and every process in it."""


@dataclass(frozen=True, slots=True)
class Land:
    """Commit and push what the agent changed."""


@dataclass(frozen=True, slots=True)
class End:
    """Set the run's terminal status and reason."""

    ending: Ending


@dataclass(frozen=True, slots=True)
class CleanUp:
    """Remove the workspace and everything else that the run left on its machine."""


@dataclass(frozen=True, slots=True)
class BeginAgain:
    """Remove what an earlier start of the run left on its machine, and forget it, so that the run can be claimed anew."""


Working = Prepare | StartSession | Deliver | GiveAnswer | ExpireRequests | Checkpoint
Action = Nothing | Wait | Claim | Hold | HandOver | Working | Conclude | StopSandbox | Land | End | CleanUp | BeginAgain


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """How many messages of a run stand where, and how many permission requests.

    A delivered message that nobody has acknowledged is a running turn.
    """

    queued: int = 0
    delivered: int = 0
    asked: int = 0  # permission requests that wait for an answer
    answers: int = 0  # answers that the agent has not got
    answer_by: datetime | None = None  # the first deadline of those that wait

    @property
    def empty(self) -> bool:
        """Whether nothing waits and no turn runs."""
        return not self.queued and not self.delivered

    @property
    def left_to_a_person(self) -> bool:
        """Whether a permission request waits for a person, with no deadline of its own."""
        return self.asked > 0 and self.answer_by is None


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a run may wait. All are settings."""

    inactivity: timedelta
    wall_clock: timedelta
    look_again: timedelta  # the longest time between two looks at a live run
    checkpoint: timedelta = timedelta(minutes=5)  # between two checkpoints of one turn; 0: only between turns


_NO_ROOM = timedelta(seconds=5)
"""After which a run that found no room is looked at again, by whichever node comes first."""


def decide(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines, node_id: UUID, *, may_claim: bool = True) -> Action:
    """The next thing that `node_id` must do for `run`. `may_claim`: whether it has room for another run.

    Any number of callers may ask, late or twice: each action is safe to repeat, and what it achieves is a fact of the run.
    """
    execution = run.execution
    if execution.node_id is not None and execution.node_id != node_id:
        return Nothing() if execution.cleaned_at is not None else HandOver(execution.node_id)
    if execution.started_at is None or run.environment is Environment.LOCAL:
        return _leave(run)
    if run.status.terminal:
        return _land(run)
    if execution.ending is not None:
        return _land(run)
    if execution.restarting:
        return _take_leave(execution)
    ending = _ending(run, inbox, now, deadlines)
    if ending is not None:
        return Conclude(ending)
    if execution.node_id is None and not may_claim:
        return Wait(now + _NO_ROOM) if WAITING_KEY in run.state else Hold()
    return _advance(run, inbox, now, deadlines)


def _leave(run: TaskRun) -> Action:
    """The run is its client's: nothing of it stays here, and its status is not ours to set.

    A client that takes a run over takes the agent's work along by itself; where an ended run was only opened again, it is landed.
    """
    if run.execution.sandbox is not None:
        return StopSandbox()
    if _unkept(run.execution):
        return Checkpoint()
    if run.environment is Environment.CLOUD and _unlanded(run.execution):
        return Land()
    if run.execution.node_id is not None and run.execution.cleaned_at is None:
        return CleanUp()
    return Nothing()


def _land(run: TaskRun) -> Action:
    execution = run.execution
    if execution.sandbox is not None:
        return StopSandbox()
    if _unkept(execution):
        return Checkpoint()
    if _unlanded(execution):
        return Land()
    if _only_in_checkpoint(execution):
        return _bring_back(execution)
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
    worked = execution.turn_started_at is not None and execution.session_ready_at is None and execution.checkpoint is not None
    return worked and execution.landed_at is None and execution.cleaned_at is None


def _bring_back(execution: Execution) -> Action:
    """What a run that ends lost with its machine is restored, so that it can be landed; no agent starts for that."""
    if execution.node_id is None:
        return Claim()
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


def _ending(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Ending | None:
    execution = run.execution
    assert execution.started_at is not None
    if now - execution.started_at >= deadlines.wall_clock:
        message = f"The run took longer than {_hours(deadlines.wall_clock)}, the most it may."
        return Ending(status=RunStatus.FAILED, reason=EndReason.WALL_CLOCK, message=message)
    if execution.session_ready_at is None:
        return None
    if not inbox.empty:
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY) if _is_left_waiting(run, inbox, now, deadlines) else None
    if execution.cancel_requested_at is not None and run.mode is RunMode.BACKGROUND:
        return Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
    if run.mode is RunMode.BACKGROUND and execution.turn_ended_at is not None:
        return _after_turn(execution.stop_reason)
    if now >= _idle_since(run) + deadlines.inactivity:
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY)
    return None


def _is_left_waiting(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> bool:
    """Whether the agent waits for a person's leave, and nobody has said anything for so long as nobody may."""
    return inbox.left_to_a_person and now >= _idle_since(run) + deadlines.inactivity


def _after_turn(stop_reason: str | None) -> Ending:
    if stop_reason == "cancelled":
        return Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
    if stop_reason in {None, "end_turn"}:
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)
    return Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message=f"The agent stopped before it was done: {stop_reason}.")


def _advance(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Action:
    execution = run.execution
    if execution.node_id is None:
        return Claim()
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
    assert run.execution.started_at is not None
    moments = [run.execution.started_at + deadlines.wall_clock]
    if inbox.empty or inbox.left_to_a_person:
        moments.append(_idle_since(run) + deadlines.inactivity)
    if inbox.answer_by is not None:
        moments.append(inbox.answer_by)
    checkpoint_at = _next_checkpoint(run, inbox, deadlines)
    if checkpoint_at is not None:
        moments.append(checkpoint_at)
    return min(moments)


def _idle_since(run: TaskRun) -> datetime:
    """The last moment at which somebody did something: worked, spoke, or started the run."""
    execution = run.execution
    moments = (execution.active_at, execution.turn_ended_at, execution.session_ready_at, execution.started_at)
    return max(moment for moment in moments if moment is not None)


def _hours(duration: timedelta) -> str:
    return f"{duration.total_seconds() / 3600:g} hours"
