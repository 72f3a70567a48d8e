"""How a run comes to its end: the end is written down first, then landed, then told to its readers."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import structlog

from hedgerow.db import executions, runs
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.actions import Action, Conclude, Deliver, End, Land, Prepare, StartSession
from hedgerow.domain.endings import settled_ending
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.messages import UNANSWERED
from hedgerow.domain.runs import Ending, EndReason, Environment, RunStatus, TaskRun
from hedgerow.lifecycle.facts import TakenOverError, change_in, decide_again
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.queue import call_next
from hedgerow.lifecycle.steps import pause_before_retry
from hedgerow.operations import inbox

log = structlog.get_logger()

_UNEXPECTED = "Something unexpected went wrong in hedgerow; its log says what, under the id of this run."
_REASONS: dict[type[Action], EndReason] = {
    Prepare: EndReason.START_FAILED,
    StartSession: EndReason.START_FAILED,
    Deliver: EndReason.AGENT_LOST,
}
_PAUSE = timedelta(seconds=5)


class EndsRunError(HedgerowError):
    """An action met something that ends the run."""

    code = "refused"

    def __init__(self, reason: EndReason, message: str, *, passing: bool = False, facts: Mapping[str, Any] | None = None) -> None:
        """`passing`: it is worth trying again before the run ends. `facts`: what becomes true of the run with that end, and not before."""
        super().__init__(message)
        self.reason = reason
        self.passing = passing
        self.facts = facts or {}


async def conclude(node: Node, run: TaskRun, action: Conclude) -> None:
    """Write down how the run is going to end, if it still is: a message that was accepted since it was looked at keeps it going."""
    async with node.backends.database.transaction() as tx:
        decided = await decide_again(tx, node, run)
        if isinstance(decided, Conclude):
            await executions.record(tx, run, {"ending": executions.stored_ending(decided.ending)})


async def conclude_unless_ending(node: Node, run: TaskRun, ending: Ending) -> bool:
    """Write down an end that was noticed from outside and have the run looked at, unless another was written first; whether it was.

    What befalls a sandbox that the run has left behind does not end it. Where its end was settled before, that is the end.
    """
    async with node.backends.database.transaction() as tx:
        await runs.load_for_update(tx, run.id)
        found = await executions.look(tx, run.id)
        if found is None or found[0].execution.epoch != run.execution.epoch or not _may_end(found[0]):
            return False
        if found[0].execution.sandbox != run.execution.sandbox:
            return False
        decided = settled_ending(*found) or ending
        await executions.record(tx, run, {"ending": executions.stored_ending(decided), "wake_at": node.backends.clock.now()})
    await node.backends.jobs.nudge(run.id, node.id)
    return True


def _may_end(run: TaskRun) -> bool:
    """Whether the server drives this start of the run, and nobody has ended it or decided how it ends."""
    execution = run.execution
    driven = execution.started_at is not None and run.environment is Environment.CLOUD and not execution.restarting
    return driven and execution.ending is None and not run.status.terminal


async def end(node: Node, run: TaskRun, action: End) -> None:
    """Set the terminal status with its reason: one state event, after those of the messages that no agent will answer any more.

    Leaves alone what a person or the agent has ended before, what went to its client meanwhile, and what was started again.
    """
    ending = action.ending

    def columns(fresh: TaskRun) -> dict[str, Any]:
        return {
            "status": ending.status.value,
            "error_message": ending.message if ending.message is not None else fresh.error_message,
            "completed_at": fresh.completed_at or node.backends.clock.now(),
            "state": {name: value for name, value in fresh.state.items() if name != WAITING_KEY} | {"end_reason": ending.reason.value},
        }

    async with node.backends.database.transaction() as tx:
        if await decide_again(tx, node, run) == action:
            await inbox.give_up(node.backends, tx, run.id, UNANSWERED)
            await change_in(tx, node, run, columns)


async def fail(node: Node, run: TaskRun, action: Action, error: BaseException) -> bool:
    """Turn what an action met into the run's end, or put it off where the action only tidies up.

    Whether the run can be looked at again at once.
    """
    cause = _first(error)
    if came_from(cause, TakenOverError):
        log.info("left to the worker that has taken it over")
        return False
    if came_from(cause, DatabaseLostError):
        log.warning("broken off, since the database does not answer; the next look goes on", action=type(action).__name__)
        return False
    if not isinstance(cause, HedgerowError):
        log.error("an action failed unexpectedly", action=type(action).__name__, exc_info=cause)
    message = cause.message if isinstance(cause, HedgerowError) else _UNEXPECTED
    try:
        return await _record_failure(node, run, action, cause, message)
    except TakenOverError:
        log.info("left to the worker that has taken it over")
        return False


async def _record_failure(node: Node, run: TaskRun, action: Action, cause: BaseException, message: str) -> bool:
    match action:
        case Prepare() | StartSession() if (pause := pause_before_retry(node, run, cause)) is not None:
            await _try_again(node, run, pause)
        case Prepare() if run.status.terminal or run.execution.ending is not None:
            await _give_work_up(node, run, message)
        case Prepare() | StartSession() | Deliver():
            reason, facts = (cause.reason, cause.facts) if isinstance(cause, EndsRunError) else (_REASONS[type(action)], {})
            await _conclude_failed(node, run, Ending(status=RunStatus.FAILED, reason=reason, message=message), facts)
        case Land():
            await _keep_workspace(node, run, message)
        case _:
            await _try_later(node, run, message)
            return False
    return True


async def _try_again(node: Node, run: TaskRun, pause: timedelta) -> None:
    """Have what failed tried again after a pause. An agent server that did not do what was asked of it gets a new sandbox."""
    handle = run.execution.sandbox
    if handle is not None and run.execution.checked_out_at is not None:
        await node.sandboxes[handle.provider].destroy(handle)
    async with node.backends.database.transaction() as tx:
        fresh = await runs.load_for_update(tx, run.id)
        if fresh is None or fresh.execution.epoch != run.execution.epoch:
            raise TakenOverError
        gone = {"sandbox": None} if handle is not None and run.execution.checked_out_at is not None else {}
        retry = {"prepare_attempts": run.execution.prepare_attempts + 1, "retry_at": node.backends.clock.now() + pause}
        await executions.record(tx, run, retry | gone)


async def _conclude_failed(node: Node, run: TaskRun, ending: Ending, facts: Mapping[str, Any]) -> None:
    """Write down that the run ends by what an action met, unless its end was decided or settled before: the first reason counts.

    What befalls an earlier start of a run that was started again, or a run that went to its client, does not end it.
    """
    async with node.backends.database.transaction() as tx:
        await runs.load_for_update(tx, run.id)
        found = await executions.look(tx, run.id)
        if found is None or found[0].execution.epoch != run.execution.epoch:
            raise TakenOverError
        if _may_end(found[0]):
            await executions.record(tx, run, {**facts, "ending": executions.stored_ending(settled_ending(*found) or ending)})


async def _keep_workspace(node: Node, run: TaskRun, message: str) -> None:
    """The work could not be collected: it stays where it is, and the run's end says so instead of claiming success.

    A run that a person or the agent has ended before keeps its status, and says where its files are as well.
    """
    now = node.backends.clock.now()
    with suppress(OSError):  # then the run's sentence keeps them, as long as it stands
        node.folders(run.id).keep()
    text = f"The result could not be collected: {message} The files are kept in {node.folders(run.id).workspace}."
    ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_FAILED, message=text)
    async with node.backends.database.transaction() as tx:
        if not await executions.record(tx, run, {"landed_at": now, "cleaned_at": now, "ending": executions.stored_ending(ending)}):
            raise TakenOverError
        await change_in(tx, node, run, lambda fresh: _with_sentence(fresh, text) if fresh.status.terminal else {})
        await inbox.give_up(node.backends, tx, run.id, UNANSWERED)
    await call_next(node, run)


async def _give_work_up(node: Node, run: TaskRun, message: str) -> None:
    """What was to be landed out of a checkpoint, since its machine is lost, cannot be restored: the end says so.

    The checkpoint stays where it is.
    """
    text = f"The result could not be collected: {message} It was to be restored from its last checkpoint, since its machine is lost."
    ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_FAILED, message=text)
    async with node.backends.database.transaction() as tx:
        facts = {"landed_at": node.backends.clock.now(), "ending": executions.stored_ending(ending)}
        if not await executions.record(tx, run, facts):
            raise TakenOverError
        await change_in(tx, node, run, lambda fresh: _with_sentence(fresh, text) if fresh.status.terminal else {})


def _with_sentence(run: TaskRun, text: str) -> dict[str, Any]:
    return {"error_message": " ".join(filter(None, (run.error_message, text)))}


async def _try_later(node: Node, run: TaskRun, message: str) -> None:
    log.warning("tried again later", reason=message)
    async with node.backends.database.transaction() as tx:
        await executions.record(tx, run, {"wake_at": node.backends.clock.now() + _PAUSE})


def came_from(error: BaseException | None, kind: type[Exception]) -> bool:
    """Whether an error is of that kind, or was raised because of one."""
    while error is not None and not isinstance(error, kind):
        error = error.__cause__
    return error is not None


def _first(error: BaseException) -> BaseException:
    """The error that counts among several: one that will not pass, where there is one."""
    while isinstance(error, BaseExceptionGroup):
        error = next((each for each in error.exceptions if not getattr(each, "passing", False)), error.exceptions[0])
    return error
