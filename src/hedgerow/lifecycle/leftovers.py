"""What lies on a machine of runs that it does not hold: sandboxes that nobody has written down, and what was taken over by another one."""

import asyncio
import secrets
import shutil
from pathlib import Path
from uuid import UUID

import structlog

from hedgerow.db import executions, runs
from hedgerow.domain.clock import steady_seconds
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.runs import SandboxHandle, TaskRun
from hedgerow.domain.sandboxes import FoundSandbox
from hedgerow.lifecycle.node import Node, RunFolders

log = structlog.get_logger()

GRACE_SECONDS = 10.0  # between making a sandbox and writing it down lie milliseconds, unless the database is slow
_REMOVED = ".removed-"


class Leftovers:
    """Looks for them again and again: a sandbox of a run that is held here may only just have been made, so it is seen twice."""

    def __init__(self) -> None:
        self._unclaimed: dict[SandboxHandle, float] = {}  # since when

    async def remove(self, node: Node, *, grace_seconds: float = GRACE_SECONDS) -> bool:
        """End sandboxes that no run of this node claims, and remove folders of runs that are not this node's. Raises HedgerowError.

        Whether there is one that may only just have been made, so that it has to be looked for once more.
        """
        waits = await self._end_sandboxes(node, grace_seconds)
        await _remove_folders(node)
        return waits

    async def _end_sandboxes(self, node: Node, grace_seconds: float) -> bool:
        found = [sandbox for provider in node.sandboxes.values() for sandbox in await provider.find(str(node.id))]
        if not found:
            return False
        ours = await held(node)
        claimed, held_here = {run.execution.sandbox for run in ours}, {str(run.id) for run in ours}
        unclaimed = [sandbox for sandbox in found if sandbox.handle not in claimed and sandbox.name not in node.one_shots]
        now = steady_seconds()
        self._unclaimed = {sandbox.handle: self._unclaimed.get(sandbox.handle, now) for sandbox in unclaimed}
        waits = False
        for sandbox in unclaimed:
            if sandbox.name not in held_here or now - self._unclaimed[sandbox.handle] >= grace_seconds:
                await _end_sandbox(node, sandbox)
            else:
                waits = True
        return waits


async def _end_sandbox(node: Node, sandbox: FoundSandbox) -> None:
    log.warning("a sandbox that no run claims is ended", sandbox=sandbox.name)
    try:
        await node.sandboxes[sandbox.handle.provider].destroy(sandbox.handle)
    except HedgerowError as error:
        log.warning("it cannot be ended; tried again later", sandbox=sandbox.name, reason=error.message)


async def held(node: Node) -> list[TaskRun]:
    """The runs that this node holds and has not cleaned up."""
    async with node.backends.database.transaction() as tx:
        return await executions.held_by(tx, node.id)


async def close_doors(node: Node) -> None:
    """Cut those sandboxes off whose runs this node holds no more: their agents are told nothing, and nothing of them passes."""
    ours = {run.id for run in await held(node)}
    for run_id in node.gate.open_runs():
        if run_id not in ours:
            log.warning("another machine has taken a run over; its sandbox is cut off", run_id=str(run_id))
            await node.gate.close(run_id)


async def _remove_folders(node: Node) -> None:
    there = await asyncio.to_thread(_run_folders, node.data_dir / "runs")
    if not there:
        return
    async with node.backends.database.transaction() as tx:
        owners = await executions.owners(tx, list(there))
    for run_id in there:
        if owners.get(run_id) != node.id and not node.folders(run_id).kept:
            await _remove_folder(node, run_id)
    await asyncio.to_thread(_finish_removing, node.data_dir / "runs")


async def _remove_folder(node: Node, run_id: UUID) -> None:
    """Move it away while nobody can claim the run, for a new start of it may lie in the same place."""
    folders = node.folders(run_id)
    async with node.backends.database.transaction() as tx:
        run = await runs.load_for_update(tx, run_id)
        if run is not None and (run.execution.node_id == node.id or str(folders.root) in (run.error_message or "")):
            return
        log.info("the folder of a run that is not held here is removed", run_id=str(run_id))
        try:
            await asyncio.to_thread(_set_off, folders)
        except OSError as error:
            log.warning("it cannot be removed", run_id=str(run_id), reason=error.strerror)
    await node.gate.close(run_id)


def _run_folders(parent: Path) -> dict[UUID, Path]:
    found = {}
    for path in parent.iterdir() if parent.is_dir() else ():
        try:
            found[UUID(path.name)] = path
        except ValueError:
            continue  # kept on purpose, or being removed
    return found


def _set_off(folders: RunFolders) -> None:
    folders.root.rename(folders.root.with_name(f"{_REMOVED}{folders.root.name}-{secrets.token_hex(4)}"))
    shutil.rmtree(folders.sockets, ignore_errors=True)


def _finish_removing(parent: Path) -> None:
    for path in parent.glob(f"{_REMOVED}*"):
        RunFolders(root=path, sockets=path / "s").remove()
