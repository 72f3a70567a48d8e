"""How a run comes to its end by itself: its time is over, nothing is heard, nobody speaks to it, or its turn is over."""

from datetime import UTC, datetime, timedelta

from hedgerow.domain.actions import StopTurn
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.runs import Ending, EndReason, Execution, RunMode, RunStatus, TaskRun


def ending_of(run: TaskRun, inbox: Inbox, now: datetime, deadlines: Deadlines) -> Ending | StopTurn | None:
    """How a run ends now; StopTurn where its agent is to be asked first; None where it goes on."""
    execution = run.execution
    end = hard_stop(execution, deadlines)
    if now >= end:
        return _too_long(execution, deadlines)
    if execution.session_ready_at is None:
        return None
    landing = now >= end - _landing(deadlines)
    if inbox.delivered and landing:
        return StopTurn(_too_long(execution, deadlines), end)
    if inbox.delivered and now >= _silent_at(run, inbox, deadlines):
        return StopTurn(_silence(deadlines), now + deadlines.stopping)
    if not inbox.empty:
        if landing:
            return _too_long(execution, deadlines)
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY) if _is_left_waiting(run, inbox, now, deadlines) else None
    settled = settled_ending(run, inbox)
    if settled is not None:
        return settled
    if now >= _idle_since(run) + deadlines.inactivity:
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.INACTIVITY)
    return _too_long(execution, deadlines) if landing else None


def settled_ending(run: TaskRun, inbox: Inbox) -> Ending | None:
    """How a run that is driven ends whatever becomes of its agent from now on; None where that still counts.

    It was asked to stop, or its last turn is over. That its agent or its sandbox dies after that, perhaps of it, is told by several at
    once, of whom nobody knows who comes first: the run ends by what stood before.
    """
    execution = run.execution
    if execution.session_ready_at is None or execution.stopping is not None:
        return execution.stopping
    if run.mode is not RunMode.BACKGROUND:
        return None
    if execution.cancel_requested_at is not None and not inbox.queued:
        return Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED)
    if execution.turn_ended_at is not None and inbox.empty:
        return execution.failure or _after_turn(execution.stop_reason)
    return None


def next_moment(run: TaskRun, inbox: Inbox, deadlines: Deadlines) -> datetime:
    """When a run whose agent takes messages may next come to its end, if nothing changes until then."""
    moments = [hard_stop(run.execution, deadlines) - _landing(deadlines)]
    if inbox.delivered:
        moments.append(_silent_at(run, inbox, deadlines))
    if inbox.empty or inbox.left_to_a_person:
        moments.append(_idle_since(run) + deadlines.inactivity)
    return min(moments)


def hard_stop(execution: Execution, deadlines: Deadlines) -> datetime:
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
    if deadlines.sandbox is not None and hard_stop(execution, deadlines) < _began(execution) + deadlines.wall_clock:
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
    if stop_reason == "end_turn":
        return Ending(status=RunStatus.COMPLETED, reason=EndReason.FINISHED)
    short = f"The agent stopped before it was done: {stop_reason}."
    message = "The agent ended its turn without saying how." if stop_reason is None else short
    return Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message=message)


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
