"""The folder that a one-shot sandbox leaves its result in. Whatever ran there wrote it, so nothing in it is taken on trust."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hedgerow.domain.errors import InvalidError

_MARKER_LIMIT = 256
_BLOCK_BYTES = 2**20


@contextmanager
def opened(folder: Path) -> Iterator[int]:
    """The descriptor of a result folder. Raises OSError where there is none, or a link in its place."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def marker(folder: int, name: str, limit: int = _MARKER_LIMIT) -> str | None:
    """The first `limit` bytes of a short file as text; None where there is none. Raises InvalidError for anything but a plain file."""
    descriptor = _open_plain(folder, name)
    if descriptor is None:
        return None
    with os.fdopen(descriptor, "rb") as file:
        return file.read(limit).decode(errors="replace").strip()


def copy(folder: int, name: str, target: Path, max_bytes: int) -> int | None:
    """Copy a file to the new file `target`; how many bytes it has, and None where there is none.

    Raises InvalidError for anything but a plain file of at most `max_bytes`, OSError where it can't be read or written.
    """
    descriptor = _open_plain(folder, name)
    if descriptor is None:
        return None
    copied = 0
    with os.fdopen(descriptor, "rb") as source, target.open("xb") as copy_file:
        while block := source.read(_BLOCK_BYTES):
            copied += len(block)
            if copied > max_bytes:
                raise InvalidError(f"The agent's work is larger than {max_bytes // 2**20} MiB, the most that is taken over.")
            copy_file.write(block)
    return copied


def _open_plain(folder: int, name: str) -> int | None:
    """Open a file of the result folder: an ordinary one, no symbolic link, no pipe, no second name of a file elsewhere."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return None
    except OSError:
        raise InvalidError(f"The file {name} of the result folder is not an ordinary file.") from None
    facts = os.fstat(descriptor)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(descriptor)
        raise InvalidError(f"The file {name} of the result folder is not an ordinary file.")
    return descriptor
