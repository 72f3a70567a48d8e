"""Integrations of a project and of a person, and what they can reach (contract 11.2)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hedgerow.client.answers.pages import Page
from hedgerow.client.answers.reading import mapping, texts


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """Something outside that a project is joined to, such as GitHub."""

    id: str
    kind: str
    display_name: str
    config: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnIntegration:
    """A person's own link to GitHub."""

    id: str
    kind: str
    installation_id: str
    repository_selection: str | None
    account: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class GitHubInstallation:
    """Where a person goes on with the installation of the GitHub app."""

    install_url: str
    connect_flow: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubRepository:
    """A repository that an integration reaches."""

    id: int
    name: str
    full_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GitHubBranches:
    """Some branches of a repository."""

    names: tuple[str, ...]
    default_branch: str | None
    has_more: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SlackThread:
    """The Slack thread that the runs of a task are told in."""

    url: str
    channel: str
    thread_ts: str


def integration_from(body: Mapping[str, Any]) -> Integration:
    """An integration of a project from its JSON object."""
    name = body.get("display_name") or ""
    return Integration(id=str(body["id"]), kind=body["kind"], display_name=name, config=mapping(body.get("config")), raw=body)


def integrations_from(body: Mapping[str, Any]) -> list[Integration]:
    """The integrations of a project."""
    return [integration_from(item) for item in body["results"]]


def own_integrations_from(body: Mapping[str, Any]) -> list[OwnIntegration]:
    """A person's own integrations."""
    return [_own_integration(item) for item in body["results"]]


def _own_integration(body: Mapping[str, Any]) -> OwnIntegration:
    return OwnIntegration(
        id=str(body["id"]),
        kind=body["kind"],
        installation_id=str(body.get("installation_id") or ""),
        repository_selection=body.get("repository_selection"),
        account=mapping(body.get("account")),
        raw=body,
    )


def installation_from(body: Mapping[str, Any]) -> GitHubInstallation:
    """Where to install the GitHub app."""
    return GitHubInstallation(body["install_url"], body.get("connect_flow"))


def github_repositories_from(body: Mapping[str, Any]) -> Page[GitHubRepository]:
    """A page of repositories; the whole number is not told, so `total_count` is that of the page."""
    items = tuple(GitHubRepository(id=item["id"], name=item["name"], full_name=item["full_name"]) for item in body["repositories"])
    return Page(items, len(items), bool(body.get("has_more")))


def github_branches_from(body: Mapping[str, Any]) -> GitHubBranches:
    """Some branches of a repository."""
    return GitHubBranches(names=texts(body["branches"]), default_branch=body.get("default_branch"), has_more=bool(body.get("has_more")))


def flags_from(body: Mapping[str, Any]) -> dict[str, bool]:
    """Feature flags by their keys."""
    return {item["key"]: bool(item["active"]) for item in body["results"]}


def slack_thread_from(body: Mapping[str, Any]) -> SlackThread:
    """A mapped thread from its JSON object."""
    return SlackThread(url=body["url"], channel=body["channel"], thread_ts=body["thread_ts"])
