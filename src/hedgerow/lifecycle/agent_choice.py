"""Which agent works on a run, and with what wishes."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hedgerow.agents.base import AgentLaunch, AgentRuntime, LaunchRequest
from hedgerow.domain.reasoning import DEFAULT_PERMISSION_MODES
from hedgerow.domain.runs import EndReason, TaskRun
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.node import Node

_PREFERRED = ("claude", "codex")
_WITHOUT_KEY = "scripted"
_AGENTS_OWN_MODEL = "default"


@dataclass(frozen=True, slots=True)
class AgentChoice:
    """An agent and what a run asks of it."""

    runtime: AgentRuntime
    model: str | None
    reasoning_effort: str | None

    @property
    def name(self) -> str:
        """The agent's name."""
        return self.runtime.name

    def launch(self, tree: Path, run: TaskRun, home: Path, *, isolated: bool) -> AgentLaunch:
        """How the agent is started in a sandbox. Raises UnavailableError where it can't be."""
        mode = run.state.get("initial_permission_mode")
        request = LaunchRequest(
            model=self.model,
            reasoning_effort=self.reasoning_effort,
            permission_mode=mode if isinstance(mode, str) else DEFAULT_PERMISSION_MODES.get(self.name, "default"),
            home=home,
            isolated=isolated,
        )
        return self.runtime.launch(tree, request)


def choose_agent(node: Node, run: TaskRun) -> AgentChoice:
    """The agent that the run names; else the first that has a key; else the scripted one. Raises EndsRunError for an unknown name.

    Where the run names no model, the operator's choice counts, and where there is none, the agent's own.
    """
    name = run.state.get("runtime_adapter") or default_agent(node.agents)
    runtime = node.agents.get(name) if isinstance(name, str) else None
    if runtime is None:
        raise EndsRunError(EndReason.START_FAILED, f"There is no agent called {name!r}; there are {', '.join(sorted(node.agents))}.")
    model, effort = run.state.get("model"), run.state.get("reasoning_effort")
    return AgentChoice(
        runtime,
        model if isinstance(model, str) and model != _AGENTS_OWN_MODEL else node.default_models.get(runtime.name),
        effort if isinstance(effort, str) else None,
    )


def default_agent(agents: Mapping[str, AgentRuntime]) -> str:
    """The first agent that the operator has given a key to, else the scripted one, which needs none."""
    return next((name for name in _PREFERRED if name in agents and agents[name].has_key), _WITHOUT_KEY)
