"""Integrations, and the pickers of what GitHub has (contract 11.2)."""

from hedgerow.client.answers.integrations import (
    GitHubBranches,
    GitHubInstallation,
    GitHubRepository,
    Integration,
    UserIntegration,
    github_branches_from,
    github_repositories_from,
    installation_from,
    integrations_from,
    user_integrations_from,
)
from hedgerow.client.answers.pages import Page
from hedgerow.client.asynchronous.caller import Caller
from hedgerow.client.calls import Repeat, get, post
from hedgerow.client.places import quoted

_MINE = "/api/users/@me/integrations/"


class IntegrationCalls(Caller):
    """What one can ask about GitHub and other things outside."""

    async def list_integrations(self) -> list[Integration]:
        """What the project is joined to."""
        return await self._ask(get("integrations/"), integrations_from)

    async def github_repositories(
        self, integration_id: int | str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> Page[GitHubRepository]:
        """Repositories that an integration of the project reaches: one page."""
        call = get(f"{_of(integration_id)}github_repos/", search=search, limit=limit, offset=offset)
        return await self._ask(call, github_repositories_from)

    async def refresh_github_repositories(self, integration_id: int | str) -> Page[GitHubRepository]:
        """The same after a new look at GitHub."""
        return await self._ask(post(f"{_of(integration_id)}github_repos/refresh/", repeat=Repeat.FREELY), github_repositories_from)

    async def github_branches(
        self, integration_id: int | str, repository: str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> GitHubBranches:
        """Branches of a repository that an integration of the project reaches."""
        call = get(f"{_of(integration_id)}github_branches/", repo=repository, search=search, limit=limit, offset=offset)
        return await self._ask(call, github_branches_from)

    async def github_login(self) -> str | None:
        """The name by which GitHub knows the person; None where it is not known."""
        return await self._ask(get("/api/users/@me/github_login/"), lambda body: body.get("github_login") if body else None)

    async def list_user_integrations(self) -> list[UserIntegration]:
        """The person's own links to GitHub."""
        return await self._ask(get(_MINE), user_integrations_from)

    async def start_github_installation(self, *, project_id: int | None = None, connect_from: str | None = None) -> GitHubInstallation:
        """Begin to join the person to GitHub: the address at which they go on."""
        fields = {"team_id": project_id, "connect_from": connect_from}
        body = {field: value for field, value in fields.items() if value is not None}
        return await self._ask(post(f"{_MINE}github/start/", body, repeat=Repeat.FREELY), installation_from)

    async def user_github_repositories(
        self, installation_id: int | str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> Page[GitHubRepository]:
        """Repositories that the person's own link reaches: one page."""
        call = get(f"{_mine(installation_id)}repos/", search=search, limit=limit, offset=offset)
        return await self._ask(call, github_repositories_from)

    async def refresh_user_github_repositories(self, installation_id: int | str) -> Page[GitHubRepository]:
        """The same after a new look at GitHub."""
        return await self._ask(post(f"{_mine(installation_id)}repos/refresh/", repeat=Repeat.FREELY), github_repositories_from)

    async def user_github_branches(
        self, installation_id: int | str, repository: str, *, search: str | None = None, limit: int | None = None, offset: int | None = None
    ) -> GitHubBranches:
        """Branches of a repository that the person's own link reaches."""
        call = get(f"{_mine(installation_id)}branches/", repo=repository, search=search, limit=limit, offset=offset)
        return await self._ask(call, github_branches_from)


def _of(integration_id: int | str) -> str:
    return f"integrations/{quoted(integration_id)}/"


def _mine(installation_id: int | str) -> str:
    return f"{_MINE}github/{quoted(installation_id)}/"
