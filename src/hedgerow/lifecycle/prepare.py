"""What a run needs before its agent can start: a sandbox with its agent server, and the repository in its workspace."""

import asyncio
import os
import stat
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from hedgerow.agents import runtime_tree
from hedgerow.agents.base import AgentLaunch
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.actions import Prepare
from hedgerow.domain.branches import result_branch
from hedgerow.domain.checkpoints import restored
from hedgerow.domain.errors import HedgerowError, InvalidError, UnavailableError
from hedgerow.domain.progress import Step
from hedgerow.domain.runs import EndReason, TaskRun
from hedgerow.domain.sandboxes import Mount, SandboxSpec
from hedgerow.domain.takeovers import lives_by_its_checkpoint
from hedgerow.lifecycle.agent_choice import AgentChoice, choose_agent
from hedgerow.lifecycle.agent_server import agent_server_environment
from hedgerow.lifecycle.door import open_door
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.facts import TakenOverError, record
from hedgerow.lifecycle.github import commit_author, git_login
from hedgerow.lifecycle.node import Node, RunFolders, make_private
from hedgerow.lifecycle.origin import Origin, origin_of
from hedgerow.lifecycle.restore import restore
from hedgerow.lifecycle.sandbox_choice import choose_sandbox
from hedgerow.lifecycle.steps import step
from hedgerow.repositories import Checkout
from hedgerow.sandboxes.base import SandboxProvider


async def prepare(node: Node, run: TaskRun, action: Prepare) -> None:
    """Make the sandbox and the workspace side by side. Raises EndsRunError; then neither is left half-made for a next look."""
    agent = choose_agent(node, run)
    provider = await choose_sandbox(node, agent)
    origin = await origin_of(node, run)
    folders = node.folders(run.id)
    await asyncio.to_thread(make_folders, folders, provider.owner)
    if origin.mirror is not None:
        origin.mirror.parent.mkdir(parents=True, exist_ok=True)
    async with asyncio.TaskGroup() as both:
        if action.sandbox:
            both.create_task(_sandbox(node, run, agent, provider, origin))
        if action.workspace:
            both.create_task(_workspace(node, run, provider, origin))


def make_folders(folders: RunFolders, owner: tuple[int, int] | None) -> None:
    """The folders of a run, open to nobody but hedgerow and the sandbox's account. Safe to repeat.

    Raises UnavailableError where another account has taken the place of the sockets.
    """
    folders.root.mkdir(mode=0o711, parents=True, exist_ok=True)
    _make_own(folders.sockets.parent)
    for folder in (folders.workspace, folders.home, folders.spool, folders.sockets):
        make_private(folder, owner)


def _make_own(folder: Path) -> None:
    """Make a folder that others may only pass through. It may lie where everybody may write, so nobody's but our own is taken."""
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise UnavailableError(f"The folder {folder} belongs to another account: remove it, or use a data directory with a shorter path.")
    folder.chmod(0o711)


async def _sandbox(node: Node, run: TaskRun, agent: AgentChoice, provider: SandboxProvider, origin: Origin) -> None:
    tree, launch = await _programs(node, run, agent, provider)
    async with step(node, run, Step.SANDBOX) as note:
        note.detail = provider.name if provider.isolated else f"{provider.name}, without isolation: its network is this machine's"
        try:
            await open_door(node, run, provider, launch)
            await asyncio.to_thread(node.folders(run.id).note_runtime, tree)
            await _whole(_create(node, run, provider, await _spec(node, run, tree, origin, provider.isolated)))
        except HedgerowError as error:
            raise EndsRunError(EndReason.SANDBOX_FAILED, error.message, passing=error.passing) from error


async def _programs(node: Node, run: TaskRun, agent: AgentChoice, provider: SandboxProvider) -> tuple[Path, AgentLaunch]:
    """The runtime tree with the agent in it, and how the agent is started. A missing key shows here, before anything is made."""
    try:
        tree = await node.runtime_tree.tree()
        if not agent.runtime.installed(tree):
            async with step(node, run, Step.INSTALL) as note:
                note.detail = agent.name
                await node.runtime_tree(agent.name)
        return tree, agent.launch(tree, run, node.folders(run.id).home, isolated=provider.isolated)
    except HedgerowError as error:
        raise EndsRunError(EndReason.START_FAILED, error.message, passing=error.passing) from error


async def _whole(work: Coroutine[Any, Any, None]) -> None:
    """Do a short piece of work to its end, also where this is cancelled meanwhile: whoever goes on finds it done, never in the middle."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.gather(task, return_exceptions=True)
        raise


async def _create(node: Node, run: TaskRun, provider: SandboxProvider, spec: SandboxSpec) -> None:
    """Create and record in one piece, so that a sandbox that nobody knows of can't be left by a cancel between the two."""
    handle = await provider.create(spec)
    try:
        await record(node, run, {"sandbox": {"provider": handle.provider, "id": handle.id}, "sandbox_made_at": node.backends.clock.now()})
    except BaseException:
        await provider.destroy(handle)
        raise


async def _spec(node: Node, run: TaskRun, tree: Path, origin: Origin, isolated: bool) -> SandboxSpec:
    folders = node.folders(run.id)
    command, environment = await agent_server_environment(node, run, tree, isolated=isolated)
    return SandboxSpec(
        name=str(run.id),
        command=command,
        working_directory=folders.workspace,
        home=folders.home,
        mounts=(
            *(Mount(path, writable=True) for path in (folders.workspace, folders.home, folders.spool, folders.sockets)),
            *(Mount(path) for path in (*runtime_tree.folders(tree), origin.mirror_folder) if path is not None),
        ),
        environment=environment,
        log_file=folders.root / "agent-server.log",
        owner=str(node.id),
    )


async def _workspace(node: Node, run: TaskRun, provider: SandboxProvider, origin: Origin) -> None:
    if origin.clone_url is None:
        await record(node, run, {"checked_out_at": node.backends.clock.now()})
        return
    checkout = await _check_out(node, run, provider, origin, origin.clone_url, to_restore=run.execution.checkpoint is not None)
    facts: dict[str, Any] = {"base_commit": checkout.base_commit}
    if run.execution.checkpoint is not None:
        try:
            base_commit = await restore(node, run, provider, checkout)
            facts = {"base_commit": base_commit, "checkpoint": restored(run.execution.checkpoint)}
        except (TakenOverError, DatabaseLostError):
            raise
        except UnavailableError as error:
            raise EndsRunError(EndReason.START_FAILED, error.message, passing=error.passing) from error
        except InvalidError as error:
            if run.execution.ending is not None or run.status.terminal:
                raise  # it was only to be landed
            if lives_by_its_checkpoint(run):
                # Not without the end: a look in between would go on from the plain branch, and tell it as what the agent has done.
                message = f"The machine that held this run was lost. {error.message}"
                raise EndsRunError(EndReason.SANDBOX_LOST, message, facts={"checkpoint": None}) from error
            checkout = await _check_out(node, run, provider, origin, origin.clone_url, to_restore=False)
            facts = {"base_commit": checkout.base_commit, "checkpoint": None}
    await record(node, run, facts | {"checked_out_at": node.backends.clock.now()})


async def _check_out(node: Node, run: TaskRun, provider: SandboxProvider, origin: Origin, clone_url: str, *, to_restore: bool) -> Checkout:
    """Fill the workspace anew. Raises EndsRunError.

    `to_restore`: a checkpoint is to be put into it, and brings its own branch. The run's may be nowhere: it could not be pushed.
    """
    async with step(node, run, Step.CHECKOUT) as note:
        try:
            at = partial(
                node.repositories.check_out,
                project_id=run.project_id,
                clone_url=clone_url,
                branch=result_branch(origin.task_slug, run.number),
                workspace=node.folders(run.id).workspace,
                owner=provider.owner,
                login=await git_login(node, run, clone_url),
                author=await commit_author(node, run),
            )
            try:
                checkout = await at(base=run.branch)
            except InvalidError as error:
                if error.attr != "branch" or not to_restore:
                    raise
                checkout = await at(base=None)
        except HedgerowError as error:
            raise EndsRunError(EndReason.START_FAILED, error.message, passing=error.passing) from error
        note.detail = " at ".join(filter(None, (checkout.base_branch, checkout.base_commit[:12])))
        return checkout
