"""The door of one run in the worker's gate: what its sandbox reaches, and where it is reached."""

from typing import Any

import structlog

from hedgerow.agents.base import AgentLaunch
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.errors import HedgerowError, NotFoundError
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, PublicHosts
from hedgerow.lifecycle.agent_choice import choose_agent
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.facts import change
from hedgerow.lifecycle.node import Node
from hedgerow.operations import sandbox_environments
from hedgerow.sandboxes.base import SandboxProvider

log = structlog.get_logger()


async def open_door(node: Node, run: TaskRun, provider: SandboxProvider, launch: AgentLaunch | None) -> None:
    """Let the run's sandbox reach the control plane, the hosts of its agent's model, and what the operator and its sandbox environment
    allow. Safe to repeat. Raises NotFoundError where that environment is gone.
    """
    environment = await sandbox_environments.of_run(node.backends, run)
    await _open(node, run, provider, launch, NO_PUBLIC_HOSTS if environment is None else environment.public_hosts)


async def _open(node: Node, run: TaskRun, provider: SandboxProvider, launch: AgentLaunch | None, public: PublicHosts) -> None:
    models = launch.hosts if launch is not None else frozenset()
    allowed = models | node.egress if provider.isolated else frozenset()
    sockets = node.folders(run.id).sockets
    await node.gate.open(run.id, sockets, allowed, provider.owner, public=public if provider.isolated else NO_PUBLIC_HOSTS)


async def reopen_door(node: Node, run: TaskRun) -> None:
    """Take up the sandbox of an earlier worker: its door opens again, and clients are told where it is reached now.

    Where that cannot be, the run ends as one whose sandbox is lost, so that it keeps no other run from going on. Raises DatabaseLostError.
    """
    try:
        await _reopen(node, run)
    except DatabaseLostError:
        raise
    except HedgerowError as error:
        log.warning("a sandbox cannot be taken up again", run_id=str(run.id), reason=error.message)
        message = f"The sandbox could not be reached again after a restart: {error.message}"
        await conclude_unless_ending(node, run, Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message=message))


async def _reopen(node: Node, run: TaskRun) -> None:
    handle = run.execution.sandbox
    assert handle is not None
    provider = node.sandboxes[handle.provider]
    launch = await _launch(node, run, provider)
    try:
        await open_door(node, run, provider, launch)
    except NotFoundError as error:
        log.warning("a run goes on with the operator's hosts alone", run_id=str(run.id), reason=error.message)
        await _open(node, run, provider, launch, NO_PUBLIC_HOSTS)
    if run.execution.session_ready_at is not None:
        await change(node, run, lambda fresh: with_sandbox_url(node, fresh))


async def _launch(node: Node, run: TaskRun, provider: SandboxProvider) -> AgentLaunch | None:
    """How the agent was started; None where it could not be started again, which keeps only its model out of reach."""
    try:
        agent = choose_agent(node, run)
        return agent.launch(await node.runtime_tree(agent.name), run, node.folders(run.id).home, isolated=provider.isolated)
    except HedgerowError as error:
        log.warning("an agent's model hosts are unknown", run_id=str(run.id), reason=error.message)
        return None


def with_sandbox_url(node: Node, run: TaskRun) -> dict[str, Any]:
    """The columns that tell clients where the run's agent server is reached; none where they know already."""
    url = f"{node.worker_url()}{_path(run)}"
    return {} if run.state.get("sandbox_url") == url else {"state": run.state | {"sandbox_url": url}}


def without_sandbox_url(run: TaskRun) -> dict[str, Any]:
    """The columns without what `with_sandbox_url` told; none where nothing was told, or a client has named a place of its own."""
    url = run.state.get("sandbox_url")
    if not isinstance(url, str) or not url.endswith(_path(run)):
        return {}
    return {"state": {key: value for key, value in run.state.items() if key != "sandbox_url"}}


def _path(run: TaskRun) -> str:
    return f"/sandboxes/{run.id}"
