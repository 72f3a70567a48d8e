"""What every kind of sandbox does before it starts one."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import SandboxSpec

LABEL = "HEDGEROW_SANDBOX_LABEL"  # in the environment of a sandbox's first process: whose it is, and its name
MARK = "HEDGEROW_SANDBOX"  # in the environment of every process of a sandbox without walls, so that strays are found
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def require_usable(spec: SandboxSpec) -> None:
    """Raise UnavailableError, naming what is wrong, where a specification can't become a sandbox on this machine."""
    if not spec.command:
        raise UnavailableError("A sandbox needs a command to live for, and none was given.")
    for path in (spec.working_directory, *(mount.path for mount in spec.mounts)):
        _require_folder(path)


def environment(spec: SandboxSpec) -> dict[str, str]:
    """The whole environment of a sandbox: nothing of the present process goes into it."""
    return {"PATH": SEARCH_PATH, "LANG": "C.UTF-8", **spec.environment, "HOME": str(spec.home)}


def label(spec: SandboxSpec) -> dict[str, str]:
    """What goes into the environment of a sandbox's first process, so that its owner finds it again."""
    return {} if spec.owner is None else {LABEL: f"{spec.owner} {spec.name}"}


def name_of(label: str, owner: str) -> str | None:
    """The name in a label, where the sandbox is that owner's."""
    whose, _, name = label.partition(" ")
    return name if whose == owner and name else None


@contextlib.contextmanager
def open_log(path: Path | None) -> Iterator[int]:
    """The file that takes a sandbox's output, opened for appending. A link in its place is not followed. Raises UnavailableError."""
    flags = os.O_WRONLY if path is None else os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    try:
        descriptor = os.open(path or os.devnull, flags | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UnavailableError(f"The log file {path} of the sandbox cannot be opened: {error.strerror}.") from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _require_folder(path: Path) -> None:
    if not path.is_absolute() or ".." in path.parts:
        raise UnavailableError(f"The folder {path} of a sandbox must be given as an absolute path without '..'.")
    if not path.is_dir():
        raise UnavailableError(f"The folder {path} that the sandbox needs does not exist.")
