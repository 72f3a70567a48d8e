"""Folders that the sandbox account can't walk to, such as those in a data directory of mode 0700.

Bubblewrap runs as the sandbox account, so it must be able to reach what it mounts. Rather than opening folders to everybody, root
binds such folders to a place of their own in a mount namespace that only this one sandbox comes from. Outside nothing changes.
"""

import os
import stat
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import Mount

_PLACES = ("/mnt", "/media", "/srv", "/opt", "/run")

_SCRIPT = """
set -e
stage=$1 count=$2; shift 2
mount -t tmpfs -o mode=0711,nosuid,nodev,size=64k hedgerow "$stage"
number=0
while [ "$number" -lt "$count" ]; do
    mkdir "$stage/$number"
    mount --rbind "$1" "$stage/$number"
    shift
    number=$((number + 1))
done
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Staging:
    """What runs before bwrap, and where bwrap then finds the folders that it could not reach."""

    command: tuple[str, ...] = ()
    sources: tuple[tuple[Path, Path], ...] = ()


def stage(mounts: Sequence[Mount], account: tuple[int, int]) -> Staging:
    """Plan the staging of those folders that an account can't reach: nothing where it reaches all. Raises UnavailableError."""
    hidden = [mount.path for mount in mounts if not _reachable(mount.path, account)]
    if not hidden:
        return Staging()
    place = _place(mounts)
    bound = _bound(hidden, account)
    folders = list(dict.fromkeys(bound.values()))
    staged = {folder: place / str(number) for number, folder in enumerate(folders)}
    sources = tuple((path, staged[folder] / path.relative_to(folder)) for path, folder in bound.items())
    command = ("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", _SCRIPT, "sh", str(place), str(len(folders)))
    return Staging((*command, *map(str, folders)), sources)


def _bound(hidden: Sequence[Path], account: tuple[int, int]) -> dict[Path, Path]:
    """What is bound for each of these folders: several of one parent come with that, since each binding is a program to start."""
    siblings = Counter(path.parent for path in hidden if not path.is_symlink())
    shared = {parent for parent, count in siblings.items() if count > 1 and _may_enter(parent.stat(), account)}
    return {path: path.parent if path.parent in shared and not path.is_symlink() else path for path in hidden}


def _place(mounts: Sequence[Mount]) -> Path:
    """An existing folder that neither holds a mount nor lies in one: it is covered for this sandbox alone."""
    for place in map(Path, _PLACES):
        clash = any(mount.path.is_relative_to(place) or place.is_relative_to(mount.path) for mount in mounts)
        if not clash and place.is_dir() and not place.is_symlink():
            return place
    raise UnavailableError(f"The sandbox account cannot enter the data directory, and none of {', '.join(_PLACES)} is free to mount it at.")


def _reachable(path: Path, account: tuple[int, int]) -> bool:
    """Whether the mode of every folder on the way lets the account in; access lists are not looked at, which only stages more."""
    real = path.resolve()
    return all(_may_enter(folder.stat(), account) for folder in (real, *real.parents))


def _may_enter(found: os.stat_result, account: tuple[int, int]) -> bool:
    uid, gid = account
    if found.st_uid == uid:
        return bool(found.st_mode & stat.S_IXUSR)
    return bool(found.st_mode & (stat.S_IXGRP if found.st_gid == gid else stat.S_IXOTH))
