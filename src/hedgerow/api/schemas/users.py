"""People over the wire (contract 2.2, 11.2)."""

from typing import Any
from uuid import UUID

from pydantic import BaseModel

from hedgerow.domain.access import Project, User


class UserBasic(BaseModel):
    """A person, as a task names who made it."""

    id: int
    uuid: UUID
    distinct_id: str | None
    first_name: str
    last_name: str
    email: str
    is_email_verified: bool | None
    hedgehog_config: dict[str, Any] | None
    role_at_organization: str | None


class ProjectDetail(BaseModel):
    """A project."""

    id: int
    uuid: UUID
    name: str
    project_id: int


class CurrentUser(BaseModel):
    """The person whose key is used. `team` is the project that `@current` stands for."""

    uuid: UUID
    id: int
    distinct_id: str
    email: str
    first_name: str
    last_name: str
    is_staff: bool
    team: ProjectDetail | None


def user_basic(user: User) -> dict[str, Any]:
    """A person as a task shows its creator. What hedgerow does not know of people is null."""
    return {
        "id": user.id,
        "uuid": str(user.uuid),
        "distinct_id": user.distinct_id,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "email": user.email,
        "is_email_verified": None,
        "hedgehog_config": None,
        "role_at_organization": None,
    }


def project_detail(project: Project) -> dict[str, Any]:
    """A project as the API shows it."""
    return {"id": project.id, "uuid": str(project.uuid), "name": project.name, "project_id": project.id}


def current_user(user: User, project: Project | None) -> dict[str, Any]:
    """The caller as the API shows them."""
    return {
        "uuid": str(user.uuid),
        "id": user.id,
        "distinct_id": user.distinct_id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_staff": user.is_staff,
        "team": None if project is None else project_detail(project),
    }
