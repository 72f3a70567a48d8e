"""The folder that an agent works in: a clone that borrows its objects from the mirror.

Submodules and Git LFS are not fetched: their folders stay empty and their files stay pointers, as git leaves them without them.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories import git, skeletons
from hedgerow.repositories.failures import summary
from hedgerow.repositories.starts import Start

_FULL_BYTES = 1024 * 1024  # a disk with less room than that has none for a file that could not be written


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What was checked out. A sandbox sees `mirror` read-only under this very path."""

    base_commit: str
    base_branch: str | None  # None where the run began at another ref, or at a detached HEAD
    mirror: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Clone:
    """What a workspace is to be: where its objects are, what it calls its origin and its branch, who commits in it, whose it is."""

    mirror: Path
    origin: str
    branch: str
    author: tuple[str, str]
    owner: tuple[int, int] | None


async def fill(workspace: Path, start: Start, clone: Clone, environment: Mapping[str, str], *, timeout_seconds: float) -> None:
    """Make the existing folder `workspace` a clone with `start` checked out on a new branch, and give it all to the owner.

    Whatever the folder held goes, so that a half-made checkout is simply made again; the folder itself stays, because a sandbox may see
    it already. Raises UnavailableError where the files cannot be written.
    """
    try:
        await _fill(workspace, start, clone, environment, timeout_seconds)
    except OSError as error:
        await asyncio.to_thread(_empty, workspace)
        raise UnavailableError(f"The workspace {workspace} cannot be written: {error.strerror}.") from error
    except BaseException:
        await asyncio.shield(asyncio.to_thread(_empty, workspace))
        raise


async def _fill(workspace: Path, start: Start, clone: Clone, environment: Mapping[str, str], timeout_seconds: float) -> None:
    await asyncio.to_thread(_empty, workspace)
    _write_git_directory(workspace / ".git", start, clone)
    # Explicit, and with no configuration but ours: no filter, hook or attribute of anybody runs.
    local = {**environment, "GIT_DIR": str(workspace / ".git"), "GIT_WORK_TREE": str(workspace)}
    finished = await git.run(["reset", "--quiet", "--hard"], environment=local, directory=workspace, timeout_seconds=timeout_seconds)
    if finished.code:
        raise UnavailableError(
            f"The files of {clone.origin} could not be checked out: {await asyncio.to_thread(_why, workspace, finished.errors)}"
        )
    if clone.owner is not None:
        await asyncio.to_thread(_give, workspace, *clone.owner)


def _why(workspace: Path, errors: str) -> str:
    """What kept git from writing files: of a disk that is full it names the file only."""
    if shutil.disk_usage(workspace).free < _FULL_BYTES and "unable to write" in errors:
        return "the disk is full."
    return summary(errors)


def _empty(folder: Path) -> None:
    """Remove what a folder holds. A folder that is gone, or that nobody lets us empty, will be said by whoever writes to it next."""
    try:
        entries = list(os.scandir(folder))
    except FileNotFoundError:
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with suppress(OSError):
                Path(entry.path).unlink()


def _write_git_directory(path: Path, start: Start, clone: Clone) -> None:
    path.mkdir()
    alternates = (clone.mirror / "objects",)
    object_format = skeletons.object_format_of(start.commit)
    skeletons.write(path, _config(clone), head=f"refs/heads/{clone.branch}", object_format=object_format, alternates=alternates)
    branch = path / "refs" / "heads" / clone.branch
    branch.parent.mkdir(parents=True, exist_ok=True)
    branch.write_text(f"{start.commit}\n")
    lines = [f"{name} {ref}\n" for ref, name in sorted(start.refs.items(), key=lambda item: os.fsencode(item[0]))]
    (path / "packed-refs").write_text("# pack-refs with: sorted \n" + "".join(lines), errors="surrogateescape")
    if start.default_branch is not None and f"refs/remotes/origin/{start.default_branch}" in start.refs:
        head = path / "refs" / "remotes" / "origin" / "HEAD"
        head.parent.mkdir(parents=True)
        head.write_text(f"ref: refs/remotes/origin/{start.default_branch}\n")
    if (clone.mirror / "shallow").exists():
        shutil.copyfile(clone.mirror / "shallow", path / "shallow")


def _config(clone: Clone) -> Mapping[str, Mapping[str, str]]:
    name, email = clone.author
    return {
        "core": {"bare": "false", "filemode": "true", "logAllRefUpdates": "true"},
        'remote "origin"': {"url": clone.origin, "fetch": "+refs/heads/*:refs/remotes/origin/*"},
        "user": {"name": name, "email": email},
        "gc": {"auto": "0"},
    }


def _give(folder: Path, uid: int, gid: int) -> None:
    """Make everything in `folder`, and at last the folder itself, belong to an account. Symbolic links are given, never followed."""
    for _, folders, files, descriptor in os.fwalk(folder, follow_symlinks=False):
        for name in (*folders, *files):
            os.chown(name, uid, gid, dir_fd=descriptor, follow_symlinks=False)
    os.chown(folder, uid, gid)
