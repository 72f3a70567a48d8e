"""Integrations of a project, the GitHub pickers, the caller's own GitHub account, and feature flags (contract 11.2)."""

from typing import TypeVar
from uuid import UUID

from starlette.responses import Response

from hedgerow.api.calls import Call, CurrentCall, uuid_in_path
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.fields import LARGEST_INTEGER
from hedgerow.api.schemas.github import GitHubStart, branch_list, integration_detail, personal_integration, repository_list
from hedgerow.domain.errors import NotFoundError
from hedgerow.domain.github import GitHubBranches, GitHubRepository
from hedgerow.operations import access, github, integrations

Item = TypeVar("Item")


async def list_integrations(call: CurrentCall) -> Response:
    """The services that the project is connected with, without their secrets."""
    part = call.window
    found = await integrations.list_integrations(call.backends, call.caller, call.project)
    shown = [integration_detail(integration) for integration in found[part.offset : part.offset + part.limit]]
    return JsonResponse(page(shown, len(found), part, call.url, call.request.query_params))


async def github_repositories(call: CurrentCall) -> Response:
    """The repositories that an integration opens, by name: those whose name contains `search`."""
    found = await github.repositories_of_project(call.backends, call.caller, call.project, _integration_id(call))
    return JsonResponse(_repositories(call, found))


async def refresh_github_repositories(call: CurrentCall) -> Response:
    """Ask GitHub anew which repositories an integration opens."""
    found = await github.repositories_of_project(call.backends, call.caller, call.project, _integration_id(call), renew=True)
    return JsonResponse(_repositories(call, found))


async def github_branches(call: CurrentCall) -> Response:
    """The branches of a repository that an integration opens, by name: those whose name contains `search`."""
    repository = call.request.query_params.get("repo")
    found = await github.branches_of_project(call.backends, call.caller, call.project, _integration_id(call), repository)
    return JsonResponse(_branches(call, found))


async def own_github_login(call: CurrentCall) -> Response:
    """What the caller is called on GitHub."""
    linked = await github.own_link(call.backends, call.caller)
    return JsonResponse({"github_login": None if linked is None else linked.account.login})


async def own_integrations(call: CurrentCall) -> Response:
    """The caller's own link with GitHub, where there is one."""
    linked = await github.own_link(call.backends, call.caller)
    return JsonResponse({"results": [] if linked is None else [personal_integration(linked)]})


async def start_github(call: CurrentCall, body: GitHubStart) -> Response:
    """Where the operator's GitHub App is installed."""
    project_ref = None if body.team_id is None else str(body.team_id)
    return JsonResponse({"install_url": await github.install_url(call.backends, call.caller, project_ref)})


async def own_github_repositories(call: CurrentCall) -> Response:
    """The repositories that the caller's own link opens, by name: those whose name contains `search`."""
    return JsonResponse(_repositories(call, await github.repositories_of_person(call.backends, call.caller, _link_id(call))))


async def refresh_own_github_repositories(call: CurrentCall) -> Response:
    """Ask GitHub anew which repositories the caller's own link opens."""
    return JsonResponse(_repositories(call, await github.repositories_of_person(call.backends, call.caller, _link_id(call), renew=True)))


async def own_github_branches(call: CurrentCall) -> Response:
    """The branches of a repository that the caller's own link opens, by name: those whose name contains `search`."""
    repository = call.request.query_params.get("repo")
    return JsonResponse(_branches(call, await github.branches_of_person(call.backends, call.caller, _link_id(call), repository)))


async def feature_flags(call: CurrentCall) -> Response:
    """The feature flags that the operator has switched on; with `key`, that one alone."""
    access.person(call.caller)
    key = call.request.query_params.get("key")
    active = [flag for flag in call.backends.rules.feature_flags if key is None or flag == key.strip()]
    return JsonResponse({"results": [{"key": flag, "active": True} for flag in active]})


def _repositories(call: Call, found: list[GitHubRepository]) -> dict[str, object]:
    search = _search(call)
    shown, has_more = _part(call, [repository for repository in found if search in repository.full_name.casefold()])
    return {"repositories": repository_list(shown), "has_more": has_more}


def _branches(call: Call, found: GitHubBranches) -> dict[str, object]:
    search = _search(call)
    shown, has_more = _part(call, [name for name in found.names if search in name.casefold()])
    return branch_list(shown, has_more, found)


def _search(call: Call) -> str:
    return call.request.query_params.get("search", "").strip().casefold()


def _part(call: Call, items: list[Item]) -> tuple[list[Item], bool]:
    """The wanted part, and whether more follows."""
    part = call.window
    following = part.offset + part.limit
    return items[part.offset : following], following < len(items)


def _integration_id(call: Call) -> int:
    text = call.request.path_params["integration_id"]
    if not (text.isascii() and text.isdecimal()) or len(text) > 10 or int(text) > LARGEST_INTEGER:
        raise NotFoundError
    return int(text)


def _link_id(call: Call) -> UUID:
    return uuid_in_path(call.request.path_params["installation_id"])
