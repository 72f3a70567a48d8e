"""A task: what is wanted in a repository."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Any
from uuid import UUID

from hedgerow.domain.access import User
from hedgerow.domain.runs import Environment, RunStatus, VisibleRun


class OriginProduct(StrEnum):
    """Where a task came from."""

    ERROR_TRACKING = "error_tracking"
    EVAL_CLUSTERS = "eval_clusters"
    USER_CREATED = "user_created"
    AUTOMATION = "automation"
    SLACK = "slack"
    SUPPORT_QUEUE = "support_queue"
    SESSION_SUMMARIES = "session_summaries"
    SIGNAL_REPORT = "signal_report"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is wanted, where, and by whom."""

    id: UUID
    project_id: int
    project_name: str
    task_number: int
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
    ci_prompt: str | None
    created_at: datetime
    updated_at: datetime
    created_by: User | None
    latest_run: VisibleRun | None

    @property
    def slug(self) -> str:
        """`<PREFIX>-<task_number>` (contract 2.2)."""
        return f"{slug_prefix(self.project_name)}-{self.task_number}"


@dataclass(frozen=True, slots=True)
class LatestRun:
    """How a task's latest run stands."""

    status: RunStatus
    environment: Environment


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """A task in short."""

    id: UUID
    title: str
    repository: str | None
    created_at: datetime
    updated_at: datetime
    latest_run: LatestRun | None


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


@lru_cache(maxsize=1024)
def slug_prefix(project_name: str) -> str:
    """The first three upper-case letters of the name, else its first three letters or digits in upper case, else TSK."""
    capitals = [letter for letter in project_name if letter.isupper()]
    if len(capitals) >= 3:
        return "".join(capitals[:3])
    plain = [letter for letter in project_name if letter.isalnum()]
    return "".join(plain[:3]).upper() or "TSK"


def title_from(description: str) -> str:
    """A title for a task that came without one: the first line of its description, shortened to 60 characters (contract 3.2)."""
    lines = description.strip().splitlines()
    line = lines[0].strip() if lines else ""
    if not line:
        return "Untitled task"
    return f"{line[:57]}..." if len(line) > 60 else line


_REPOSITORY = re.compile(r"[^/\s]+/[^/\s]+")


def normal_repository(name: str) -> str | None:
    """`org/repo` in lower case, None for a blank name; ValueError where it has another shape (contract 2.2)."""
    stripped = name.strip()
    if not stripped:
        return None
    if len(stripped) > 255 or not _REPOSITORY.fullmatch(stripped):
        raise ValueError("A repository is written as organisation/repository.")
    return stripped.lower()
