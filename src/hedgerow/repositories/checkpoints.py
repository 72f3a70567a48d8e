"""Checkpoints of a workspace: how they are taken and put back inside a sandbox, and how what comes out of it is read without trust."""

import asyncio
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from hedgerow.domain.checkpoints import GitCheckpoint, Taken, read_state
from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories import result_folders

_FOLDER = files(__package__)
_TAKE = "".join(_FOLDER.joinpath(name).read_text() for name in ("workspace.sh", "checkpoint.sh"))
_RESTORE = _FOLDER.joinpath("restore.sh").read_text()
_STATE_LIMIT = 256 * 1024
_KNOWN_LIMIT = 64 * 1024  # an argument may not be much longer; what is cut off counts as changed
_TAKING = {
    "no-git": "there is no git in the sandbox",
    "no-workspace": "the workspace could not be entered",
    "emptied": "the agent deleted its workspace with its .git",
    "no-base": "the commit that the agent began at is missing from the mirror",
    "cannot-read": "the workspace is damaged",
    "cannot-write": "it could not be written; the disk may be full",
    "cannot-pack": "it could not be packed: it is larger than {most} MiB, or the agent's commits are damaged, or the disk is full",
}
_RESTORING = {
    "no-git": "there is no git in the sandbox",
    "no-workspace": "the workspace could not be entered",
    "no-base": "the commit that it was made upon is not in the repository any more",
    "damaged": "its pack is damaged",
    "incomplete": "objects of it are missing",
    "bad-names": "it names a branch that git does not allow",
    "cannot-write": "its files could not be written; the disk may be full",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Taking:
    """A checkpoint to take: all paths as the sandbox sees them, which is as they are outside."""

    workspace: Path
    own: Path  # what is kept from one checkpoint to the next; the agent's sandbox does not see it
    result: Path
    mirror: Path
    base_commit: str
    known: GitCheckpoint | None  # the last one
    max_bytes: int

    def command(self) -> tuple[str, ...]:
        """The command of a one-shot sandbox that sees all four folders, the mirror read-only; it needs only sh and git.

        It leaves what `read_taken` reads.
        """
        state = self.known.state() if self.known is not None else None
        known = state.text() if state is not None else ""
        paths = map(str, (self.workspace, self.own, self.result, self.mirror))
        return ("sh", "-c", _TAKE, "checkpoint", *paths, self.base_commit, known[:_KNOWN_LIMIT], str(self.max_bytes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Files:
    """A checkpoint that was taken, with its files in a folder that no sandbox sees."""

    taken: Taken
    pack: Path
    index: Path


async def read_taken(taking: Taking, target: Path) -> Files | None:
    """What the command has left, its files copied into the existing folder `target`; None where nothing has changed.

    Raises InvalidError, UnavailableError: why there is no checkpoint.
    """
    try:
        return await asyncio.to_thread(_read_taken, taking, target)
    except OSError as error:
        raise UnavailableError(f"The files could not be checkpointed: {error.strerror}.") from error


def _read_taken(taking: Taking, target: Path) -> Files | None:
    with result_folders.opened(taking.result) as folder:
        problem = result_folders.marker(folder, "problem")
        if problem is not None:
            reason = _TAKING.get(problem, "the workspace is damaged").format(most=taking.max_bytes // 2**20)
            raise UnavailableError(f"The files could not be checkpointed: {reason}.")
        if result_folders.marker(folder, "none") is not None:
            return None
        text = result_folders.marker(folder, "state", _STATE_LIMIT)
        if text is None:
            raise UnavailableError("The files could not be checkpointed: git broke off.")
        taken = read_state(text)
        if taken is None or taken.state.base_commit != taking.base_commit:
            raise InvalidError("The files could not be checkpointed: the sandbox left no sound checkpoint.")
        pack, index = target / "pack", target / "index"
        for name, path in (("pack", pack), ("index", index)):
            if result_folders.copy(folder, name, path, taking.max_bytes) is None:
                raise InvalidError(f"The files could not be checkpointed: the sandbox left no {name}.")
        return Files(taken=taken, pack=pack, index=index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restoring:
    """A checkpoint to put into a workspace that was checked out at `start_commit`: all paths as the sandbox sees them."""

    workspace: Path
    incoming: Path  # holds `pack`, and `index` where there is one
    result: Path
    start_commit: str
    checkpoint: GitCheckpoint

    def write_refs(self) -> None:
        """Write down the branches where the command finds them."""
        lines = [f"{commit} {ref}\n" for ref, commit in self.checkpoint.branches.items()]
        (self.incoming / "refs").write_text("".join(lines))

    def command(self) -> tuple[str, ...]:
        """The command of a one-shot sandbox that sees the mirror and `incoming` read-only; it needs only sh and git.

        It leaves what `read_restored` reads.
        """
        paths = map(str, (self.workspace, self.incoming, self.result))
        known = self.checkpoint
        names = (self.start_commit, known.base_commit or "", known.head, known.branch or "", known.index_tree, known.worktree_tree)
        return ("sh", "-c", _RESTORE, "restore", *paths, *names)


async def read_restored(restoring: Restoring) -> str:
    """The commit that the restored work began at. Raises InvalidError: why it does not apply; UnavailableError: why it can't be told."""
    try:
        return await asyncio.to_thread(_read_restored, restoring)
    except OSError as error:
        raise UnavailableError(f"It could not be restored: {error.strerror}.") from error


def _read_restored(restoring: Restoring) -> str:
    with result_folders.opened(restoring.result) as folder:
        problem = result_folders.marker(folder, "problem")
        if problem is not None:
            kind = UnavailableError if problem == "cannot-write" else InvalidError
            raise kind(f"It does not apply: {_RESTORING.get(problem, 'it is damaged')}.")
        base = result_folders.marker(folder, "restored")
        if base is None:
            raise InvalidError("It does not apply: git broke off.")
        if len(base) not in {40, 64} or set(base) - set("0123456789abcdef"):
            raise InvalidError("It does not apply: the sandbox named no commit.")
        return base
