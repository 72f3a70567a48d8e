"""People, their projects and their keys over the wire (contract 2.2, 11.2, 13.4)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import FORM_LIST, Integer, Optionally, RequestModel, Words255
from hedgerow.domain.access import ORGANIZATION_ID, ORGANIZATION_NAME, Project, Scope, User
from hedgerow.domain.access import PersonalKey as DomainPersonalKey
from hedgerow.domain.journal import wire_time


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
    organization: UUID
    project_id: int
    api_token: str = Field(description="A public name of the project. It opens nothing.")
    name: str
    timezone: str
    created_at: datetime
    proactive_tasks_enabled: bool
    session_recording_opt_in: bool
    autocapture_exceptions_opt_in: bool


class ProjectUpdate(RequestModel):
    """The body that changes a project."""

    proactive_tasks_enabled: Optionally[bool] = Field(None, description="Whether tasks are suggested out of what is captured.")
    session_recording_opt_in: Optionally[bool] = Field(None, description="Whether sessions are recorded.")
    autocapture_exceptions_opt_in: Optionally[bool] = Field(None, description="Whether exceptions are captured.")

    def switches(self) -> dict[str, bool]:
        """What is turned on or off, by the names of the domain."""
        return {_SWITCHES[name]: on for name, on in self.given().items()}


_SWITCHES = {
    "proactive_tasks_enabled": "proactive_tasks",
    "session_recording_opt_in": "session_recording",
    "autocapture_exceptions_opt_in": "exception_capture",
}


class Organization(BaseModel):
    """All of this hedgerow, with the projects of the caller."""

    id: UUID
    name: str
    teams: list[ProjectDetail]


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
    organization: Organization
    organizations: list[Organization]


class CurrentUserWrite(RequestModel):
    """What a person may change of themselves."""

    set_current_organization: Optionally[UUID] = Field(None, description="The organization to work in.")


class PersonalKeyWrite(RequestModel):
    """The body that makes a personal key."""

    label: Words255 = Field(description="What the key is for.")
    scopes: Annotated[list[Scope], FORM_LIST, Field(min_length=1)]
    scoped_teams: Annotated[list[Integer], FORM_LIST] | None = Field(
        None, description="Only these projects; none given: all that the key in use reaches."
    )


class PersonalKey(BaseModel):
    """A personal key, without its value."""

    id: UUID
    label: str
    scopes: list[Scope]
    scoped_teams: list[int] | None = Field(description="null: every project of the person.")
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute.")


class PersonalKeyPage(BaseModel):
    """A page of personal keys."""

    count: int
    next: str | None
    previous: str | None
    results: list[PersonalKey]


class NewPersonalKey(BaseModel):
    """A personal key that was made just now. Its value is shown this once."""

    id: UUID
    label: str
    value: str
    scopes: list[Scope]
    scoped_teams: list[int] | None = Field(description="null: every project of the person.")
    created_at: datetime


def user_basic(user: User) -> dict[str, Any]:
    """A person as a task shows its creator. What hedgerow does not know of people is null."""
    return {
        "id": user.id,
        "uuid": user.uuid,
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
    return {
        "id": project.id,
        "uuid": str(project.uuid),
        "organization": str(ORGANIZATION_ID),
        "project_id": project.id,
        "api_token": project.api_token,
        "name": project.name,
        "timezone": "UTC",
        "created_at": wire_time(project.created_at),
        **{name: getattr(project.switches, switch) for name, switch in _SWITCHES.items()},
    }


def current_user(user: User, project: Project | None, projects: list[Project]) -> dict[str, Any]:
    """The caller as the API shows them, with their current project and all of their projects."""
    organization = {"id": str(ORGANIZATION_ID), "name": ORGANIZATION_NAME, "teams": [project_detail(each) for each in projects]}
    return {
        "uuid": str(user.uuid),
        "id": user.id,
        "distinct_id": user.distinct_id,
        "email": user.email,
        "first_name": user.first_name,
        "last_name": user.last_name,
        "is_staff": user.is_staff,
        "team": None if project is None else project_detail(project),
        "organization": organization,
        "organizations": [organization],
    }


def personal_key(key: DomainPersonalKey) -> dict[str, Any]:
    """A key as the API shows it."""
    return {
        "id": str(key.id),
        "label": key.label,
        "scopes": sorted(key.scopes),
        "scoped_teams": None if key.project_ids is None else sorted(key.project_ids),
        "created_at": wire_time(key.created_at),
        "last_used_at": wire_time(key.last_used_at),
    }


def new_personal_key(key: DomainPersonalKey, value: str) -> dict[str, Any]:
    """A key that was made just now, with the value that is kept nowhere."""
    return {
        "id": str(key.id),
        "label": key.label,
        "value": value,
        "scopes": sorted(key.scopes),
        "scoped_teams": None if key.project_ids is None else sorted(key.project_ids),
        "created_at": wire_time(key.created_at),
    }
