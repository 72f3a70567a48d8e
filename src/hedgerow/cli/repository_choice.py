"""What `--repo` means: a folder of this machine, a URL, or a name that the server knows."""

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from hedgerow.cli import local_repository
from hedgerow.cli.errors import UsageError
from hedgerow.cli.local_repository import LocalRepository
from hedgerow.cli.safe_text import safe
from hedgerow.client import Client

_URL = re.compile(r"(?:[a-z][a-z0-9+.-]*://\S+|[^/\s:@]+@[^/\s:]+:\S+)", re.IGNORECASE)
_NAME = re.compile(r"[^/\s]+/[^/\s]+")


@dataclass(frozen=True, slots=True)
class Choice:
    """The repository's name in the API, and where to begin: a branch, a full ref, or None for the default branch."""

    name: str
    base: str | None


def choose(client: Client, wanted: str, *, branch: str | None, include_changes: bool, console: Console) -> Choice:
    """Make the repository that `wanted` names known to the server. Raises UsageError and ClientError.

    A folder comes before a name: `org/repo` is looked for on the server only where there is no such folder.
    """
    if _URL.fullmatch(wanted):
        _only_for_folders(include_changes)
        return Choice(client.register_repository(clone_url=wanted, name=name_of(wanted)).name, branch)
    folder = Path(wanted).expanduser()
    if folder.is_dir() or not _NAME.fullmatch(wanted) or wanted.startswith((".", "/", "~")):
        return _local(client, folder, branch, include_changes, console)
    _only_for_folders(include_changes)
    return Choice(wanted.lower(), branch)


def name_of(url: str) -> str:
    """`org/repo` for a clone URL, from the last two parts of its path. Raises UsageError where it has none."""
    parts = [part for part in re.split(r"[/:]", url.split("://", 1)[-1].rstrip("/").removesuffix(".git")) if part]
    if len(parts) < 2:
        raise UsageError(f"{url} names no repository.")
    return "/".join(re.sub(r"\s+", "-", part) for part in parts[-2:]).lower()


def _local(client: Client, folder: Path, branch: str | None, include_changes: bool, console: Console) -> Choice:
    repository = local_repository.inspect(folder)
    base = _base(repository, branch, include_changes, console)
    return Choice(client.register_repository(clone_url=str(repository.root)).name, base)


def _base(repository: LocalRepository, branch: str | None, include_changes: bool, console: Console) -> str | None:
    if branch is not None:
        if include_changes:
            raise UsageError("--include-changes starts from what lies in the folder, --branch from a branch: give one of them.")
        return branch
    if repository.dirty and (include_changes or _offered(repository, console)):
        for caution in repository.cautions:
            console.print(safe(caution), style="yellow", soft_wrap=True)
        return local_repository.keep_changes(repository)
    if repository.commit is None:
        raise UsageError(f"{repository.root} has no commit yet: make one, or give --include-changes.")
    return repository.branch or local_repository.keep_commit(repository)


def _offered(repository: LocalRepository, console: Console) -> bool:
    """Whether the person wants the changes included: asked on a terminal, told elsewhere."""
    console.print(f"{safe(repository.root)} has {repository.summary} that no commit holds.", style="yellow", soft_wrap=True)
    if not (sys.stdin.isatty() and console.is_terminal):
        console.print("The agent will not see them; --include-changes hands them over as well.", style="yellow", soft_wrap=True)
        return False
    while True:
        console.print("Hand them over to the agent as well? Your files and branches stay as they are. [y/N] ", end="", soft_wrap=True)
        answer = input().strip().lower()
        if answer in {"", "n", "no", "y", "yes"}:
            return answer.startswith("y")


def _only_for_folders(include_changes: bool) -> None:
    if include_changes:
        raise UsageError("--include-changes is for a folder of this machine, such as --repo .")
