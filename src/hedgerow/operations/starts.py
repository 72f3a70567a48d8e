"""Having the server drive a run that exists: start and resume_in_cloud (contract 5.5, 5.6)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.db import executions, github, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import InvalidError, RefusedError
from hedgerow.domain.messages import UNANSWERED
from hedgerow.domain.queue import POSITION_KEY
from hedgerow.domain.runs import Environment, RunMode, RunStatus, TaskRun
from hedgerow.domain.tasks import OriginProduct, Task
from hedgerow.operations import access, audit, authorship, inbox, run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.commands import artifacts_of
from hedgerow.operations.first_messages import continuing_words, first_words, queue_message
from hedgerow.operations.tasks import find_task, locked_task

_STARTABLE = frozenset({RunStatus.NOT_STARTED, RunStatus.QUEUED})
_ACTIVE = frozenset({RunStatus.QUEUED, RunStatus.IN_PROGRESS})
_GONE_AT_RESUME = frozenset({"pending_user_message", "pending_user_message_ts", "end_reason", POSITION_KEY})


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """The body of start/. The door has trimmed the message; an empty one is None."""

    pending_user_message: str | None = None
    pending_user_artifact_ids: tuple[str, ...] = ()

    @property
    def state(self) -> dict[str, Any]:
        """What of it is kept in the run's `state`."""
        message, ids = self.pending_user_message, list(self.pending_user_artifact_ids)
        return ({"pending_user_message": message} if message else {}) | ({"pending_user_artifact_ids": ids} if ids else {})


async def start_run(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, request: StartRequest) -> Task:
    """Have a created cloud run driven; its task, with the latest run as it is now.

    Once more for a run that is driven already is no error: the same message again changes nothing, another one is said as well.
    Raises, in this order: NotFoundError; RefusedError for a run that is not of the cloud, or not at its beginning; RefusedError
    family "detail" for artifacts that are not the run's.
    """
    access.person(caller)
    async with backends.database.transaction() as tx:
        task = await locked_task(tx, project, task_id)
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        _check_startable(run)
        artifacts = artifacts_of(run, request.pending_user_artifact_ids, family="detail")
        repeated = all(run.state.get(key) == value for key, value in request.state.items())
        begins = run.execution.started_at is None
        columns = ({} if repeated else {"state": run.state | request.state}) | (_without_end(run) if begins else {})
        if columns:
            run = await run_changes.change_run(backends, tx, run, columns, caller)
        if begins:
            await audit.note_run(backends, tx, caller, AuditAction.RUN_START, run)
            await _drive(backends, tx, run, first_words(task, run), artifacts)
        elif not repeated:
            await _say_as_well(backends, tx, run, request.pending_user_message or "", artifacts)
        return await find_task(tx, project, task_id)


def _without_end(run: TaskRun) -> dict[str, Any]:
    """The columns that tell of an earlier end of a run that was opened again by hand: how it ends now is told by its new start."""
    told = {"completed_at": run.completed_at, "error_message": run.error_message}
    return {name: None for name, value in told.items() if value is not None}


def _check_startable(run: TaskRun) -> None:
    if run.environment is not Environment.CLOUD:
        raise RefusedError("Only a cloud run can be started: this one is local, and its client's to drive.")
    if run.status not in _STARTABLE:
        raise RefusedError(f"Only a run that is not_started or queued can be started: this one is {run.status.value}.")


async def resume_in_cloud(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """Have a run that has ended, or that its client drove, go on as an interactive cloud run under the same id.

    Raises NotFoundError; RefusedError for a run that is active in the cloud; InvalidError (attr `pr_authorship_mode`) where its
    pull requests would need a person's GitHub identity. A refused run is left as it was.
    """
    who = access.person(caller)
    async with backends.database.transaction() as tx:
        task = await locked_task(tx, project, task_id)
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        if run.environment is Environment.CLOUD and run.status in _ACTIVE:
            raise RefusedError(f"This run is active in the cloud already: it is {run.status.value}.")
        state = {key: value for key, value in run.state.items() if key not in _GONE_AT_RESUME}
        state |= {"handoff_resumed": True, "mode": RunMode.INTERACTIVE.value} | await _authorship(backends, tx, who, task, run)
        columns = {"status": RunStatus.QUEUED.value, "environment": Environment.CLOUD.value, "completed_at": None, "error_message": None}
        resumed = await run_changes.change_run(backends, tx, run, columns | {"state": state}, caller)
        await audit.note_run(backends, tx, caller, AuditAction.RUN_RESUME, resumed)
        return await _drive(backends, tx, resumed, continuing_words(task), [])


async def _authorship(backends: Backends, tx: Transaction, who: PersonalCaller, task: Task, run: TaskRun) -> dict[str, Any]:
    """The change of `state` that says who authors the run's pull requests. A token that the run came with is of no use any more.

    Where nobody has said so, a person's task is meant to be the person's. A hedgerow that is connected with no GitHub goes on all the
    same: the server's own access to git stands in, as a project's integration would, and then the pull requests are the bot's.
    """
    asked = run.state.get("pr_authorship_mode")
    if asked == "bot" or (asked is None and task.origin_product is not OriginProduct.USER_CREATED):
        return {}
    await github.forget_run_token(tx, run.id)
    try:
        return await authorship.resolve(backends, tx, who, task)
    except InvalidError:
        its_creator = task.created_by is not None and task.created_by.id == who.user.id
        if asked is None and its_creator:
            return {"pr_authorship_mode": "bot"}
        raise


async def _drive(backends: Backends, tx: Transaction, run: TaskRun, words: str, artifacts: list[dict[str, Any]]) -> TaskRun:
    """Let the run begin, with one message in its inbox.

    What an earlier start left on a node, its uncollected work above all, is that node's to tidy up first. Where nothing is left,
    the run is as good as new.
    """
    now = backends.clock.now()
    facts: dict[str, Any] = {"started_at": now, "active_at": now, "wake_at": now, "cancel_requested_at": None, "ending": None}
    left = run.execution.node_id is not None and run.execution.cleaned_at is None
    await inbox.give_up(backends, tx, run.id, UNANSWERED)
    await queue_message(backends, tx, run, words, now, artifacts)
    driven = await runs.note(tx, run.id, {**facts, **({"restarting": True} if left else executions.FORGOTTEN)})
    run_changes.nudge(backends, tx, driven)
    return driven


async def _say_as_well(backends: Backends, tx: Transaction, run: TaskRun, words: str, artifacts: list[dict[str, Any]]) -> None:
    now = backends.clock.now()
    await queue_message(backends, tx, run, words, now, artifacts)
    run_changes.nudge(backends, tx, await runs.note(tx, run.id, {"active_at": now, "wake_at": now}))
