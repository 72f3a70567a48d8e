"""Integrations, the GitHub pickers and feature flags over the wire (contract 11.2)."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import Integer, RequestModel, Text
from hedgerow.domain.github import GitHubBranches, GitHubLink, GitHubRepository
from hedgerow.domain.integrations import Integration as DomainIntegration
from hedgerow.domain.journal import wire_time


class Integration(BaseModel):
    """A service that a project is connected with. Its secret is never shown."""

    id: int
    kind: str
    display_name: str
    config: dict[str, Any]
    created_at: datetime


class IntegrationPage(BaseModel):
    """A page of integrations."""

    count: int
    next: str | None
    previous: str | None
    results: list[Integration]


class PickedRepository(BaseModel):
    """A repository that may be picked."""

    id: int
    name: str
    full_name: str


class PickedRepositories(BaseModel):
    """A part of the repositories that may be picked, by name."""

    repositories: list[PickedRepository]
    has_more: bool


class PickedBranches(BaseModel):
    """A part of the branches that may be picked, by name."""

    branches: list[str]
    default_branch: str | None
    has_more: bool


class GitHubLogin(BaseModel):
    """What the caller is called on GitHub; null where no account is linked."""

    github_login: str | None


class LinkedAccount(BaseModel):
    """An account on GitHub."""

    type: str
    name: str


class PersonalIntegration(BaseModel):
    """The caller's own link with GitHub. `installation_id` is what the paths of its pickers name it by."""

    id: UUID
    kind: str
    installation_id: str
    repository_selection: str
    account: LinkedAccount
    uses_shared_installation: bool
    created_at: datetime


class PersonalIntegrations(BaseModel):
    """The caller's own links: one, or none."""

    results: list[PersonalIntegration]


class GitHubStart(RequestModel):
    """The body that asks for the way to GitHub."""

    team_id: Integer | None = Field(None, description="The project that it is for.")
    connect_from: Text | None = None


class InstallAddress(BaseModel):
    """Where the operator's GitHub App is installed."""

    install_url: str


class FeatureFlag(BaseModel):
    """A feature flag."""

    key: str
    active: bool


class FeatureFlags(BaseModel):
    """The flags that are on."""

    results: list[FeatureFlag]


def integration_detail(integration: DomainIntegration) -> dict[str, Any]:
    """An integration as the API shows it."""
    return {
        "id": integration.id,
        "kind": integration.kind.value,
        "display_name": integration.display_name,
        "config": integration.config,
        "created_at": wire_time(integration.created_at),
    }


def repository_list(repositories: list[GitHubRepository]) -> list[dict[str, Any]]:
    """Repositories as the pickers show them."""
    return [{"id": one.id, "name": one.name, "full_name": one.full_name} for one in repositories]


def branch_list(branches: list[str], has_more: bool, found: GitHubBranches) -> dict[str, Any]:
    """Branches as the pickers show them."""
    return {"branches": branches, "default_branch": found.default, "has_more": has_more}


def personal_integration(link: GitHubLink) -> dict[str, Any]:
    """A link as the API shows it. Which repositories a token opens is GitHub's to say: it may be some of them."""
    return {
        "id": str(link.id),
        "kind": "github",
        "installation_id": str(link.id),
        "repository_selection": "selected",
        "account": {"type": link.account.type, "name": link.account.login},
        "uses_shared_installation": False,
        "created_at": wire_time(link.created_at),
    }
