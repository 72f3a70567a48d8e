"""The caller, their projects and their keys (contract 11.2, 13.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at, moment, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project."""

    id: int
    uuid: str
    name: str
    timezone: str
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CurrentUser:
    """The person whose key is used. `project` is the one that `@current` stands for, `projects` are all that the key reaches."""

    id: int
    uuid: str
    email: str
    first_name: str
    last_name: str
    is_staff: bool
    project: Project | None
    projects: tuple[Project, ...]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalKey:
    """A personal key. `value` is the key itself, told once when it is made, and None ever after; without `project_ids` it reaches all."""

    id: str
    label: str
    value: str | None = field(repr=False)
    scopes: tuple[str, ...]
    project_ids: tuple[int, ...] | None
    created_at: datetime
    last_used_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)


def project_from(body: Mapping[str, Any]) -> Project:
    """A project from its JSON object."""
    uuid, timezone = body.get("uuid") or "", body.get("timezone") or "UTC"
    return Project(id=body["id"], uuid=uuid, name=body.get("name") or "", timezone=timezone, raw=body)


def current_user_from(body: Mapping[str, Any]) -> CurrentUser:
    """The caller from their JSON object."""
    team = body.get("team")
    return CurrentUser(
        id=body["id"],
        uuid=body["uuid"],
        email=body.get("email") or "",
        first_name=body.get("first_name") or "",
        last_name=body.get("last_name") or "",
        is_staff=bool(body.get("is_staff")),
        project=project_from(team) if team else None,
        projects=tuple(project_from(each) for each in (body.get("organization") or {}).get("teams") or ()),
        raw=body,
    )


def personal_key_from(body: Mapping[str, Any]) -> PersonalKey:
    """A key from its JSON object."""
    projects = body.get("scoped_teams")
    return PersonalKey(
        id=str(body["id"]),
        label=body.get("label") or "",
        value=body.get("value"),
        scopes=texts(body.get("scopes")),
        project_ids=None if projects is None else tuple(projects),
        created_at=made_at(body.get("created_at")),
        last_used_at=moment(body.get("last_used_at")),
        raw={name: value for name, value in body.items() if name != "value"},
    )
