"""Tasks: list, create, retrieve, update, delete (contract 3.1 to 3.3)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.runs import RunStatus
from hedgerow.domain.tasks import OriginProduct, Task
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.patches import UNSET, Unset


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFilters:
    """What a list of tasks is narrowed to. None: not narrowed by that."""

    origin_product: str | None = None
    stage: str | None = None
    organization: str | None = None
    repository: str | None = None
    created_by: int | None = None
    internal: bool = False
    search: str | None = None
    status: RunStatus | None = None


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
    raise NotImplementedError


async def create_task(backends: Backends, caller: Caller, project: Project, draft: TaskDraft) -> Task:
    """A new task of the caller. Raises InvalidError naming the field (contract 3.2)."""
    raise NotImplementedError


async def retrieve_task(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> Task:
    """A task with its latest run. Raises NotFoundError; a run token reads its own task only."""
    raise NotImplementedError


async def update_task(backends: Backends, caller: Caller, project: Project, task_id: UUID, draft: TaskDraft) -> Task:
    """Change what `draft` names. A title that is set counts as set by hand. Raises InvalidError, NotFoundError."""
    raise NotImplementedError


async def delete_task(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> None:
    """Hide a task and its runs from everybody. Raises NotFoundError."""
    raise NotImplementedError
