"""Tasks over the wire (contract 2.2, 3.1 to 3.3)."""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from hedgerow.api.json_bytes import moment
from hedgerow.api.schemas.fields import FORM_JSON, Integer, Optionally, RequestModel, Text, Text255, fault
from hedgerow.api.schemas.runs import TaskRunDetail
from hedgerow.api.schemas.users import UserBasic, user_basic
from hedgerow.domain.runs import RunStatus
from hedgerow.domain.tasks import OriginProduct, TaskFilters, normal_repository
from hedgerow.domain.tasks import Task as DomainTask
from hedgerow.operations.tasks import TaskDraft


class Task(BaseModel):
    """What is wanted, where, and by whom."""

    id: UUID
    task_number: int | None
    slug: str
    title: str
    title_manually_set: bool
    description: str
    origin_product: OriginProduct
    repository: str | None
    github_integration: int | None
    github_user_integration: UUID | None
    signal_report: UUID | None
    signal_report_task_relationship: str | None
    json_schema: Any
    internal: bool
    latest_run: TaskRunDetail | None
    created_at: datetime
    updated_at: datetime
    created_by: UserBasic | None
    ci_prompt: str | None


class TaskPage(BaseModel):
    """A page of tasks."""

    count: int
    next: str | None
    previous: str | None
    results: list[Task]


def task_detail(task: DomainTask, latest_run: dict[str, Any] | None) -> dict[str, Any]:
    """A task as the API shows it."""
    return {
        "id": task.id,
        "task_number": task.task_number,
        "slug": task.slug,
        "title": task.title,
        "title_manually_set": task.title_manually_set,
        "description": task.description,
        "origin_product": task.origin_product.value,
        "repository": task.repository,
        "github_integration": task.github_integration,
        "github_user_integration": task.github_user_integration,
        "signal_report": task.signal_report,
        "signal_report_task_relationship": task.signal_report_task_relationship,
        "json_schema": task.json_schema,
        "internal": task.internal,
        "latest_run": latest_run,
        "created_at": moment(task.created_at),
        "updated_at": moment(task.updated_at),
        "created_by": None if task.created_by is None else user_basic(task.created_by),
        "ci_prompt": task.ci_prompt,
    }


def _repository(name: str) -> str:
    try:
        return normal_repository(name) or ""
    except ValueError as problem:
        raise fault(str(problem)) from problem


class TaskWrite(RequestModel):
    """The body of a new or a changed task. Every field may be left out; read-only ones are ignored."""

    title: Optionally[Text255] = None
    title_manually_set: Optionally[bool] = None
    description: Optionally[Text] = None
    origin_product: Optionally[OriginProduct] = None
    repository: Annotated[Text255, AfterValidator(_repository)] | None = Field(None, description="organisation/repository")
    github_integration: Integer | None = None
    github_user_integration: UUID | None = None
    signal_report: UUID | None = None
    signal_report_task_relationship: Literal["implementation"] | None = None
    json_schema: Annotated[Any, FORM_JSON] = Field(None, description="A JSON Schema that the output of runs must fit.")
    internal: Optionally[bool] = None
    ci_prompt: Text | None = None

    def draft(self) -> TaskDraft:
        """What the operation is asked for."""
        return TaskDraft(**self.given())


class TaskQuery(RequestModel):
    """What a list of tasks is narrowed to."""

    origin_product: Optionally[Text] = None
    stage: Optionally[Text] = Field(None, description="Any run of the task has this stage.")
    organization: Optionally[Text] = Field(None, description="The part of the repository before the slash.")
    repository: Optionally[Text] = Field(None, description="The whole name, or the part after the slash.")
    created_by: Optionally[Integer] = None
    internal: bool = False
    search: Optionally[Text] = Field(None, description="A part of the title or the description, or a task number.")
    status: Annotated[Optionally[RunStatus], Field(description="The status of the latest run.")] = None

    def filters(self) -> TaskFilters:
        """What the operation is asked for."""
        return TaskFilters(**self.given())
