"""What hedgerow answers, as far as a client reads it. `raw` keeps the whole JSON object."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hedgerow.domain.runs import EndReason, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One try at a task, as its clients see it."""

    id: str
    task_id: str
    status: RunStatus
    branch: str | None
    error_message: str | None
    output: Any
    state: Mapping[str, Any]
    created_at: datetime
    completed_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def end_reason(self) -> EndReason | None:
        """Why the run ended; None while it lives, or for a reason that this version does not know."""
        try:
            return EndReason(self.state.get("end_reason", ""))
        except ValueError:
            return None

    @property
    def interactive(self) -> bool:
        """Whether the run waits for messages after each turn."""
        return self.state.get("mode") != "background"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is wanted, with its latest run."""

    id: str
    slug: str
    title: str
    description: str
    repository: str | None
    created_at: datetime
    latest_run: Run | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A repository that was registered under a name."""

    name: str
    clone_url: str


def run_from(body: Mapping[str, Any]) -> Run:
    """A run from its JSON object (contract 2.1)."""
    state = body.get("state")
    return Run(
        id=body["id"],
        task_id=body["task"],
        status=RunStatus(body["status"]),
        branch=body.get("branch"),
        error_message=body.get("error_message"),
        output=body.get("output"),
        state=state if isinstance(state, dict) else {},
        created_at=moment(body.get("created_at")) or datetime.now(UTC),
        completed_at=moment(body.get("completed_at")),
        raw=body,
    )


def task_from(body: Mapping[str, Any]) -> Task:
    """A task from its JSON object (contract 2.2)."""
    latest = body.get("latest_run")
    return Task(
        id=body["id"],
        slug=body.get("slug") or body["id"],
        title=body.get("title") or "",
        description=body.get("description") or "",
        repository=body.get("repository"),
        created_at=moment(body.get("created_at")) or datetime.now(UTC),
        latest_run=run_from(latest) if isinstance(latest, dict) else None,
        raw=body,
    )


def repository_from(body: Mapping[str, Any]) -> Repository:
    """A registered repository from its JSON object (contract 13.4)."""
    return Repository(name=body["name"], clone_url=body["clone_url"])


def moment(stamp: Any) -> datetime | None:
    """The instant that a stamp of the API names; None where it names none."""
    if not isinstance(stamp, str):
        return None
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed
