"""What an agent leaves behind: how it is collected inside a sandbox, and how it is taken over without being trusted."""

import asyncio
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories import result_folders, skeletons
from hedgerow.repositories.plumbing import Plumbing

_SCRIPT = "".join(files(__package__).joinpath(name).read_text() for name in ("workspace.sh", "collect.sh"))
_FSCK = ("-c", "fetch.fsckObjects=true", "-c", "transfer.fsckObjects=true", "-c", "fetch.unpackLimit=1")
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--no-recurse-submodules")
_PROBLEMS = {
    "no-git": "There is no git in the sandbox, so the agent's work could not be collected.",
    "no-workspace": "The workspace could not be entered, so the agent's work could not be collected.",
    "emptied": "The agent deleted its workspace with its .git, so there is no work to collect.",
    "no-base": "The commit that the agent began at is missing from the mirror, so its work could not be collected.",
    "cannot-read": "The agent's work could not be read: its workspace is damaged.",
    "cannot-write": "The agent's work could not be written to the result folder; the disk may be full.",
    "cannot-commit": "The agent's work could not be committed; the disk may be full.",
    "cannot-pack": "The agent's work could not be packed; the disk may be full.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """What to collect: all paths as the sandbox sees them, which is as they are outside."""

    workspace: Path
    result: Path
    mirror: Path
    base_commit: str
    message: str
    author: tuple[str, str]


def collect_command(collection: Collection) -> tuple[str, ...]:
    """The command that a one-shot sandbox runs to collect the agent's work; it needs only sh and git.

    The sandbox sees `workspace` and `result` writable and `mirror` read-only. The command commits what is uncommitted, keeps the agent's
    own commits, and leaves `bundle` and `head`, or `none`, or `problem` in `result`. Where the agent's history does not come from the
    base commit, or can't be read, the result is one commit with the files as they stand. .gitignore is respected; submodules stay where
    they were; repositories that the agent made inside become ordinary folders.
    """
    paths = (str(collection.workspace), str(collection.result), str(collection.mirror))
    return ("sh", "-c", _SCRIPT, "collect", *paths, collection.base_commit, collection.message, *collection.author)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    """A result to take over: where it lies, where it is opened, the commit it must come from, and the ref it becomes."""

    folder: Path
    quarantine: Path
    base_commit: str
    ref: str
    max_bytes: int


async def take_over(plumbing: Plumbing, mirror: Path, incoming: Incoming) -> str | None:
    """Bring the collected commit into the mirror and return it; None where nothing has changed.

    The result folder was written by whatever ran in the sandbox. Its files must be plain and bounded; they are copied, opened by git in
    a quarantine, and only what is reachable from a commit that descends from the base, sound by git's own checks, gets into the mirror.
    Raises InvalidError where anything of that fails, UnavailableError where nothing was collected. The caller holds the mirror's lock.
    """
    quarantine = incoming.quarantine
    try:
        await asyncio.to_thread(shutil.rmtree, quarantine, ignore_errors=True)  # a crash may have left it
        head = await asyncio.to_thread(_copy_result, incoming.folder, quarantine, incoming.max_bytes)
        if head is None:
            return None
        await _open_bundle(plumbing, mirror, quarantine, head, incoming.base_commit)
        source = str(quarantine / "repository")
        taken = await plumbing.run(mirror, *_FSCK, *_FETCH, "--", source, f"+refs/heads/result:{incoming.ref}")
        if taken.code:
            raise InvalidError("The agent's work holds objects that git refuses as unsound, so it was not taken over.")
        return head
    except OSError as error:
        raise UnavailableError(f"The result of the run could not be copied: {error.strerror}.") from error
    finally:
        await asyncio.to_thread(shutil.rmtree, quarantine, ignore_errors=True)


async def _open_bundle(plumbing: Plumbing, mirror: Path, quarantine: Path, head: str, base_commit: str) -> None:
    repository = quarantine / "repository"
    object_format = skeletons.object_format_of(base_commit)
    skeletons.write_bare(repository, object_format=object_format, alternates=(mirror / "objects",))
    if _shallow(mirror).exists():
        shutil.copyfile(_shallow(mirror), _shallow(repository))
    opened = await plumbing.run(repository, *_FSCK, *_FETCH, "--", str(quarantine / "bundle"), "+refs/heads/result:refs/heads/result")
    if opened.code:
        raise InvalidError("The collected bundle is not one that git can read, so the agent's work was not taken over.")
    found = await plumbing.refs(repository, "refs/heads/result")
    if found.get("refs/heads/result") != head:
        raise InvalidError("The collected bundle does not hold the commit that it was said to hold.")
    if not await plumbing.is_ancestor(repository, base_commit, head):
        raise InvalidError(f"The agent's work does not come from commit {base_commit[:12]}, where it began, so it was not taken over.")


def _shallow(repository: Path) -> Path:
    return repository / "shallow"


def _copy_result(result: Path, quarantine: Path, max_bytes: int) -> str | None:
    """Copy the bundle of the result folder and return the commit it is said to hold; None where the folder says that nothing changed."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(result_folders.opened(result))
        except OSError:
            raise UnavailableError("The result folder of the run is missing, so the agent's work was not collected.") from None
        problem = result_folders.marker(folder, "problem")
        if problem is not None:
            raise InvalidError(_PROBLEMS.get(problem, "The agent's work could not be collected."))
        if result_folders.marker(folder, "none") is not None:
            return None
        head = result_folders.marker(folder, "head")
        if head is None:
            raise UnavailableError("The agent's work was not collected: the result folder is incomplete.")
        if len(head) not in {40, 64} or set(head) - set("0123456789abcdef"):
            raise InvalidError("The result folder names no commit.")
        quarantine.mkdir()
        if result_folders.copy(folder, "bundle", quarantine / "bundle", max_bytes) is None:
            raise InvalidError("The result folder holds no bundle.")
        return head
