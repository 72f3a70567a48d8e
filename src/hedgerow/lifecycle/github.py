"""What a run uses of its credentials for GitHub: git outside the sandbox, the agent inside it, and the author of commits."""

from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.node import Node
from hedgerow.operations import authorship
from hedgerow.operations.authorship import Credentials
from hedgerow.repositories import Login, parse_clone_url

_USERNAME = "x-access-token"
"""The user name that GitHub expects beside a token, of whatever kind."""


async def git_login(node: Node, run: TaskRun, clone_url: str) -> Login | None:
    """What opens the run's repository, where that lies on GitHub. Raises HedgerowError where a token can't be had."""
    return await _login(node, await authorship.credentials_of(node.backends, run)) if _is_on_github(node, clone_url) else None


async def project_login(node: Node, project_id: int, clone_url: str) -> Login | None:
    """As `git_login`, for what no run does: with the project's own integration."""
    return (
        await _login(node, await authorship.credentials_of_project(node.backends, project_id)) if _is_on_github(node, clone_url) else None
    )


def _is_on_github(node: Node, clone_url: str) -> bool:
    """Whether a repository lies on GitHub, and its URL brings no secret of its own."""
    url = parse_clone_url(clone_url, allow_local=True)
    return not url.secrets and url.clean.startswith(f"{node.backends.rules.github.url}/")


async def _login(node: Node, credentials: Credentials | None) -> Login | None:
    if credentials is None:
        return None
    password = await authorship.token_of(node.backends, credentials)
    return Login(place=node.backends.rules.github.url, username=_USERNAME, password=password)


async def commit_author(node: Node, run: TaskRun) -> tuple[str, str] | None:
    """Name and mail address of the person whose commits the run makes; None where they are hedgerow's."""
    if run.state.get("pr_authorship_mode") != "user":
        return None
    credentials = await authorship.credentials_of(node.backends, run)
    return None if credentials is None else await authorship.author_of(node.backends, credentials)


async def agent_environment(node: Node, run: TaskRun) -> dict[str, str]:
    """The variables by which the agent's own tools know GitHub. Their names tell the agent server to mask what they hold.

    Raises HedgerowError where a token can't be had.
    """
    credentials = await authorship.credentials_of(node.backends, run) if authorship.agent_gets_token(run) else None
    if credentials is None:
        return {}
    token = await authorship.token_of(node.backends, credentials)
    return {"GITHUB_TOKEN": token, "GH_TOKEN": token}
