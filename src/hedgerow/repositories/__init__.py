"""git as the server uses it: mirrors of repositories, workspaces made from them, and results brought back.

Everything here runs outside of sandboxes with the operator's credentials, except the commands that `Repositories.collect_command`, `Taking`
and `Restoring` give.
git never runs here on anything that an agent could have written, but for the bundle of its result, which is opened in a quarantine.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from uuid import UUID

from hedgerow.domain.errors import InvalidError
from hedgerow.domain.repository_scans import Scan
from hedgerow.repositories import checkpoints, git, idle_mirrors
from hedgerow.repositories.checkpoints import Restoring, Taking
from hedgerow.repositories.credentials import Login
from hedgerow.repositories.idle_mirrors import FoundMirror
from hedgerow.repositories.mirrors import Mirrors
from hedgerow.repositories.names import branch_name, full_ref
from hedgerow.repositories.origins import Origins
from hedgerow.repositories.plumbing import Plumbing
from hedgerow.repositories.publishing import Allowed, Published, Publisher, Result, always
from hedgerow.repositories.results import Collection, collect_command
from hedgerow.repositories.scans import ScanLimits, scan
from hedgerow.repositories.urls import CloneUrl, mask, parse_clone_url
from hedgerow.repositories.workspaces import Checkout, Clone, fill

__all__ = [
    "Checkout",
    "CloneUrl",
    "Login",
    "Published",
    "Repositories",
    "Restoring",
    "ScanLimits",
    "Taking",
    "mask",
    "parse_clone_url",
]

_NETWORK_PROTOCOLS = ("https", "http", "ssh", "git")


class Repositories:
    """The repositories that this machine works on."""

    def __init__(
        self,
        mirrors: Path,
        *,
        allow_local: bool,
        author: tuple[str, str] = ("hedgerow", "hedgerow@localhost"),
        network_timeout_seconds: float = 3600,
        local_timeout_seconds: float = 1800,
        max_result_bytes: int = 2 * 2**30,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`mirrors` is the folder for them. `author` (name, mail) signs what agents leave uncommitted. `environment` is the operator's."""
        protocols = (*_NETWORK_PROTOCOLS, "file") if allow_local else _NETWORK_PROTOCOLS
        both = git.environments(os.environ if environment is None else environment, protocols=protocols)
        self._allow_local = allow_local
        self._author = author
        self._max_result_bytes = max_result_bytes
        self._plumbing = Plumbing(environment=both.sealed, timeout_seconds=local_timeout_seconds)
        origins = Origins(environment=both.operator, timeout_seconds=network_timeout_seconds)
        self._root = mirrors.resolve()
        self._mirrors = Mirrors(self._root, origins, self._plumbing)
        self._publisher = Publisher(mirrors=self._mirrors, origins=origins, plumbing=self._plumbing)

    def mirrors(self) -> list[FoundMirror]:
        """Every mirror of this machine, with the time of its last use."""
        return idle_mirrors.found(self._root)

    def remains(self) -> list[Path]:
        """What removals of mirrors that were cut off have left."""
        return idle_mirrors.remains(self._root)

    async def results(self, mirror: Path) -> set[UUID]:
        """The runs whose results a mirror holds. Raises UnavailableError where it cannot be read."""
        return await idle_mirrors.results(self._plumbing, mirror)

    def mirror(self, *, project_id: int, clone_url: str) -> Path:
        """Where the mirror of a repository lies, whether it exists yet or not. Raises InvalidError.

        A sandbox must see it read-only. Its folder holds nothing else, and can be made and mounted before the mirror is.
        """
        return self._mirrors.path(project_id, self._url(clone_url))

    async def check_out(
        self,
        *,
        project_id: int,
        clone_url: str,
        base: str | None,
        branch: str,
        workspace: Path,
        owner: tuple[int, int] | None,
        login: Login | None = None,
        author: tuple[str, str] | None = None,
    ) -> Checkout:
        """Fill the existing folder `workspace` with a clone of the repository, checked out at `base` on the new branch `branch`.

        `base` is the name of a branch or a full ref (refs/…), None for the default branch. The clone borrows its objects from the
        mirror, belongs to `owner` (uid, gid; None: this account), and holds no secret of the URL. `login` opens repositories of its
        place whose URL has no password; `author` (name, mail) is whose commits they are, None for hedgerow's. Submodules and Git LFS
        files are not fetched. Repeating it makes the workspace anew. Raises InvalidError where URL, branch or repository are not right,
        UnavailableError where the origin cannot be reached or a disk not be written. When it fails or is cancelled no process runs on.
        """
        url = self._url(clone_url, login)
        name = branch_name(branch)
        mirror = self._mirrors.path(project_id, url)
        start = await self._mirrors.start(mirror, url, full_ref(base) if base else None)
        clone = Clone(mirror=mirror, origin=url.clean, branch=name, author=author or self._author, owner=owner)
        await fill(workspace, start, clone, self._plumbing.environment, timeout_seconds=self._plumbing.timeout_seconds)
        return Checkout(base_commit=start.commit, base_branch=start.branch, mirror=mirror)

    def collect_command(
        self, *, workspace: Path, result: Path, mirror: Path, base_commit: str, message: str, author: tuple[str, str] | None = None
    ) -> tuple[str, ...]:
        """The command with which a one-shot sandbox collects the agent's work (see `results.collect_command`)."""
        collection = Collection(
            workspace=workspace, result=result, mirror=mirror, base_commit=base_commit, message=message, author=author or self._author
        )
        return collect_command(collection)

    async def publish(
        self,
        *,
        project_id: int,
        clone_url: str,
        result: Path,
        branch: str,
        run_id: UUID,
        base_commit: str,
        login: Login | None = None,
        allowed: Allowed = always,
    ) -> Published | None:
        """Bring what was collected in `result` into the mirror and push it to the origin as `branch`, or as a distinct name of it.

        None: the agent has changed nothing. `login` as in `check_out`. `allowed` is awaited right before each push, and what it raises is
        passed on: nothing is pushed then. Safe to repeat after a crash: the run keeps its branch. Raises
        InvalidError where `result` holds no sound result, and UnavailableError where it holds none at all or the mirror fails; a
        refused push is no error.
        """
        url = self._url(clone_url, login)
        wanted = Result(folder=result, branch=branch_name(branch), run_id=run_id, base_commit=base_commit, max_bytes=self._max_result_bytes)
        return await self._publisher.publish(self._mirrors.path(project_id, url), url, wanted, allowed)

    def clean_url(self, clone_url: str) -> str:
        """The address of a repository without anything secret. Raises InvalidError."""
        return self._url(clone_url).clean

    async def read_taken(self, taking: Taking, target: Path) -> checkpoints.Files | None:
        """What the command of a checkpoint has left (see `checkpoints.read_taken`)."""
        return await checkpoints.read_taken(taking, target)

    async def read_restored(self, restoring: Restoring, mirror: Path) -> str:
        """The commit that restored work began at, which is one of the mirror's. Raises InvalidError, UnavailableError."""
        base = await checkpoints.read_restored(restoring)
        if (await self._plumbing.run(mirror, "cat-file", "-e", f"{base}^{{commit}}")).code:
            raise InvalidError("It does not apply: the commit that it was made upon is not in the repository.")
        return base

    async def fetch_default_branch(self, *, project_id: int, clone_url: str, login: Login | None = None) -> str:
        """Bring the mirror up to date, making it where it is missing; the last commit of the origin's default branch.

        `login` as in `check_out`. Raises InvalidError where URL or repository are not right, UnavailableError where the origin cannot be
        reached.
        """
        url = self._url(clone_url, login)
        start = await self._mirrors.start(self._mirrors.path(project_id, url), url, None)
        return start.commit

    async def scan(self, *, project_id: int, clone_url: str, commit: str, limits: ScanLimits) -> Scan:
        """What the source files of a commit say, as the mirror holds it. Raises UnavailableError."""
        return await scan(self._plumbing, self._mirrors.path(project_id, self._url(clone_url)), commit, limits)

    def _url(self, text: str, login: Login | None = None) -> CloneUrl:
        url = parse_clone_url(text, allow_local=self._allow_local)
        return url if login is None else login.lent_to(url)
