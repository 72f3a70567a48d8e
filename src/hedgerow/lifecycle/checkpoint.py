"""The files of a run as they stand, kept in the object store: whatever befalls the node, the run can go on from there."""

import asyncio
import contextlib
import secrets
import shutil
from pathlib import Path
from uuid import uuid4

import structlog

from hedgerow.db import runs
from hedgerow.db.database import DatabaseLostError, Transaction
from hedgerow.domain import checkpoints as domain
from hedgerow.domain.actions import Checkpoint
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.journal import notification
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.agent_choice import choose_agent
from hedgerow.lifecycle.ends import came_from
from hedgerow.lifecycle.facts import TakenOverError
from hedgerow.lifecycle.node import Node, make_private
from hedgerow.lifecycle.one_shot import OneShot, open_again
from hedgerow.lifecycle.origin import origin_of
from hedgerow.lifecycle.sandbox_choice import choose_sandbox
from hedgerow.operations import checkpoints, run_changes
from hedgerow.operations.checkpoints import Stored
from hedgerow.repositories import Taking
from hedgerow.sandboxes.base import SandboxProvider

log = structlog.get_logger()

_UNEXPECTED = "The files could not be checkpointed: something unexpected went wrong in hedgerow, and its log says what."


async def checkpoint(node: Node, run: TaskRun, action: Checkpoint) -> None:
    """Take a checkpoint where anything has changed since the last one, and write down that it was tried. Safe to repeat.

    It keeps no run from going on or from its end: what goes wrong is an entry of the journal, and the next checkpoint tries again.
    """
    began = node.backends.clock.now()
    stored, problem = None, None
    try:
        stored = await _take(node, run)
    except HedgerowError as error:
        if came_from(error, TakenOverError) or came_from(error, DatabaseLostError):
            raise
        problem = error.message
    except Exception as error:
        log.error("a checkpoint failed unexpectedly", exc_info=error)
        problem = _UNEXPECTED
    facts = {
        "checkpointed_at": began,
        "checkpointed_turn": run.execution.turn_ended_at,
        "checkpointed_at_rest": run.execution.sandbox is None,
        "checkpoint_failed": problem is not None,
    }
    async with node.backends.database.transaction() as tx:
        fresh = await runs.load_for_update(tx, run.id)
        if fresh is None or fresh.execution.epoch != run.execution.epoch:
            raise TakenOverError
        if stored is not None:
            await checkpoints.keep(node.backends, tx, fresh, stored)
        if problem is not None:
            await _tell(node, tx, run, problem)
        await runs.note(tx, run.id, facts)


async def _tell(node: Node, tx: Transaction, run: TaskRun, problem: str) -> None:
    log.warning("no checkpoint was taken", reason=problem)
    told = {"level": "warn", "message": problem}
    entry = run_changes.server_entry(notification("_posthog/console", told, node.backends.clock.now()))
    await run_changes.add_events(node.backends, tx, run.id, [entry], run.execution.epoch)


async def _take(node: Node, run: TaskRun) -> Stored | None:
    """The files in the store; None where nothing has changed. Raises HedgerowError: why there is no checkpoint."""
    provider = await choose_sandbox(node, choose_agent(node, run))
    root = node.folders(run.id).root
    attempt = secrets.token_hex(4)
    result, copied = root / f"checkpoint-{attempt}", root / f"checkpoint-{attempt}-files"
    seconds = node.backends.rules.checkpoints.seconds
    try:
        async with asyncio.timeout(seconds):
            await asyncio.to_thread(_make_folders, root, result, copied, provider)
            return await _store(node, run, provider, result, copied)
    except TimeoutError as error:
        raise UnavailableError(f"The files could not be checkpointed: it took longer than {seconds:g} seconds.") from error
    except OSError as error:
        raise UnavailableError(f"The files could not be checkpointed: {error.strerror}.") from error
    finally:
        for folder in (result, copied):
            with contextlib.suppress(OSError):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _make_folders(root: Path, result: Path, copied: Path, provider: SandboxProvider) -> None:
    for left in root.glob("checkpoint-*"):  # by a worker that was killed
        shutil.rmtree(left, ignore_errors=True)
    for folder in (root / "checkpoints", result):
        make_private(folder, provider.owner)
    copied.mkdir(mode=0o700)
    open_again(root / "workspace")


async def _store(node: Node, run: TaskRun, provider: SandboxProvider, result: Path, copied: Path) -> Stored | None:
    origin = await origin_of(node, run)
    folders, execution = node.folders(run.id), run.execution
    assert execution.base_commit is not None
    assert origin.mirror is not None
    assert origin.clone_url is not None
    taking = Taking(
        workspace=folders.workspace,
        own=folders.root / "checkpoints",
        result=result,
        mirror=origin.mirror,
        base_commit=execution.base_commit,
        known=None if execution.checkpoint is None else domain.read(execution.checkpoint),
        max_bytes=node.backends.rules.checkpoints.largest_bytes,
    )
    shot = OneShot(
        what="checkpoint",
        command=taking.command(),
        attempt=result.name,
        writable=(folders.workspace, folders.home, taking.own, result),
        readable=(origin.mirror.parent,),
        seconds=node.backends.rules.checkpoints.seconds,
    )
    await shot.run(node, run, provider)
    files = await node.repositories.read_taken(taking, copied)
    if files is None:
        return None
    remote_url = node.repositories.clean_url(origin.clone_url)
    return await checkpoints.store(node.backends, run, str(uuid4()), files.taken, files.pack, files.index, remote_url)
