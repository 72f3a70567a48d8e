"""Tasks: list, create, retrieve, update, delete (contract 3.1 to 3.3)."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import timedelta
from typing import Any
from uuid import UUID

from hedgerow.db import executions, github, integrations, projects, runs, tasks
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project, RunCaller, User
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.runs import Ending, EndReason, RunStatus
from hedgerow.domain.tasks import OriginProduct, Task, TaskFilters, normal_repository, title_from
from hedgerow.operations import access, audit, run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.integrations import first_of_kind
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.patches import UNSET, Unset


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskDraft:
    """The writable fields of a task (contract 2.2). UNSET: the field was not sent. The door has checked types and lengths."""

    title: str | Unset = UNSET
    title_manually_set: bool | Unset = UNSET
    description: str | Unset = UNSET
    origin_product: OriginProduct | Unset = UNSET
    repository: str | Unset | None = UNSET
    github_integration: int | Unset | None = UNSET
    github_user_integration: UUID | Unset | None = UNSET
    signal_report: UUID | Unset | None = UNSET
    signal_report_task_relationship: str | Unset | None = UNSET
    json_schema: Any | Unset = UNSET
    internal: bool | Unset = UNSET
    ci_prompt: str | Unset | None = UNSET


async def list_tasks(backends: Backends, caller: Caller, project: Project, filters: TaskFilters, paging: Paging) -> Page[Task]:
    """The project's tasks, newest first, each with its latest run."""
    access.person(caller)
    limit, offset = paging.bounded_limit, paging.bounded_offset
    count, found = await backends.database.in_thread(lambda connection: tasks.select(connection, project.id, filters, limit, offset))
    return Page(count=count, items=found)


async def create_task(backends: Backends, caller: Caller, project: Project, draft: TaskDraft) -> Task:
    """A new task of the caller. Raises InvalidError naming the field (contract 3.2)."""
    creator = access.person(caller).user
    columns = _columns(draft)
    description = columns.setdefault("description", "")
    title = columns.get("title", "")
    columns["title"] = title or (title_from(description) if description.strip() else "")
    columns.setdefault("title_manually_set", bool(title))
    now = backends.clock.now()
    task_id = uuid7(int(now.timestamp() * 1000))
    columns |= {"id": task_id, "project_id": project.id, "created_by": creator.id, "created_at": now, "updated_at": now}
    columns.setdefault("origin_product", OriginProduct.USER_CREATED.value)
    async with backends.database.transaction() as tx:
        await _check_github(tx, creator, project, columns)
        if columns.get("github_integration") is None:
            columns["github_integration"] = await _own_integration(tx, project)
        await tasks.add(tx, columns | {"task_number": await projects.take_task_number(tx, project.id)})
        await audit.note(backends, tx, caller, AuditAction.TASK_CREATE, project_id=project.id, task_id=task_id)
        return await find_task(tx, project, task_id)


async def retrieve_task(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> Task:
    """A task with its latest run. Raises NotFoundError; a run token reads its own task only."""
    async with backends.database.statement() as tx:
        if isinstance(caller, RunCaller):
            own = await runs.load(tx, caller.run_id)
            if own is None or own.task_id != task_id:
                raise NotFoundError("Task not found.")
            access.check_epoch(caller, own)
        return await find_task(tx, project, task_id)


async def update_task(backends: Backends, caller: Caller, project: Project, task_id: UUID, draft: TaskDraft) -> Task:
    """Change what `draft` names. A title that is set counts as set by hand. Raises InvalidError, NotFoundError."""
    who = access.person(caller).user
    columns = _columns(draft)
    if "title" in columns:
        columns.setdefault("title_manually_set", True)
    async with backends.database.transaction() as tx:
        stored = await locked_task(tx, project, task_id)
        await _check_github(tx, who, project, columns, stored)
        columns["updated_at"] = max(backends.clock.now(), stored.updated_at + timedelta(milliseconds=1))
        await tasks.change(tx, task_id, columns)
        changed = sorted(name for name in columns if name != "updated_at")
        await audit.note(backends, tx, caller, AuditAction.TASK_UPDATE, project_id=project.id, task_id=task_id, fields=changed)
        return await find_task(tx, project, task_id)


async def delete_task(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> None:
    """Hide a task and its runs from everybody; those that are under way end. Raises NotFoundError."""
    access.person(caller)
    now = backends.clock.now()
    ending = Ending(status=RunStatus.CANCELLED, reason=EndReason.CANCELLED, message="The task was deleted.")
    async with backends.database.transaction() as tx:
        if not await tasks.delete(tx, project.id, task_id, now):
            raise NotFoundError("Task not found.")
        await audit.note(backends, tx, caller, AuditAction.TASK_DELETE, project_id=project.id, task_id=task_id)
        for run in await executions.conclude_all(tx, task_id, ending, now):
            run_changes.nudge(backends, tx, run)


async def locked_task(tx: Transaction, project: Project, task_id: UUID) -> Task:
    """As `find_task`, with the task's row locked: nobody changes or deletes it before the transaction ends."""
    if not await tasks.lock(tx, project.id, task_id):
        raise NotFoundError("Task not found.")
    return await find_task(tx, project, task_id)


async def find_task(tx: Transaction, project: Project, task_id: UUID) -> Task:
    """The task inside a transaction of another operation. Raises NotFoundError."""
    task = await tasks.find(tx, project.id, task_id)
    if task is None:
        raise NotFoundError("Task not found.")
    return task


def _columns(draft: TaskDraft) -> dict[str, Any]:
    """The columns that a draft names, checked in the order of the fields."""
    given = {f.name: getattr(draft, f.name) for f in fields(draft) if getattr(draft, f.name) is not UNSET}
    if "repository" in given:
        given["repository"] = _repository(given["repository"])
    if "origin_product" in given:
        given["origin_product"] = given["origin_product"].value
    if given.get("signal_report") is not None:
        raise InvalidError(
            f"There is no signal report {given['signal_report']} in this project.", attr="signal_report", detail_code="does_not_exist"
        )
    if given.get("signal_report_task_relationship") is not None:
        raise InvalidError(
            "A relationship to a signal report needs signal_report and origin_product signal_report.",
            attr="signal_report_task_relationship",
            detail_code="invalid_input",
        )
    return given


async def _check_github(tx: Transaction, who: User, project: Project, columns: Mapping[str, Any], stored: Task | None = None) -> None:
    """A task names a GitHub integration of its own project, and the caller's own link; what it names already may stay."""
    integration_id, link_id = columns.get("github_integration"), columns.get("github_user_integration")
    if integration_id is not None and (stored is None or stored.github_integration != integration_id):
        integration = await integrations.load(tx, project.id, integration_id, lock=True)
        if integration is None:
            raise _missing("github_integration", f"There is no integration {integration_id} in this project.")
        if integration.kind is not IntegrationKind.GITHUB:
            message = f"Integration {integration_id} is one of {integration.kind.value}, not of GitHub."
            raise InvalidError(message, attr="github_integration", detail_code="invalid_input")
    if link_id is not None and (stored is None or stored.github_user_integration != link_id):
        linked = await github.link_of(tx, who.id, lock=True)
        if linked is None or linked.id != link_id:
            raise _missing("github_user_integration", f"You have no linked GitHub account {link_id}.")


async def _own_integration(tx: Transaction, project: Project) -> int | None:
    """The project's first GitHub integration."""
    first = await first_of_kind(tx, project.id, IntegrationKind.GITHUB)
    kept = None if first is None else await integrations.load(tx, project.id, first.id, lock=True)
    return None if kept is None else kept.id


def _missing(attr: str, message: str) -> InvalidError:
    return InvalidError(message, attr=attr, detail_code="does_not_exist")


def _repository(name: str | None) -> str | None:
    try:
        return None if name is None else normal_repository(name)
    except ValueError as problem:
        raise InvalidError(str(problem), attr="repository", detail_code="invalid_input") from problem
