"""What every kind of agent promises: how it is installed, started and reached."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hedgerow.domain.sandboxes import HostPort


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """What a run asks of its agent. None leaves a choice to the agent."""

    model: str | None  # "default" counts as None
    reasoning_effort: str | None
    permission_mode: str
    home: Path  # the agent's own home folder inside its sandbox, empty at first
    isolated: bool  # whether the sandbox already confines it


@dataclass(frozen=True, slots=True)
class GiveUp:
    """A message of the agent that makes its turn pointless: one that contains `pattern`. People then read `sentence`."""

    pattern: Mapping[str, Any]
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentLaunch:
    """How the agent server starts the agent: handed over in memory, so that the secrets reach the agent's process alone."""

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False, default_factory=dict)  # with the operator's keys
    reserved: tuple[str, ...] = ()  # beginnings of names that the operator alone sets: they say where the keys go
    session_meta: Mapping[str, Any] = field(default_factory=dict)  # `_meta` of session/new
    mode: str | None = None  # the session mode to set, where the agent has it
    model: str | None = None  # the model to choose through the session, where the command line cannot
    reasoning_effort: str | None = None
    hosts: frozenset[HostPort] = frozenset()  # what the gate must let through
    relays: tuple[HostPort, ...] = ()  # loopback addresses outside that an isolated sandbox must find under the same address inside
    files: Mapping[str, str] = field(repr=False, default_factory=dict)  # path below its home -> text, written 0600 before it starts
    gives_up: tuple[GiveUp, ...] = ()  # what ends a turn early, where the agent itself would try for minutes


class AgentRuntime(Protocol):
    """A kind of agent. A new one is one file and one entry in `agents/__init__.py`."""

    name: str
    provider: str | None  # who makes its models; None for the scripted agent

    @property
    def has_key(self) -> bool:
        """Whether the operator's environment holds what this agent needs to talk to its model."""
        ...

    def installed(self, runtime_tree: Path) -> bool:
        """Whether the agent stands ready in the runtime tree."""
        ...

    def launch(self, runtime_tree: Path, request: LaunchRequest) -> AgentLaunch:
        """How to start it. Raises UnavailableError where it is not installed or has no key, saying what to do."""
        ...
