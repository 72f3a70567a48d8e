"""Tasks, in full and in short (contract 2.2, 3.4, 3.5)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at, moment, texts
from hedgerow.client.answers.runs import Run, run_from
from hedgerow.domain.runs import Environment, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who made something."""

    id: int
    email: str
    first_name: str
    last_name: str
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is wanted, with its latest run."""

    id: str
    number: int | None
    slug: str
    title: str
    description: str
    origin_product: str
    repository: str | None
    json_schema: Any
    internal: bool
    created_by: Person | None
    created_at: datetime
    updated_at: datetime
    latest_run: Run | None
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskSummary:
    """A task in short; status and environment are those of its latest run, None where it has none."""

    id: str
    title: str
    repository: str | None
    status: RunStatus | None
    environment: Environment | None
    created_at: datetime
    updated_at: datetime
    raw: Mapping[str, Any] = field(repr=False)


def task_from(body: Mapping[str, Any]) -> Task:
    """A task from its JSON object."""
    latest, creator = body.get("latest_run"), body.get("created_by")
    created_at = made_at(body.get("created_at"))
    return Task(
        id=body["id"],
        number=body.get("task_number"),
        slug=body.get("slug") or body["id"],
        title=body.get("title") or "",
        description=body.get("description") or "",
        origin_product=body.get("origin_product") or "",
        repository=body.get("repository"),
        json_schema=body.get("json_schema"),
        internal=bool(body.get("internal")),
        created_by=person_from(creator) if isinstance(creator, dict) else None,
        created_at=created_at,
        updated_at=moment(body.get("updated_at")) or created_at,
        latest_run=run_from(latest) if isinstance(latest, dict) else None,
        raw=body,
    )


def person_from(body: Mapping[str, Any]) -> Person:
    """A person from the JSON object that names them (contract 2.2)."""
    first, last = body.get("first_name") or "", body.get("last_name") or ""
    return Person(id=body["id"], email=body.get("email") or "", first_name=first, last_name=last, raw=body)


def summary_from(body: Mapping[str, Any]) -> TaskSummary:
    """A task in short from its JSON object."""
    latest = body.get("latest_run")
    return TaskSummary(
        id=body["id"],
        title=body.get("title") or "",
        repository=body.get("repository"),
        status=RunStatus(latest["status"]) if latest else None,
        environment=Environment(latest["environment"]) if latest else None,
        created_at=made_at(body.get("created_at")),
        updated_at=made_at(body.get("updated_at")),
        raw=body,
    )


def repositories_from(body: Mapping[str, Any]) -> list[str]:
    """The names of repositories from the JSON object that holds them."""
    return list(texts(body["repositories"]))
