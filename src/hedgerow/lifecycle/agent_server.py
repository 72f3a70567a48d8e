"""What the agent server of a run is started with, told, and reached by."""

import math
from pathlib import Path
from typing import Any

from hedgerow.agents.base import AgentLaunch
from hedgerow.agents.connection import AgentConnection
from hedgerow.agents.runtime_tree import python_command
from hedgerow.domain import run_tokens
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.agent_choice import AgentChoice
from hedgerow.lifecycle.github import agent_environment
from hedgerow.lifecycle.node import Node
from hedgerow.operations import connection_tokens, relays, sandbox_environments

_OWN_PREFIX = "HEDGEROW_"


async def connect(node: Node, run: TaskRun) -> AgentConnection:
    """A connection to the run's agent server, which need not answer yet."""
    return AgentConnection(node.folders(run.id).sockets, await connection_tokens.mint(node.backends, None, run))


async def agent_server_environment(node: Node, run: TaskRun, tree: Path, *, isolated: bool) -> tuple[tuple[str, ...], dict[str, str]]:
    """The command of the agent server and its environment, in which there is no secret."""
    folders = node.folders(run.id)
    return (*python_command(tree), "-m", "hedgerow.agent_server"), {
        "HEDGEROW_RUN_ID": str(run.id),
        "HEDGEROW_TASK_ID": str(run.task_id),
        "HEDGEROW_PROJECT_ID": str(run.project_id),
        "HEDGEROW_SOCKETS": str(folders.sockets),
        "HEDGEROW_SPOOL": str(folders.spool),
        "HEDGEROW_WORKSPACE": str(folders.workspace),
        "HEDGEROW_ISOLATED": "1" if isolated else "0",
        "JWT_PUBLIC_KEY": await connection_tokens.public_key(node.backends),
    }


async def session_body(node: Node, run: TaskRun, agent: AgentChoice) -> dict[str, Any]:
    """What `POST /session` says: how to start the agent, and with what the agent server reports home.

    Raises NotFoundError where the run's sandbox environment is gone.
    """
    handle = run.execution.sandbox
    assert handle is not None
    isolated = node.sandboxes[handle.provider].isolated
    tree = await node.runtime_tree(agent.name)
    launch = agent.launch(tree, run, node.folders(run.id).home, isolated=isolated)
    tells_thread = await relays.is_told(node.backends, run)
    return {
        "run_token": run_tokens.mint(node.backends.rules.secrets[0], run.id, run.execution.epoch),
        "epoch": run.execution.epoch,
        "mode": run.mode.value,
        "lease_seconds": None if math.isinf(node.lease.seconds) else node.lease.seconds,
        "agent": {
            "command": list(launch.command),
            "environment": {**launch.environment, **await agent_environment(node, run)},
            "variables": await _variables(node, run, launch),
            "session_meta": dict(launch.session_meta),
            "mode": launch.mode,
            "model": launch.model,
            "reasoning_effort": launch.reasoning_effort,
            "files": dict(launch.files),
            "gives_up": [{"pattern": dict(rule.pattern), "sentence": rule.sentence} for rule in launch.gives_up],
        },
        "tells_thread": tells_thread,
        "background_permissions": node.backends.rules.background_permissions,
        "asks_in_thread": tells_thread and relays.comes_from_slack(run),
        "relays": [str(address) for address in launch.relays],
    }


async def _variables(node: Node, run: TaskRun, launch: AgentLaunch) -> dict[str, str]:
    """The variables of the run's sandbox environment, without those that hedgerow and the agent's operator keep to themselves."""
    environment = await sandbox_environments.of_run(node.backends, run)
    if environment is None:
        return {}
    reserved = (_OWN_PREFIX, *launch.reserved)
    variables = sandbox_environments.variables_of(node.backends, environment)
    return {name: value for name, value in variables.items() if not name.upper().startswith(reserved)}
