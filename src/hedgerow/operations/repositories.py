"""Which clone URL a repository's name stands for (contract 13.4)."""

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.repositories import Repository
from hedgerow.operations.backends import Backends


async def register(
    backends: Backends, caller: Caller, project: Project, *, name: str | None, clone_url: str, setup_command: str | None = None
) -> Repository:
    """Register where a repository is cloned from; the same name again replaces its URL.

    A path of this machine is registered as `local/<folder>-<hash>`, whatever `name` says, where the operator allows that.
    Raises InvalidError naming `name` or `clone_url`.
    """
    raise NotImplementedError


async def list_repositories(backends: Backends, caller: Caller, project: Project) -> list[Repository]:
    """The project's registered repositories by name."""
    raise NotImplementedError


async def resolve(backends: Backends, project_id: int, name: str) -> str:
    """The clone URL of a repository: the registered one, else the name under the git base URL. Raises NotFoundError for `local/…`."""
    raise NotImplementedError
