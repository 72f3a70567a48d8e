"""Which clone URL a repository's name stands for (contract 13.4)."""

import hashlib
import re
from pathlib import PurePosixPath
from urllib.parse import unquote, urlsplit

from hedgerow.db import repositories
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.repositories import Repository
from hedgerow.domain.tasks import normal_repository
from hedgerow.operations import access
from hedgerow.operations.backends import Backends

_LOCAL = "local/"
_SCHEMES = frozenset({"https", "http", "ssh", "git"})
_SCP_LIKE = re.compile(r"[A-Za-z0-9._-]+@[A-Za-z0-9.-]+:[^\s]+")


async def register(
    backends: Backends, caller: Caller, project: Project, *, name: str | None, clone_url: str, setup_command: str | None = None
) -> Repository:
    """Register where a repository is cloned from; the same name again replaces its URL.

    A path of this machine is registered as `local/<folder>-<hash>`, whatever `name` says, where the operator allows that.
    Raises InvalidError naming `name` or `clone_url`.
    """
    user = access.person(caller).user
    url = clone_url.strip()
    path = _local_path(url)
    its_name = _remote_name(name, url) if path is None else _local_name(backends, path)
    now = backends.clock.now()
    repository = Repository(
        id=uuid7(int(now.timestamp() * 1000)),
        project_id=project.id,
        name=its_name,
        clone_url=url if path is None else str(path),
        setup_command=setup_command or None,
        created_at=now,
    )
    async with backends.database.statement() as tx:
        return await repositories.put(tx, repository, user.id)


def _local_path(url: str) -> PurePosixPath | None:
    """The path that a URL stands for; None for one of another machine."""
    if url.startswith("file://"):
        return PurePosixPath(unquote(urlsplit(url).path))
    return PurePosixPath(url) if url.startswith("/") else None


def _local_name(backends: Backends, path: PurePosixPath) -> str:
    if not backends.rules.allow_local_repositories:
        message = "Repositories of the server's own machine are not allowed here (HEDGEROW_ALLOW_LOCAL_REPOSITORIES)."
        raise InvalidError(message, attr="clone_url", detail_code="invalid_input")
    if ".." in path.parts or "\x00" in str(path):
        raise _bad_url("it must be a plain absolute path")
    folder = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).strip("-") or "repository"
    return f"{_LOCAL}{folder[:100]}-{hashlib.sha256(str(path).encode('utf-8', 'replace')).hexdigest()[:8]}"


def _remote_name(name: str | None, url: str) -> str:
    _check_url(url)
    try:
        normal = normal_repository(name or "")
    except ValueError as problem:
        raise InvalidError(str(problem), attr="name", detail_code="invalid_input") from problem
    if normal is None:
        raise InvalidError("A repository needs a name such as organisation/repository.", attr="name", detail_code="required")
    if normal.startswith(_LOCAL):
        raise InvalidError("Names that begin with local/ are given to paths of this machine.", attr="name", detail_code="invalid_input")
    return normal


def _check_url(url: str) -> None:
    """Raise InvalidError for what git would take as an option, a command or a secret."""
    if not url:
        raise InvalidError("This field may not be blank.", attr="clone_url", detail_code="blank")
    if any(character.isspace() or ord(character) < 32 for character in url) or len(url) > 2000:
        raise _bad_url("it holds white space or is too long")
    if _SCP_LIKE.fullmatch(url):
        return
    try:
        parts = urlsplit(url)
    except ValueError as problem:
        raise _bad_url("it cannot be read") from problem
    if parts.scheme not in _SCHEMES or not parts.hostname or parts.hostname.startswith("-"):
        raise _bad_url("use https://, ssh://, git@host:path, or an absolute path")
    if parts.password is not None or (parts.username is not None and parts.scheme in {"http", "https"}):
        raise _bad_url("credentials belong into git's credential store, not into the URL")


def _bad_url(reason: str) -> InvalidError:
    return InvalidError(f"This clone_url cannot be used: {reason}.", attr="clone_url", detail_code="invalid_input")


def is_local(name: str) -> bool:
    """Whether a name can only stand for a path of this machine: unless it is registered, nothing leads there."""
    return name.startswith(_LOCAL)


async def list_repositories(backends: Backends, caller: Caller, project: Project) -> list[Repository]:
    """The project's registered repositories by name."""
    access.person(caller)
    async with backends.database.statement() as tx:
        return await repositories.of_project(tx, project.id)


async def resolve(backends: Backends, project_id: int, name: str) -> str:
    """The clone URL of a repository: the registered one, else the name under the git base URL. Raises NotFoundError for `local/…`."""
    async with backends.database.statement() as tx:
        registered = await repositories.find(tx, project_id, name)
    if registered is not None:
        return registered.clone_url
    if name.startswith(_LOCAL):
        raise NotFoundError(f"The repository {name} is not registered in this project.")
    return f"{backends.rules.git_base_url.rstrip('/')}/{name}"
