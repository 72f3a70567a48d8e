"""A fresh workspace gets the files of a run's checkpoint."""

import asyncio
import contextlib
import secrets
import shutil
from pathlib import Path

from hedgerow.db.database import DatabaseLostError
from hedgerow.domain import checkpoints as domain
from hedgerow.domain.checkpoints import GitCheckpoint
from hedgerow.domain.errors import InvalidError, NotFoundError, PassingError, UnavailableError
from hedgerow.domain.progress import Step
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.takeovers import lives_by_its_checkpoint
from hedgerow.lifecycle.node import Node, make_private
from hedgerow.lifecycle.one_shot import OneShot
from hedgerow.lifecycle.steps import step
from hedgerow.operations import checkpoints
from hedgerow.repositories import Checkout, Restoring
from hedgerow.sandboxes.base import SandboxProvider

_PLAIN = " The run goes on from the branch as it is."


async def restore(node: Node, run: TaskRun, provider: SandboxProvider, checkout: Checkout) -> str:
    """Put the run's checkpoint into the workspace that was just checked out; the commit that its work began at.

    Raises InvalidError where the checkpoint does not apply: then the workspace has to be made anew, and the checkpoint is of no use.
    PassingError says that it could not be tried: the store or the disk failed, and the checkpoint stays. The journal has told of either.
    """
    checkpoint = None if run.execution.checkpoint is None else domain.read(run.execution.checkpoint)
    plain = "" if lives_by_its_checkpoint(run) else _PLAIN
    async with step(node, run, Step.RESTORE) as note:
        if checkpoint is None:
            raise InvalidError("The checkpoint is not one that can be read." + plain)
        try:
            base = await _restore(node, run, provider, checkout, checkpoint)
        except (InvalidError, NotFoundError) as error:
            raise InvalidError(f"The checkpoint {checkpoint.id} was not restored. {error.message}" + plain) from error
        except DatabaseLostError:
            raise
        except UnavailableError as error:
            raise PassingError(f"The checkpoint {checkpoint.id} could not be restored. {error.message}") from error
        note.detail = f"restored checkpoint {checkpoint.id}"
        return base


async def _restore(node: Node, run: TaskRun, provider: SandboxProvider, checkout: Checkout, checkpoint: GitCheckpoint) -> str:
    root = node.folders(run.id).root
    attempt = secrets.token_hex(4)
    incoming, result = root / f"incoming-{attempt}", root / f"restored-{attempt}"
    restoring = Restoring(
        workspace=root / "workspace", incoming=incoming, result=result, start_commit=checkout.base_commit, checkpoint=checkpoint
    )
    seconds = node.backends.rules.checkpoints.seconds
    try:
        await asyncio.to_thread(_make_folders, incoming, result, provider)
        await _fetch(node, run, checkpoint, incoming)
        async with asyncio.timeout(seconds):
            await asyncio.to_thread(_finish_incoming, restoring)
            shot = OneShot(
                what="restore",
                command=restoring.command(),
                attempt=attempt,
                writable=(restoring.workspace, node.folders(run.id).home, result),
                readable=(incoming, checkout.mirror.parent),
                seconds=seconds,
            )
            await shot.run(node, run, provider)
            return await node.repositories.read_restored(restoring, checkout.mirror)
    except TimeoutError as error:
        raise InvalidError(f"It took longer than {seconds:g} seconds.") from error  # as it would every time
    except OSError as error:
        raise UnavailableError(f"Its files could not be written: {error.strerror}.") from error
    finally:
        for folder in (incoming, result):
            with contextlib.suppress(OSError):
                await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)


def _make_folders(incoming: Path, result: Path, provider: SandboxProvider) -> None:
    for left in (*incoming.parent.glob("incoming-*"), *incoming.parent.glob("restored-*")):  # by a worker that was killed
        shutil.rmtree(left, ignore_errors=True)
    make_private(incoming, provider.owner)
    make_private(result, provider.owner)


def _finish_incoming(restoring: Restoring) -> None:
    restoring.write_refs()
    for file in restoring.incoming.iterdir():
        file.chmod(0o644)  # so that the sandbox's account can read it


async def _fetch(node: Node, run: TaskRun, checkpoint: GitCheckpoint, incoming: Path) -> None:
    files = [(checkpoint.pack_path, "pack"), *([] if checkpoint.index_path is None else [(checkpoint.index_path, "index")])]
    seconds = node.backends.rules.checkpoints.seconds
    try:
        async with asyncio.timeout(seconds):
            for path, name in files:
                await checkpoints.fetch(node.backends, run, path, incoming / name)
    except TimeoutError as error:
        raise UnavailableError(f"The object store had not given its files within {seconds:g} seconds.") from error
