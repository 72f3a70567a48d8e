"""Sandbox environments: what a project's runs may be given (contract 11.1), and which one a run gets (3.6)."""

import json
from dataclasses import dataclass, field, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from hedgerow.db import sandbox_environments, tasks
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import InvalidError, NotFoundError, RefusedError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.sandbox_environments import NetworkAccess, SandboxEnvironment, is_domain, unsound_variable
from hedgerow.domain.tasks import Task
from hedgerow.operations import access, audit, sealing
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.patches import UNSET, Unset

STATE_KEY = "sandbox_environment_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxEnvironmentDraft:
    """The writable fields. UNSET: the field was not sent. The door has checked types and lengths."""

    name: str | Unset = UNSET
    network_access_level: NetworkAccess | Unset = UNSET
    allowed_domains: tuple[str, ...] | Unset = UNSET
    include_default_domains: bool | Unset = UNSET
    repositories: tuple[str, ...] | Unset = UNSET
    environment_variables: dict[str, str] | Unset = field(default=UNSET, repr=False)
    private: bool | Unset = UNSET


_DEFAULTS: dict[str, Any] = {
    "network_access_level": NetworkAccess.FULL.value,
    "allowed_domains": (),
    "include_default_domains": False,
    "repositories": (),
    "private": True,
}


async def list_sandbox_environments(backends: Backends, caller: Caller, project: Project, paging: Paging) -> Page[SandboxEnvironment]:
    """The project's public ones and the caller's own, newest first; internal ones are left out."""
    who = access.person(caller).user
    async with backends.database.transaction() as tx:
        count, found = await sandbox_environments.select(tx, project.id, who.id, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


async def create_sandbox_environment(
    backends: Backends, caller: Caller, project: Project, draft: SandboxEnvironmentDraft
) -> SandboxEnvironment:
    """A new sandbox environment of the caller. Raises InvalidError naming the field."""
    who = access.person(caller)
    now = backends.clock.now()
    environment_id = uuid7(int(now.timestamp() * 1000))
    columns = _DEFAULTS | _columns(backends, environment_id, draft)
    columns |= {"id": environment_id, "project_id": project.id, "created_by": who.user.id, "created_at": now, "updated_at": now}
    async with backends.database.transaction() as tx:
        await sandbox_environments.add(tx, columns)
        await audit.note(backends, tx, caller, AuditAction.ENVIRONMENT_CREATE, project_id=project.id, subject=environment_id)
        return await _find(tx, caller, project, environment_id)


async def retrieve_sandbox_environment(backends: Backends, caller: Caller, project: Project, environment_id: UUID) -> SandboxEnvironment:
    """A sandbox environment. Raises NotFoundError, also for another person's private one."""
    async with backends.database.statement() as tx:
        return await _find(tx, caller, project, environment_id)


async def update_sandbox_environment(
    backends: Backends, caller: Caller, project: Project, environment_id: UUID, draft: SandboxEnvironmentDraft
) -> SandboxEnvironment:
    """Change what the draft names; its variables are replaced as a whole. Raises InvalidError naming the field, NotFoundError.

    Runs that begin afterwards are given the change; one that is under way keeps its variables.
    """
    access.person(caller)
    columns = _columns(backends, environment_id, draft)
    async with backends.database.transaction() as tx:
        stored = await _find(tx, caller, project, environment_id, lock=True)
        columns["updated_at"] = max(backends.clock.now(), stored.updated_at + timedelta(milliseconds=1))
        await sandbox_environments.change(tx, environment_id, columns)
        changed = sorted(name.removeprefix("sealed_") for name in columns if name != "updated_at")
        await audit.note(
            backends, tx, caller, AuditAction.ENVIRONMENT_UPDATE, project_id=project.id, subject=environment_id, fields=changed
        )
        return await _find(tx, caller, project, environment_id)


async def delete_sandbox_environment(backends: Backends, caller: Caller, project: Project, environment_id: UUID) -> None:
    """Forget a sandbox environment with its variables. A run that has not begun yet cannot begin then. Raises NotFoundError."""
    async with backends.database.transaction() as tx:
        await _find(tx, caller, project, environment_id, lock=True)
        await sandbox_environments.remove(tx, environment_id)
        await audit.note(backends, tx, caller, AuditAction.ENVIRONMENT_DELETE, project_id=project.id, subject=environment_id)


async def _find(tx: Transaction, caller: Caller, project: Project, environment_id: UUID, *, lock: bool = False) -> SandboxEnvironment:
    who = access.person(caller).user
    found = await sandbox_environments.find(tx, project.id, environment_id, lock=lock)
    if found is None or not found.is_seen_by(who.id):
        raise NotFoundError("Sandbox environment not found.")
    return found


def _columns(backends: Backends, environment_id: UUID, draft: SandboxEnvironmentDraft) -> dict[str, Any]:
    """The columns that a draft names, checked in the order of the fields."""
    given = {f.name: getattr(draft, f.name) for f in fields(draft) if getattr(draft, f.name) is not UNSET}
    if "network_access_level" in given:
        given["network_access_level"] = given["network_access_level"].value
    for index, domain in enumerate(given.get("allowed_domains", ())):
        if not is_domain(domain):
            message = "This is no domain: write example.com, or *.example.com for everything below it."
            raise InvalidError(message, attr=f"allowed_domains__{index}", detail_code="invalid_input")
    if "environment_variables" in given:
        given["sealed_variables"] = _sealed(backends, environment_id, given.pop("environment_variables"))
    return given


def _sealed(backends: Backends, environment_id: UUID, variables: dict[str, str]) -> bytes | None:
    problem = unsound_variable(variables)
    if problem is not None:
        raise InvalidError(problem, attr="environment_variables", detail_code="invalid_input")
    if not variables:
        return None
    return sealing.seal(backends.rules.secrets[0], _purpose(environment_id), json.dumps(variables).encode())


def _purpose(environment_id: UUID) -> str:
    return f"variables of sandbox environment {environment_id}"


async def choose(tx: Transaction, task: Task, asked: UUID | None, previous: TaskRun | None) -> UUID | None:
    """The sandbox environment of a new run: the one that was asked for, else that of the run it resumes, where the task may use it.

    Raises RefusedError (family "detail") where one was asked for that does not exist in the project, or is somebody else's alone.
    """
    if asked is not None:
        if await _usable(tx, task, asked) is None:
            raise RefusedError(f"There is no sandbox environment {asked} that this task may use.", family="detail")
        return asked
    inherited = None if previous is None else named_in(previous)
    return None if inherited is None or await _usable(tx, task, inherited) is None else inherited


async def of_run(backends: Backends, run: TaskRun) -> SandboxEnvironment | None:
    """The sandbox environment that a run's state names; None where it names none.

    Looked up anew, as `choose` does: whoever changes the state of a run gains nothing that its task may not use. Raises NotFoundError
    where it is gone.
    """
    named = run.state.get(STATE_KEY)
    if named is None:
        return None
    async with backends.database.transaction() as tx:
        task = await tasks.find(tx, run.project_id, run.task_id)
        environment_id = named_in(run)
        found = None if task is None or environment_id is None else await _usable(tx, task, environment_id)
    if found is None:
        raise NotFoundError("The run's sandbox environment does not exist any more, or its task may not use it.")
    return found


def variables_of(backends: Backends, environment: SandboxEnvironment) -> dict[str, str]:
    """The variables in the clear. Raises UnavailableError where our secret key does not open them."""
    if environment.sealed_variables is None:
        return {}
    opened = sealing.unseal(backends.rules.secrets, _purpose(environment.id), environment.sealed_variables)
    variables: dict[str, str] = json.loads(opened)
    return variables


def named_in(run: TaskRun) -> UUID | None:
    """The id that a run's state names, where it is one."""
    named = run.state.get(STATE_KEY)
    try:
        return UUID(named) if isinstance(named, str) else None
    except ValueError:
        return None


async def _usable(tx: Transaction, task: Task, environment_id: UUID) -> SandboxEnvironment | None:
    """A sandbox environment of the task's project, unless it is private and not of the task's creator (contract 3.6, step 6)."""
    found = await sandbox_environments.find(tx, task.project_id, environment_id)
    creator = None if task.created_by is None else task.created_by.id
    return found if found is not None and found.is_seen_by(creator) else None
