"""What a run needs next. Pure: the same facts and the same moment always give the same action."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from uuid import UUID

from hedgerow.domain import deadlines as own_deadlines
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
    """No machine holds the run yet: this one takes it, or gives it its place in line where there are as many runs as may be."""


@dataclass(frozen=True, slots=True)
class LeaveQueue:
    """The run waits no more, though nobody has claimed it: those behind it move up."""


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
class StopTurn:
    """Ask the agent to stop its turn, since the run ends by `ending` once it has, and `by` then at the latest."""

    ending: Ending
    by: datetime


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
Queueing = Claim | Hold | LeaveQueue
Action = Nothing | Wait | Queueing | HandOver | Working | StopTurn | Conclude | StopSandbox | Land | End | CleanUp | BeginAgain


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
    heard_at: datetime | None = None  # when the agent server handed something over last

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
    """How long a run may wait, and how often it is tried to prepare one. All are settings; None: no such deadline."""

    inactivity: timedelta
    wall_clock: timedelta  # counts from the first claim: waiting in line is no work
    look_again: timedelta  # the longest time between two looks at a live run
    checkpoint: timedelta = timedelta(minutes=5)  # between two checkpoints of one turn; 0: only between turns
    sandbox: timedelta | None = None  # how long one sandbox may live
    turn_silence: timedelta | None = None  # how long nothing may come of a running turn
    landing: timedelta = timedelta(0)  # how long before the hard stop an agent is asked to stop its turn
    stopping: timedelta = timedelta(seconds=30)  # how long an agent that says nothing may take to stop its turn
    prepare_attempts: int = 1
    first_pause: timedelta = timedelta(seconds=2)  # before the second attempt; each further pause is twice as long

    def of(self, run: TaskRun) -> "Deadlines":
        """Those that hold for a run: it may have nearer ones of its own."""
        if not any(key in run.state for key in own_deadlines.DEADLINE_KEYS):
            return self
        return _lowered(self, *(own_deadlines.minutes(run.state, key) for key in own_deadlines.DEADLINE_KEYS))

    def pause_before_retry(self, failed: int) -> timedelta | None:
        """How long to wait once preparing a run has failed `failed` times; None: that was the last attempt."""
        if failed >= self.prepare_attempts:
            return None
        return min(self.first_pause * (1 << min(failed - 1, 20)), max(self.first_pause, _LONGEST_PAUSE))


_LONGEST_PAUSE = timedelta(minutes=5)


@lru_cache(maxsize=256)
def _lowered(
    deadlines: Deadlines, wall_clock: float | None, inactivity: float | None, silence: float | None, sandbox: float | None
) -> Deadlines:
    """The operator's deadlines, each brought nearer by a run's own (in minutes). Remembered, since runs are looked at often."""
    return replace(
        deadlines,
        wall_clock=own_deadlines.nearer(wall_clock, deadlines.wall_clock),
        inactivity=own_deadlines.nearer(inactivity, deadlines.inactivity),
        turn_silence=own_deadlines.nearer(silence, deadlines.turn_silence),
        sandbox=own_deadlines.nearer(sandbox, deadlines.sandbox),
    )


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
    ending = _ending(run, inbox, now, deadlines)
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


def _ending(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Ending | StopTurn | None:
    execution = run.execution
    hard_stop = _hard_stop(execution, deadlines)
    if now >= hard_stop:
        return _too_long(execution, deadlines)
    if execution.session_ready_at is None:
        return None
    landing = now >= hard_stop - _landing(deadlines)
    if inbox.delivered and landing:
        return StopTurn(_too_long(execution, deadlines), hard_stop)
    if inbox.delivered and now >= _silent_at(run, inbox, deadlines):
        return StopTurn(_silence(deadlines), now + deadlines.stopping)
    if not inbox.empty:
        if landing:
            return _too_long(execution, deadlines)
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY) if _is_left_waiting(run, inbox, now, deadlines) else None
    if execution.cancel_requested_at is not None and run.mode is RunMode.BACKGROUND:
        return Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
    if run.mode is RunMode.BACKGROUND and execution.turn_ended_at is not None:
        return _after_turn(execution.stop_reason)
    if now >= _idle_since(run) + deadlines.inactivity:
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY)
    return _too_long(execution, deadlines) if landing else None


def _hard_stop(execution: Execution, deadlines: Deadlines) -> datetime:
    """When the run's work is over, whatever it does."""
    moment = _began(execution) + deadlines.wall_clock
    if deadlines.sandbox is None or execution.sandbox is None or execution.sandbox_made_at is None:
        return moment
    return min(moment, execution.sandbox_made_at + deadlines.sandbox)


def _began(execution: Execution) -> datetime:
    began = execution.claimed_at or execution.started_at
    assert began is not None
    return began


def _too_long(execution: Execution, deadlines: Deadlines) -> Ending:
    """The end of a run whose time, or whose sandbox's, is over."""
    message = f"The run took longer than {_long(deadlines.wall_clock)}, the most it may."
    if deadlines.sandbox is not None and _hard_stop(execution, deadlines) < _began(execution) + deadlines.wall_clock:
        message = f"Its sandbox has lived for {_long(deadlines.sandbox)}, the most it may."
    return Ending(status=RunStatus.FAILED, reason=EndReason.WALL_CLOCK, message=message)


def _landing(deadlines: Deadlines) -> timedelta:
    """How long before the hard stop a turn is asked to stop: never more than a quarter of what a run has."""
    whole = deadlines.wall_clock if deadlines.sandbox is None else min(deadlines.wall_clock, deadlines.sandbox)
    return min(deadlines.landing, whole / 4)


def _silent_at(run: TaskRun, inbox: Inbox, deadlines: Deadlines) -> datetime:
    """When a running turn has been silent for too long. Who waits for a person's answer is not silent."""
    if deadlines.turn_silence is None or inbox.asked:
        return _NEVER
    execution = run.execution
    moments = (execution.turn_started_at, execution.active_at, execution.session_ready_at, inbox.heard_at)
    return max(moment for moment in moments if moment is not None) + deadlines.turn_silence


_NEVER = datetime.max.replace(tzinfo=UTC)


def _silence(deadlines: Deadlines) -> Ending:
    assert deadlines.turn_silence is not None
    message = f"Nothing was heard from the agent for {_long(deadlines.turn_silence)} in the middle of its turn."
    return Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message=message)


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
    if execution.session_ready_at is None and execution.retry_at is not None and now < execution.retry_at:
        return Wait(min(execution.retry_at, _hard_stop(execution, deadlines), now + deadlines.look_again))
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
    moments = [_hard_stop(run.execution, deadlines) - _landing(deadlines)]
    if inbox.delivered:
        moments.append(_silent_at(run, inbox, deadlines))
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


def _long(duration: timedelta) -> str:
    """A duration in hours, or in minutes where it is short."""
    seconds = duration.total_seconds()
    number, unit = (seconds / 3600, "hour") if seconds >= 7200 else (seconds / 60, "minute")
    return f"{number:g} {unit}{'' if number == 1 else 's'}"
