"""What becomes of a run whose machine is lost. Pure: the same facts give the same outcome, whichever machine takes it over."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hedgerow.domain.runs import Ending, EndReason, Environment, Execution, RunMode, RunStatus, TaskRun

LOST_MESSAGE = "The machine that the agent ran on was lost during the turn of this message."
_NO_CHECKPOINT = "The machine that held this run was lost, and there was no checkpoint of its files to go on from."
_LOST_WORK = "The work was lost with the machine that held this run: there was no checkpoint of its files."

_OLD_FILES = "The machine was lost before the latest changes were saved: the result is that of its last checkpoint."

_OF_THE_MACHINE: dict[str, Any] = {
    "node_id": None,
    "sandbox": None,
    "checked_out_at": None,
    "base_commit": None,
    "session_ready_at": None,
    "sandbox_made_at": None,
    "checkpointed_at_rest": False,
    "checkpoint_failed": False,
    "retry_at": None,
    "prepare_attempts": 0,
    "stopping": None,
    "stop_by": None,
    "restarting": False,
}
_OF_THE_START: dict[str, Any] = {
    "turn_started_at": None,
    "turn_ended_at": None,
    "stop_reason": None,
    "failure": None,
    "landed_at": None,
    "cleaned_at": None,
    "checkpointed_at": None,
    "checkpointed_turn": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """The facts of a run that is taken over, named as its columns, and what its readers are told."""

    facts: Mapping[str, Any]
    sentence: str
    ending: Ending | None = None  # decided by the loss itself, in place of what was decided before
    asks_again: bool = False  # whether what the agent was at is said to the next one


def may_be_taken_over(run: TaskRun) -> bool:
    """Whether another machine can do something for a run. Where it has ended, or is its client's, only its own can tidy up."""
    driven = run.execution.started_at is not None and run.environment is Environment.CLOUD
    return driven and not run.status.terminal and run.execution.cleaned_at is None


def takeover(run: TaskRun, *, in_flight: bool) -> Takeover:
    """What is taken over of a run. `in_flight`: a message was on its way to the agent, or the agent was at it."""
    execution = run.execution
    if execution.restarting:
        return _restarted(run)
    if not (execution.worked or in_flight):
        return Takeover(facts=_OF_THE_MACHINE | _OF_THE_START, sentence="It begins again on another one.")
    if execution.landed_at is not None or (execution.ending is not None and _has_no_files(execution)):
        return Takeover(facts=_OF_THE_MACHINE, sentence="None of its work is lost.")
    if execution.checkpoint is None:
        ending = _ending_without_work(execution.ending)
        return Takeover(facts=_OF_THE_MACHINE, sentence="There was no checkpoint of its files.", ending=ending)
    return _from_checkpoint(execution, in_flight=in_flight)


def _from_checkpoint(execution: Execution, *, in_flight: bool) -> Takeover:
    """What the checkpoint lacks was lost: a turn whose files it does not hold is as good as unplayed, though it had ended."""
    tried = execution.checkpointed_at_rest or execution.checkpointed_turn == execution.turn_ended_at
    unsaved = in_flight or execution.checkpoint_failed or not tried
    facts = _OF_THE_MACHINE | {"checkpointed_turn": execution.turn_ended_at}  # what was restored need not be saved
    ending = execution.ending
    if ending is None or (unsaved and ending.reason is EndReason.FINISHED):
        failed = execution.failure is not None and not in_flight  # its message has been told of as failed, and those before it were heard
        wanted = execution.cancel_requested_at is None and not failed
        sentence = "It goes on from its last checkpoint on another one."
        return Takeover(facts=facts | {"ending": None}, sentence=sentence, asks_again=unsaved and wanted)
    told = replace(ending, message=" ".join(filter(None, (ending.message, _OLD_FILES)))) if unsaved else None
    return Takeover(facts=facts, sentence="Its result is brought back from its last checkpoint.", ending=told)


def lives_by_its_checkpoint(run: TaskRun) -> bool:
    """Whether the plain branch can't stand in for a checkpoint that does not apply: it would be told as what the agent has done."""
    execution = run.execution
    told = run.mode is RunMode.BACKGROUND and execution.turn_ended_at is not None
    return told or execution.ending is not None or run.status.terminal


def _has_no_files(execution: Execution) -> bool:
    """Whether the run has no repository, so that there is nothing to collect."""
    return execution.checked_out_at is not None and execution.base_commit is None


def _restarted(run: TaskRun) -> Takeover:
    """The new start of a run begins elsewhere. Of the earlier one it keeps what lies nowhere else, as far as that was saved."""
    execution = run.execution
    facts = _OF_THE_MACHINE | _OF_THE_START | {"claimed_at": None}
    uncollected = execution.landed_at is None and execution.worked and execution.checkpoint is None
    lost = " The work of its earlier start was lost." if uncollected else ""
    return Takeover(facts=facts, sentence=f"It begins again on another one.{lost}")


def _ending_without_work(decided: Ending | None) -> Ending:
    """The first reason counts, except that nobody is told of a success whose work is gone."""
    if decided is None:
        return Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message=_NO_CHECKPOINT)
    message = " ".join(filter(None, (decided.message, _LOST_WORK)))
    if decided.status is RunStatus.COMPLETED:
        return Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message=message)
    return Ending(status=decided.status, reason=decided.reason, message=message)
