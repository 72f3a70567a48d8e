"""Where the branch of a run lies, as commands that show it and take it over."""

import os
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hedgerow.cli.local_repository import CHANGES
from hedgerow.cli.safe_text import one_line
from hedgerow.client import Repository
from hedgerow.data_directory import data_directory
from hedgerow.domain.errors import HedgerowError


def commands_for(output: Mapping[str, Any], branch: str, repository: Repository, base: str | None = None) -> list[tuple[str, str]]:
    """What to type to see the branch and to take it over: pairs of a word and a command. `base` is what the run began at.

    Where that was the uncommitted work of the folder, the agent's changes are applied on top of it: a merge would be refused.
    """
    quoted = shlex.quote(branch)
    if output.get("pushed") is False:
        mirror = mirror_of(repository.clone_url)
        return [("Get it", f"git fetch {shlex.quote(str(mirror))} {quoted} && git log -p FETCH_HEAD")] if mirror else []
    folder = local_folder(repository.clone_url)
    if folder is None:
        return [("See it", f"git fetch origin {quoted} && git log -p FETCH_HEAD")]
    here = Path.cwd()
    git = "git" if folder in {here, *here.parents} else f"git -C {shlex.quote(str(folder))}"
    if base is not None and base.startswith(CHANGES):
        return [("See it", f"{git} log -p {base}..{quoted}"), ("Take it", f"{git} diff {base} {quoted} | {git} apply")]
    return [("See it", f"{git} log -p {quoted}"), ("Take it", f"{git} merge {quoted}")]


def push_failure(output: Mapping[str, Any]) -> str | None:
    """Why the branch could not be pushed; None where it was."""
    if output.get("pushed") is not False:
        return None
    return f"The branch could not be pushed: {one_line(output.get('push_error') or 'the repository did not say why', 400)}"


def local_folder(clone_url: str) -> Path | None:
    """The folder on this machine that a clone URL names, if it is one."""
    folder = Path(clone_url.removeprefix("file://"))
    try:
        return folder if folder.is_absolute() and folder.is_dir() else None
    except OSError:
        return None


def mirror_of(clone_url: str) -> Path | None:
    """The mirror that keeps the results of a repository, where the server is on this machine and lets this account read it."""
    from hedgerow.repositories import Repositories

    mirrors = data_directory(os.environ) / "mirrors"
    repositories = Repositories(mirrors, allow_local=True)
    try:
        found = [repositories.mirror(project_id=project, clone_url=clone_url) for project in _projects(mirrors)]
        return next((mirror for mirror in found if (mirror / "HEAD").is_file()), None)
    except (OSError, HedgerowError):
        return None


def _projects(mirrors: Path) -> Iterator[int]:
    for folder in mirrors.iterdir():
        if folder.name.isdigit():
            yield int(folder.name)
