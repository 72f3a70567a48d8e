"""Runs: start one, list, create, retrieve (contract 3.6, 4, 5.1). `update_run` is in `run_updates`, `start_run` in `starts`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from hedgerow.db import artifacts, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.artifacts import Artifact
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import RefusedError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import Environment, Execution, RunStatus, TaskRun
from hedgerow.domain.tasks import Task
from hedgerow.operations import access, audit, authorship, run_changes, run_requests, sandbox_environments
from hedgerow.operations.artifacts import add_entries
from hedgerow.operations.backends import Backends
from hedgerow.operations.first_messages import first_words, queue_message
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.tasks import find_task, locked_task


async def run_task(backends: Backends, caller: Caller, project: Project, task_id: UUID, request: RunRequest) -> Task:
    """Create a cloud run and have it driven; the task with the new run as its latest (POST run/).

    Raises, in this order: InvalidError (fields), NotFoundError (task), RefusedError family "detail" (resume_from_run_id),
    InvalidError (effort after inheritance, authorship), RefusedError (sandbox environment, artifacts).
    """
    creator = access.person(caller)
    run_requests.check(request, backends.rules)
    async with backends.database.transaction() as tx:
        task = await locked_task(tx, project, task_id)
        run = await _prepare(backends, tx, creator, task, request, Environment.CLOUD)
        taken = await _staged(tx, run, request.pending_user_artifact_ids)
        stored = await _store(backends, tx, creator, run, started_at=run.created_at, taken=taken)
        await authorship.keep_token(backends, tx, stored, request.github_user_token)
        await audit.note_run(backends, tx, creator, AuditAction.RUN_START, stored)
        await queue_message(backends, tx, stored, first_words(task, stored), stored.created_at, stored.artifacts)
        run_changes.nudge(backends, tx, stored)
        return await find_task(tx, project, task_id)


async def create_run(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, request: RunRequest, environment: Environment
) -> TaskRun:
    """Create a run that nobody drives yet (POST runs/). Errors as `run_task`."""
    creator = access.person(caller)
    run_requests.check(request, backends.rules)
    async with backends.database.transaction() as tx:
        task = await locked_task(tx, project, task_id)
        run = await _prepare(backends, tx, creator, task, request, environment)
        stored = await _store(backends, tx, creator, run, started_at=None)
        await authorship.keep_token(backends, tx, stored, request.github_user_token)
        return stored


async def _prepare(
    backends: Backends, tx: Transaction, creator: PersonalCaller, task: Task, request: RunRequest, environment: Environment
) -> TaskRun:
    """The run to store, once everything that the request names was found."""
    previous = await _previous(tx, task, request.resume_from_run_id)
    if previous is not None:
        request = run_requests.inherit(request, previous)
        run_requests.check_effort(request, backends.rules)
    authored = await _authored(backends, tx, creator, task, request)
    chosen = await sandbox_environments.choose(tx, task, request.sandbox_environment_id, previous)
    request = replace(request, sandbox_environment_id=chosen)
    run = _new_run(task, request, previous, environment, backends.clock.now())
    return replace(run, state=run.state | authored)


async def _previous(tx: Transaction, task: Task, run_id: UUID | None) -> TaskRun | None:
    if run_id is None:
        return None
    previous = await runs.find(tx, task.project_id, task.id, run_id)
    if previous is None:
        raise RefusedError("resume_from_run_id names no run of this task.", family="detail")
    return previous


async def _authored(backends: Backends, tx: Transaction, creator: PersonalCaller, task: Task, request: RunRequest) -> dict[str, str]:
    """The keys of `state` that say whose pull requests these are: a person's need that person's GitHub identity."""
    if run_requests.authorship(request) != "user":
        return {}
    return await authorship.resolve(backends, tx, creator, task, with_token=request.github_user_token is not None)


def _new_run(task: Task, request: RunRequest, previous: TaskRun | None, environment: Environment, now: datetime) -> TaskRun:
    return TaskRun(
        id=uuid7(int(now.timestamp() * 1000)),
        task_id=task.id,
        project_id=task.project_id,
        number=0,  # given by the database
        status=RunStatus.QUEUED,
        environment=environment,
        created_at=now,
        updated_at=now,
        branch=request.branch,
        state=run_requests.initial_state(request, previous),
    )


async def _staged(tx: Transaction, run: TaskRun, ids: Sequence[str]) -> list[Artifact]:
    """The artifacts that were staged for the run, in the order in which it asks for them. RefusedError names those that are not there."""
    taken = await artifacts.staged(tx, run.task_id, ids, run.created_at) if ids else []
    known = {artifact.id for artifact in taken}
    missing = [artifact_id for artifact_id in dict.fromkeys(ids) if artifact_id not in known]
    if missing:
        raise RefusedError("Some of the artifacts are not known or have expired.", family="detail", missing_artifact_ids=missing)
    return taken


async def _store(
    backends: Backends,
    tx: Transaction,
    creator: PersonalCaller,
    run: TaskRun,
    started_at: datetime | None,
    taken: Sequence[Artifact] = (),
) -> TaskRun:
    """Store the run with the artifacts that it takes over, as they are: they are staged no more."""
    facts = Execution(started_at=started_at, active_at=started_at, wake_at=started_at)
    stored = await runs.add(tx, replace(run, execution=facts))
    await audit.note_run(backends, tx, creator, AuditAction.RUN_CREATE, stored, environment=stored.environment.value)
    if taken:
        await artifacts.unstage(tx, run.task_id, taken)
        await add_entries(backends, tx, stored, taken)
        stored = await runs.note(tx, stored.id, {"artifact_count": len(taken)})
    await run_changes.add_state(backends, tx, stored)
    return stored


async def list_runs(backends: Backends, caller: Caller, project: Project, task_id: UUID, paging: Paging) -> Page[TaskRun]:
    """The runs of a task, newest first. Raises NotFoundError."""
    access.person(caller)
    async with backends.database.statement() as tx:
        await find_task(tx, project, task_id)
        count, found = await runs.of_task(tx, task_id, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


async def retrieve_run(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """A run. Raises NotFoundError; a run token reads its own run and those it resumes from."""
    async with backends.database.statement() as tx:
        return await access.readable_run(tx, caller, project, task_id, run_id)
