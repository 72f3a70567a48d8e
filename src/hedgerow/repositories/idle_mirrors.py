"""Mirrors that nobody has needed for long: found by their age, and removed under their lock."""

import asyncio
import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories.locks import locked
from hedgerow.repositories.plumbing import Plumbing

GOING = ".going-"
"""What begins the name of a folder that is being removed."""

_FOLDER = re.compile(r"[0-9a-f]{32}")
_RESULTS = "refs/hedgerow/results/"
_MOST_ALTERNATES_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class FoundMirror:
    """A mirror, and when it was last brought up to date or written to."""

    path: Path
    used_at: datetime


def found(root: Path) -> list[FoundMirror]:
    """Every mirror below `root`."""
    folders = [folder for project in _folders(root) if project.name.isdigit() for folder in _folders(project)]
    mirrors = [folder / "mirror.git" for folder in folders if _FOLDER.fullmatch(folder.name)]
    return [FoundMirror(mirror, used) for mirror in mirrors if (used := used_at(mirror)) is not None]


def remains(root: Path) -> list[Path]:
    """What removals that were cut off have left below `root`."""
    return [folder for project in _folders(root) for folder in _folders(project) if folder.name.startswith(GOING)]


def used_at(mirror: Path) -> datetime | None:
    """When a mirror was last used; None where there is none. Its lock's file bears the time of the last use."""
    with suppress(FileNotFoundError, NotADirectoryError):
        times = [mirror.stat().st_mtime]
        with suppress(FileNotFoundError):
            times.append(mirror.parent.with_suffix(".lock").stat().st_mtime)
        return datetime.fromtimestamp(max(times), UTC)
    return None


async def results(plumbing: Plumbing, mirror: Path) -> set[UUID]:
    """The runs whose results a mirror holds. Raises UnavailableError where it cannot be read, or holds one that is no run's."""
    names = {ref.removeprefix(_RESULTS).partition("/")[0] for ref in await plumbing.refs(mirror, _RESULTS)}
    try:
        return {UUID(hex=name) for name in names}
    except ValueError as problem:
        raise UnavailableError("It holds a result that is of no run.") from problem


async def remove(mirror: Path, may_go: Callable[[], Awaitable[bool]]) -> bool:
    """Remove a mirror unless `may_go`, asked under its lock, says otherwise. Safe to repeat; what is cut off is found by `remains`."""
    async with locked(mirror.parent.with_suffix(".lock")):
        if used_at(mirror) is None or not await may_go():
            return False
        going = mirror.parent.with_name(f"{GOING}{uuid4().hex}")
        mirror.parent.rename(going)
    await asyncio.to_thread(shutil.rmtree, going, ignore_errors=True)
    return True


def borrowed(workspace: Path) -> set[Path]:
    """The mirrors that a workspace says it borrows objects from. An agent may have written that file: it is read with care."""
    try:
        descriptor = os.open(workspace / ".git" / "objects" / "info" / "alternates", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return set()
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return set()
        lines = file.read(_MOST_ALTERNATES_BYTES).decode(errors="surrogateescape").splitlines()
    return {Path(line).parent for line in lines if line.startswith("/") and "\0" not in line}


def _folders(folder: Path) -> Iterator[Path]:
    with suppress(FileNotFoundError, NotADirectoryError):
        for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield Path(entry.path)
