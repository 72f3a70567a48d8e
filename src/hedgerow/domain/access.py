"""Who calls, and what they may do."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from uuid import UUID

from hedgerow.domain.readiness import Switches

ORGANIZATION_ID = UUID("5d1d3f0e-6a52-5d0c-9c62-6865646765f1")
ORGANIZATION_NAME = "hedgerow"
"""Everybody and everything on a hedgerow belongs to one organization, which clients want to know by id and name."""


class Scope(StrEnum):
    """What a personal key may be allowed to do."""

    TASK_READ = "task:read"
    TASK_WRITE = "task:write"
    ALL = "*"


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A person with an account."""

    id: int
    uuid: UUID
    distinct_id: str
    email: str
    first_name: str = ""
    last_name: str = ""
    is_staff: bool = False
    current_project_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """What tasks, repositories and members belong to."""

    id: int
    uuid: UUID
    name: str
    created_at: datetime
    switches: Switches = field(default_factory=Switches)

    @property
    def api_token(self) -> str:
        """What clients call the project's token: a public name of it, which opens nothing here."""
        return f"phc_{self.uuid.hex}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalKey:
    """A personal key. Its value is shown once, when it is made."""

    id: UUID
    user_id: int
    label: str
    scopes: frozenset[str]
    project_ids: frozenset[int] | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonalCaller:
    """A person, through a personal key."""

    user: User
    key_id: UUID
    scopes: frozenset[str]
    project_ids: frozenset[int] | None = None  # None: every project of the person

    @property
    def identity(self) -> str:
        """A stable name of the caller, for idempotency keys and logs."""
        return f"key:{self.key_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCaller:
    """The agent server of a run, through its run token. It may write its own run only (contract 13.2, 13.4)."""

    run_id: UUID
    epoch: int

    @property
    def identity(self) -> str:
        """A stable name of the caller, for idempotency keys and logs."""
        return f"run:{self.run_id}"


Caller = PersonalCaller | RunCaller


def permits(scopes: frozenset[str], required: Scope) -> bool:
    """Whether a key with `scopes` satisfies `required`; writing implies reading."""
    if Scope.ALL in scopes or required in scopes:
        return True
    return required is Scope.TASK_READ and Scope.TASK_WRITE in scopes
