# Made from asynchronous/integrations.py by scripts/blocking-client: change that file, not this one.
"""Integrations, and the pickers of what GitHub has (contract 11.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hedgerow.client import answers
from hedgerow.client.blocking.caller import Caller
from hedgerow.client.calls import Repeat, delete, get, post
from hedgerow.client.places import TaskPlace, quoted, task_path

if TYPE_CHECKING:
    from hedgerow.client.answers.integrations import (
        GitHubBranches,
        GitHubInstallation,
        GitHubRepository,
        Integration,
        OwnIntegration,
        SlackThread,
    )
    from hedgerow.client.answers.pages import Page

_MINE = "/api/users/@me/integrations/"


class IntegrationCalls(Caller):
    """What one can ask about GitHub and other things outside."""

    def list_integrations(self) -> list[Integration]:
        """What the project is joined to."""
        return self._ask(get("integrations/"), answers.integrations.integrations_from)

    def github_repositories(
        self, integration_id: int | str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> Page[GitHubRepository]:
        """Repositories that an integration of the project reaches: one page."""
        call = get(f"{_of(integration_id)}github_repos/", search=search, limit=limit, offset=offset)
        return self._ask(call, answers.integrations.github_repositories_from)

    def refresh_github_repositories(self, integration_id: int | str) -> Page[GitHubRepository]:
        """The same after a new look at GitHub."""
        return self._ask(
            post(f"{_of(integration_id)}github_repos/refresh/", repeat=Repeat.FREELY), answers.integrations.github_repositories_from
        )

    def github_branches(
        self, integration_id: int | str, repository: str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> GitHubBranches:
        """Branches of a repository that an integration of the project reaches."""
        call = get(f"{_of(integration_id)}github_branches/", repo=repository, search=search, limit=limit, offset=offset)
        return self._ask(call, answers.integrations.github_branches_from)

    def own_github_login(self) -> str | None:
        """The name by which GitHub knows the person; None where it is not known."""
        return self._ask(get("/api/users/@me/github_login/"), lambda body: body.get("github_login") if body else None)

    def own_integrations(self) -> list[OwnIntegration]:
        """The person's own links to GitHub."""
        return self._ask(get(_MINE), answers.integrations.own_integrations_from)

    def start_github(self, *, project_id: int | None = None, connect_from: str | None = None) -> GitHubInstallation:
        """Begin to join the person to GitHub: the address at which they go on."""
        fields = {"team_id": project_id, "connect_from": connect_from}
        body = {field: value for field, value in fields.items() if value is not None}
        return self._ask(post(f"{_MINE}github/start/", body, repeat=Repeat.FREELY), answers.integrations.installation_from)

    def own_github_repositories(
        self, installation_id: int | str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> Page[GitHubRepository]:
        """Repositories that the person's own link reaches: one page."""
        call = get(f"{_mine(installation_id)}repos/", search=search, limit=limit, offset=offset)
        return self._ask(call, answers.integrations.github_repositories_from)

    def refresh_own_github_repositories(self, installation_id: int | str) -> Page[GitHubRepository]:
        """The same after a new look at GitHub."""
        return self._ask(
            post(f"{_mine(installation_id)}repos/refresh/", repeat=Repeat.FREELY), answers.integrations.github_repositories_from
        )

    def own_github_branches(
        self, installation_id: int | str, repository: str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> GitHubBranches:
        """Branches of a repository that the person's own link reaches."""
        call = get(f"{_mine(installation_id)}branches/", repo=repository, search=search, limit=limit, offset=offset)
        return self._ask(call, answers.integrations.github_branches_from)

    def feature_flags(self, key: str | None = None) -> dict[str, bool]:
        """Which feature flags of the project are on; of the one with the key alone, where one is given."""
        return self._ask(get("feature_flags/", key=key), answers.integrations.flags_from)

    def retrieve_slack_thread(self, task: TaskPlace | str) -> SlackThread:
        """The Slack thread that the runs of a task are told in. Raises ClientError with status 404 where there is none."""
        return self._ask(get(f"{task_path(task)}slack_thread/"), answers.integrations.slack_thread_from)

    def map_slack_thread(self, task: TaskPlace | str, url: str) -> SlackThread:
        """Have the runs of a task told in a Slack thread: the permalink of one of its messages."""
        return self._ask(
            post(f"{task_path(task)}slack_thread/", {"url": url}, repeat=Repeat.FREELY), answers.integrations.slack_thread_from
        )

    def unmap_slack_thread(self, task: TaskPlace | str) -> None:
        """Have the runs of a task told in no Slack thread any more."""
        self._answer(delete(f"{task_path(task)}slack_thread/"))


def _of(integration_id: int | str) -> str:
    return f"integrations/{quoted(integration_id)}/"


def _mine(installation_id: int | str) -> str:
    return f"{_MINE}github/{quoted(installation_id)}/"
