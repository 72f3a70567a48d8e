"""Agents: how each kind is installed, started and reached. A new one is one file and one entry in this table."""

from collections.abc import Callable, Mapping

from hedgerow.agents.base import AgentRuntime
from hedgerow.agents.claude import ClaudeRuntime
from hedgerow.agents.codex import CodexRuntime
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.scripted import ScriptedRuntime

RUNTIMES: Mapping[str, Callable[[AgentOptions], AgentRuntime]] = {
    "claude": ClaudeRuntime,
    "codex": CodexRuntime,
    "scripted": ScriptedRuntime,
}


def runtimes(options: AgentOptions) -> dict[str, AgentRuntime]:
    """Every kind of agent by its name, with the operator's keys."""
    return {name: make(options) for name, make in RUNTIMES.items()}
