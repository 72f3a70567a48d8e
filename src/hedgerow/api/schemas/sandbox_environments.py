"""Sandbox environments over the wire (contract 11.1)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import FORM_JSON, FORM_LIST, Optionally, RequestModel, Words255
from hedgerow.api.schemas.users import UserBasic, user_basic
from hedgerow.domain.journal import wire_time
from hedgerow.domain.sandbox_environments import NetworkAccess
from hedgerow.domain.sandbox_environments import SandboxEnvironment as DomainSandboxEnvironment
from hedgerow.operations.sandbox_environments import SandboxEnvironmentDraft

_TUPLES = ("allowed_domains", "repositories")


class SandboxEnvironmentListItem(BaseModel):
    """What the sandboxes of runs may be given, as the list shows it."""

    id: UUID
    name: str
    network_access_level: NetworkAccess
    allowed_domains: list[str]
    repositories: list[str]
    private: bool
    internal: bool
    created_by: UserBasic | None
    created_at: datetime
    updated_at: datetime


class SandboxEnvironmentPage(BaseModel):
    """A page of sandbox environments."""

    count: int
    next: str | None
    previous: str | None
    results: list[SandboxEnvironmentListItem]


class SandboxEnvironment(BaseModel):
    """What the sandboxes of runs may be given. Its variables are never shown."""

    id: UUID
    name: str
    network_access_level: NetworkAccess
    allowed_domains: list[str]
    include_default_domains: bool
    repositories: list[str]
    has_environment_variables: bool
    private: bool
    internal: bool
    effective_domains: list[str] = Field(description="What a sandbox reaches; empty for full access, which is every public host.")
    created_by: UserBasic | None
    created_at: datetime
    updated_at: datetime


class SandboxEnvironmentUpdate(RequestModel):
    """The body of PATCH on a sandbox environment."""

    name: Optionally[Words255] = None
    network_access_level: Optionally[NetworkAccess] = Field(
        None, description="trusted: the default domains. full: every public host. custom: allowed_domains. At first full."
    )
    allowed_domains: Optionally[Annotated[list[Words255], FORM_LIST]] = Field(
        None, description="For custom access: example.com, or *.example.com."
    )
    include_default_domains: Optionally[bool] = Field(None, description="For custom access: whether the default domains count as well.")
    repositories: Optionally[Annotated[list[Words255], FORM_LIST]] = Field(
        None, description="What it is meant for. It keeps no task from using it."
    )
    environment_variables: Optionally[Annotated[dict[str, str], FORM_JSON]] = Field(
        None,
        repr=False,
        description="Set in the agent's process, before hedgerow's own. They replace the earlier ones, and are never shown.",
    )
    private: Optionally[bool] = Field(None, description="Whether its creator alone sees and uses it. At first true.")

    def draft(self) -> SandboxEnvironmentDraft:
        """What the operation is asked for."""
        given = self.given()
        return SandboxEnvironmentDraft(**given | {name: tuple(given[name]) for name in _TUPLES if name in given})


class SandboxEnvironmentWrite(SandboxEnvironmentUpdate):
    """The body that makes a sandbox environment."""

    name: Words255


def list_item(environment: DomainSandboxEnvironment) -> dict[str, Any]:
    """A sandbox environment as the list shows it."""
    return {
        "id": str(environment.id),
        "name": environment.name,
        "network_access_level": environment.network_access_level.value,
        "allowed_domains": list(environment.allowed_domains),
        "repositories": list(environment.repositories),
        "private": environment.private,
        "internal": environment.internal,
        "created_by": None if environment.created_by is None else user_basic(environment.created_by),
        "created_at": wire_time(environment.created_at),
        "updated_at": wire_time(environment.updated_at),
    }


def detail(environment: DomainSandboxEnvironment) -> dict[str, Any]:
    """A sandbox environment by itself."""
    shown = list_item(environment) | {
        "include_default_domains": environment.include_default_domains,
        "has_environment_variables": environment.sealed_variables is not None,
        "effective_domains": list(environment.effective_domains),
    }
    return {name: shown[name] for name in SandboxEnvironment.model_fields}
