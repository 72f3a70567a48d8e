"""Keeping house on a node: find what may go, plan, and remove each thing once it was looked at again under its lock.

The worker does it every few hours, `hedgerow gc` at once; both at the same moment do no harm. What is removed from a disk is first
renamed, so that whoever is killed in between leaves something that the next one recognizes.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import structlog

from hedgerow.agents import runtime_tree
from hedgerow.db import artifacts, executions, journal_archives, runs
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.housekeeping import EndedJournal, Findings, Folder, Kind, Removal, plan
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.node import Node, RunFolders
from hedgerow.lifecycle.origin import origin_of
from hedgerow.operations import artifact_collection, journal_archiving
from hedgerow.repositories import idle_mirrors

log = structlog.get_logger()

_MOST = 1000  # things of a kind in one plan; the rest goes the next time
_GOING = ".going-"
_DONE = {Kind.JOURNAL_TO_ARCHIVE: "moved to the archive"}
_RUN = re.compile(r"(?P<run>[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?P<kept>-kept-[0-9]+)?")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a planned removal. `problem` is None where it is done."""

    removal: Removal
    problem: str | None


async def plan_now(node: Node) -> list[Removal]:
    """What would go now, each with its size. A store that does not answer is asked once: it may take half a minute to say so."""
    found, sized, answers = await _find(node), [], True
    for removal in plan(found, node.retention, node.backends.clock.now()):
        asks = isinstance(removal.subject, str) and removal.size_bytes is None
        sized.append(await _sized(node, removal) if answers or not asks else removal)
        answers = answers and not (asks and sized[-1].size_bytes is None)
    return sized


async def keep_house(node: Node, removals: Sequence[Removal]) -> AsyncIterator[Outcome]:
    """Carry a plan out, one thing after the other, however old it is: each is looked at again, under its lock.

    What fails is told, and the rest goes on. Raises DatabaseLostError.
    """
    for removal in removals:
        try:
            done = await _carry_out(node, removal)
            problem = None if done else "it was needed again, had gone already, or is damaged"
        except DatabaseLostError:
            raise
        except (HedgerowError, OSError) as error:
            problem = error.message if isinstance(error, HedgerowError) else (error.strerror or str(error))
        if problem is None:
            log.info(
                _DONE.get(removal.kind, "removed"), kind=removal.kind.value, subject=str(removal.subject), size_bytes=removal.size_bytes
            )
        else:
            log.warning("not removed", kind=removal.kind.value, subject=str(removal.subject), reason=problem)
        yield Outcome(removal, problem)


async def _find(node: Node) -> Findings:
    now = node.backends.clock.now()
    journals: list[EndedJournal] = []
    to_archive: list[EndedJournal] = []
    async with node.backends.database.transaction() as tx:
        if (before := node.retention.before(Kind.JOURNAL, now)) is not None:
            journals = await journal_archives.to_remove(tx, before, _MOST)
        if (before := node.retention.before(Kind.JOURNAL_TO_ARCHIVE, now)) is not None:
            to_archive = await journal_archives.to_archive(tx, before, _MOST)
        objects = await artifacts.expired_objects(tx, now, _MOST)
    folders = await asyncio.to_thread(_run_folders, node)
    return Findings(
        journals=journals,
        journals_to_archive=to_archive,
        objects=objects,
        workspaces=[await _workspace(node, folder) for folder in folders],
        mirrors=await _mirrors(node),
        runtimes=await _runtimes(node),
        remains=await asyncio.to_thread(_remains, node),
    )


def _run_folders(node: Node) -> list[Path]:
    """The folders of runs on this machine, kept ones too."""
    root = node.data_dir / "runs"
    return [path for path in sorted(root.glob("*")) if _RUN.fullmatch(path.name) and path.is_dir() and not path.is_symlink()]


def _remains(node: Node) -> list[Folder]:
    paths = [*(node.data_dir / "runs").glob(f"{_GOING}*"), *node.repositories.remains(), *runtime_tree.remains(node.data_dir)]
    return [Folder(path=path, since=since) for path in paths if (since := _changed_at(path)) is not None]


def _changed_at(path: Path) -> datetime | None:
    """When a folder was last renamed, or something was put into it; None where there is none."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return datetime.fromtimestamp(max(status.st_mtime, status.st_ctime), UTC)
    return None


async def _workspace(node: Node, folder: Path) -> Folder:
    since = await asyncio.to_thread(_changed_at, folder)
    async with node.backends.database.statement() as tx:
        run = await runs.load(tx, _run_of(folder))
    return Folder(path=folder, since=since or node.backends.clock.now(), needed=_needs(node, run, folder))


def _run_of(folder: Path) -> UUID:
    match = _RUN.fullmatch(folder.name)
    assert match is not None
    return UUID(match["run"])


def _needs(node: Node, run: TaskRun | None, folder: Path) -> bool:
    """Whether a run lives in a folder, or may be about to. One that was set aside is nobody's any more."""
    if run is None or folder.name != str(run.id) or run.execution.cleaned_at is not None:
        return False
    if run.execution.node_id is None:
        return not run.status.terminal
    return run.execution.node_id == node.id


async def _mirrors(node: Node) -> list[Folder]:
    now = node.backends.clock.now()
    before = node.retention.before(Kind.MIRROR, now)
    old = [] if before is None else [mirror for mirror in await asyncio.to_thread(node.repositories.mirrors) if mirror.used_at <= before]
    if not old:
        return []
    borrowed = await _borrowed(node)
    return [
        Folder(path=mirror.path, since=mirror.used_at, needed=mirror.path in borrowed or await _holds_results(node, mirror.path))
        for mirror in old
    ]


async def _borrowed(node: Node) -> set[Path]:
    """The mirrors that some folder of a run on this machine borrows objects from, by its own word or by its task's repository."""
    borrowed: set[Path] = set()
    for folder in await asyncio.to_thread(_run_folders, node):
        borrowed |= await asyncio.to_thread(idle_mirrors.borrowed, folder / "workspace")
        borrowed |= await _mirror_of(node, _run_of(folder))
    async with node.backends.database.statement() as tx:
        held = await executions.held_by(tx, node.id)
    for run in held:
        borrowed |= await _mirror_of(node, run.id)
    return borrowed


async def _mirror_of(node: Node, run_id: UUID) -> set[Path]:
    async with node.backends.database.statement() as tx:
        run = await runs.load(tx, run_id)
    if run is None:
        return set()
    try:
        origin = await origin_of(node, run)
    except DatabaseLostError:
        raise
    except HedgerowError:
        return set()  # its repository leads nowhere any more
    return set() if origin.mirror is None else {origin.mirror}


async def _holds_results(node: Node, mirror: Path) -> bool:
    """Whether a mirror holds a result that nobody is known to have elsewhere. One that cannot be read counts as if it did."""
    try:
        held = await node.repositories.results(mirror)
    except UnavailableError as problem:
        log.warning("a mirror is kept, since nobody can say what it holds", mirror=str(mirror), reason=problem.message)
        return True
    for run_id in held:
        async with node.backends.database.statement() as tx:
            run = await runs.load(tx, run_id)
        if run is not None and not (isinstance(run.output, dict) and run.output.get("pushed") is True):
            return True
    return False


async def _runtimes(node: Node) -> list[Folder]:
    others = await asyncio.to_thread(runtime_tree.others, node.data_dir)
    used = await _used_trees(node) if others else set()
    found = [(other, await asyncio.to_thread(_changed_at, other)) for other in others]
    return [Folder(path=other, since=since, needed=_may_be_used(node, other, used)) for other, since in found if since is not None]


def _may_be_used(node: Node, other: Path, trees: set[str] | None) -> bool:
    return trees is None or runtime_tree.may_be_used(other, node.data_dir, trees)


async def _used_trees(node: Node) -> set[str] | None:
    """The names of the trees that living sandboxes run on; None where one does not say."""
    async with node.backends.database.statement() as tx:
        held = await executions.held_by(tx, node.id)
    names = [await asyncio.to_thread(node.folders(run.id).runtime) for run in held if run.execution.sandbox is not None]
    return None if None in names else {name for name in names if name is not None}


async def _sized(node: Node, removal: Removal) -> Removal:
    match removal.subject:
        case Path() as path:
            folder = path.parent if removal.kind is Kind.MIRROR else path
            return replace(removal, size_bytes=await asyncio.to_thread(_size_of, folder))
        case str() as path if removal.size_bytes is None:
            return replace(removal, size_bytes=await _stored_size(node, path))
    return removal


async def _stored_size(node: Node, path: str) -> int | None:
    """The size of an object that no row says; 0 where it never came to be, None where the store does not answer."""
    try:
        info = await node.backends.storage.head(path)
    except HedgerowError as problem:
        log.warning("the size of an object is unknown", path=path, reason=problem.message)
        return None
    return 0 if info is None else info.size_bytes


def _size_of(folder: Path) -> int:
    """The bytes that a folder takes on its disk, as `du` counts them. What goes meanwhile counts nothing."""
    total, seen = 0, set()
    for inner, _, files in os.walk(folder):
        for path in (inner, *(os.path.join(inner, name) for name in files)):  # noqa: PTH118 - a million files may lie here
            with suppress(OSError):
                status = os.lstat(path)
                if status.st_nlink == 1 or (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    total += status.st_blocks * 512
    return total


async def _carry_out(node: Node, removal: Removal) -> bool:
    """Remove one thing, if it still may go; whether it went. Raises HedgerowError, OSError."""
    now = node.backends.clock.now()
    before = node.retention.before(removal.kind, now)
    match removal.kind, removal.subject:
        case Kind.JOURNAL, UUID() as run_id if before is not None:
            return await journal_archiving.remove(node.backends, run_id, before) > 0
        case Kind.JOURNAL_TO_ARCHIVE, UUID() as run_id if before is not None:
            return await journal_archiving.archive(node.backends, run_id, before) > 0
        case Kind.OBJECT, str() as path:
            return await artifact_collection.remove(node.backends, path)
        case Kind.WORKSPACE, Path() as folder if before is not None:
            return await _remove_workspace(node, folder, before)
        case Kind.MIRROR, Path() as mirror if before is not None:
            return await _remove_mirror(node, mirror, before)
        case Kind.RUNTIME, Path() as tree if before is not None:
            return await _remove_runtime(node, tree, before)
        case Kind.REMAINS, Path() as folder:
            return await _remove_folder(folder)
    return False


async def _remove_workspace(node: Node, folder: Path, before: datetime) -> bool:
    going = folder.with_name(f"{_GOING}{uuid4().hex}")
    async with node.backends.database.transaction() as tx:
        run = await runs.load_for_update(tx, _run_of(folder))
        since = await asyncio.to_thread(_changed_at, folder)
        if since is None or since > before or _needs(node, run, folder):
            return False
        await asyncio.to_thread(folder.rename, going)  # under the lock of the run's row, without which nobody starts the run again
    return await _remove_folder(going)


async def _remove_folder(folder: Path) -> bool:
    """Remove a folder, write-protected ones within it too; whether nothing is left."""
    await asyncio.to_thread(RunFolders(root=folder, sockets=folder).remove)
    return not await asyncio.to_thread(folder.exists)


async def _remove_mirror(node: Node, mirror: Path, before: datetime) -> bool:
    async def may_go() -> bool:
        used = idle_mirrors.used_at(mirror)
        if used is None or used > before or mirror in await _borrowed(node):
            return False
        return not await _holds_results(node, mirror)

    return await idle_mirrors.remove(mirror, may_go)


async def _remove_runtime(node: Node, tree: Path, before: datetime) -> bool:
    used = await _used_trees(node)

    def may_go() -> bool:
        since = _changed_at(tree)
        return since is not None and since <= before and not _may_be_used(node, tree, used)

    return await asyncio.to_thread(runtime_tree.remove, tree, may_go)
