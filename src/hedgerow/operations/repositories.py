"""Which clone URL a repository's name stands for (contract 13.4)."""

import hashlib
import re
from pathlib import Path

from hedgerow.db import repositories
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.repositories import Repository
from hedgerow.domain.tasks import normal_repository
from hedgerow.operations import access, audit
from hedgerow.operations.backends import Backends
from hedgerow.repositories.urls import CloneUrl, Transport, parse_clone_url

_LOCAL = "local/"
_LONGEST_URL = 2000


async def register(
    backends: Backends, caller: Caller, project: Project, *, name: str | None, clone_url: str, setup_command: str | None = None
) -> Repository:
    """Register where a repository is cloned from; the same name again replaces its URL.

    A path of this machine is registered as `local/<folder>-<hash>`, whatever `name` says, where the operator allows that.
    Raises InvalidError naming `name` or `clone_url`.
    """
    user = access.person(caller).user
    url = clone_url.strip()
    parsed = _parsed(backends, url)
    is_local_path = parsed.transport is Transport.LOCAL
    now = backends.clock.now()
    repository = Repository(
        id=uuid7(int(now.timestamp() * 1000)),
        project_id=project.id,
        name=_local_name(parsed.path) if is_local_path else _remote_name(name),
        clone_url=parsed.clean if is_local_path else url,
        setup_command=setup_command or None,
        created_at=now,
    )
    async with backends.database.transaction() as tx:
        stored = await repositories.put(tx, repository, user.id)
        await audit.note(backends, tx, caller, AuditAction.REPOSITORY_REGISTER, project_id=project.id, subject=stored.id)
        return stored


def _parsed(backends: Backends, url: str) -> CloneUrl:
    """A clone URL without secrets. Raises InvalidError for what git would take as an option or a command, too."""
    if not url:
        raise InvalidError("This field may not be blank.", attr="clone_url", detail_code="blank")
    if len(url) > _LONGEST_URL:
        raise InvalidError(f"A clone URL has at most {_LONGEST_URL} characters.", attr="clone_url", detail_code="max_length")
    parsed = parse_clone_url(url, allow_local=backends.rules.allow_local_repositories)
    if parsed.secrets:
        raise InvalidError("Credentials belong into git's credential store, not into the clone URL.", attr="clone_url")
    return parsed


def _local_name(path: Path) -> str:
    folder = re.sub(r"[^a-z0-9._-]+", "-", path.name.lower()).strip("-") or "repository"
    return f"{_LOCAL}{folder[:100]}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"


def _remote_name(name: str | None) -> str:
    try:
        normal = normal_repository(name or "")
    except ValueError as problem:
        raise InvalidError(str(problem), attr="name", detail_code="invalid_input") from problem
    if normal is None:
        raise InvalidError("A repository needs a name such as organisation/repository.", attr="name", detail_code="required")
    if normal.startswith(_LOCAL):
        raise InvalidError("Names that begin with local/ are given to paths of this machine.", attr="name", detail_code="invalid_input")
    return normal


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
