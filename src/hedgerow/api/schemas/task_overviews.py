"""Many tasks in short, over the wire (contract 3.4, 3.5)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.json_bytes import moment
from hedgerow.api.schemas.fields import FORM_LIST, RequestModel
from hedgerow.domain.runs import Environment, RunStatus
from hedgerow.domain.tasks import TaskSummary as DomainTaskSummary

MOST_IDS = 5000


class TaskRepositories(BaseModel):
    """The repositories that a project's tasks name."""

    repositories: list[str]


class LatestRun(BaseModel):
    """How a task's latest run stands."""

    status: RunStatus
    environment: Environment


class TaskSummary(BaseModel):
    """A task in short."""

    id: UUID
    title: str
    repository: str | None
    created_at: datetime
    updated_at: datetime
    latest_run: LatestRun | None


class TaskSummaryPage(BaseModel):
    """A page of tasks in short."""

    count: int
    next: str | None
    previous: str | None
    results: list[TaskSummary]


class TaskSummaryRequest(RequestModel):
    """The body that asks for tasks in short."""

    ids: Annotated[
        list[UUID], FORM_LIST, Field(min_length=1, max_length=MOST_IDS, description="Ids of tasks; those that are unknown are left out.")
    ]


def task_summary(summary: DomainTaskSummary) -> dict[str, Any]:
    """A task in short, as the API shows it."""
    latest = summary.latest_run
    return {
        "id": str(summary.id),
        "title": summary.title,
        "repository": summary.repository,
        "created_at": moment(summary.created_at),
        "updated_at": moment(summary.updated_at),
        "latest_run": None if latest is None else {"status": latest.status.value, "environment": latest.environment.value},
    }
