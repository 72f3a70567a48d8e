"""The steps of which a script for the scripted agent consists."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class ScriptError(Exception):
    """The script cannot be played; the message names the step and what would be right."""


@dataclass(frozen=True, slots=True)
class Say:
    """Stream a message to the reader."""

    text: str
    delay_seconds: float = 0.0  # between two chunks


@dataclass(frozen=True, slots=True)
class Think:
    """Stream a thought."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Report a tool call without doing anything."""

    title: str
    kind: str = "other"
    input: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    failed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Ask for permission. A refusal ends the turn unless `go_on` is set."""

    title: str
    kind: str = "other"
    options: tuple[Mapping[str, str], ...] = (
        {"optionId": "allow", "name": "Allow", "kind": "allow_once"},
        {"optionId": "allow_always", "name": "Always allow", "kind": "allow_always"},
        {"optionId": "reject", "name": "Reject", "kind": "reject_once"},
    )
    go_on: bool = False


@dataclass(frozen=True, slots=True)
class Write:
    """Write a file of the workspace."""

    path: str
    content: str


@dataclass(frozen=True, slots=True)
class Run:
    """Run a shell command in the workspace."""

    command: str
    timeout_seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class Fail:
    """Answer the prompt with an error."""

    message: str


@dataclass(frozen=True, slots=True)
class Sleep:
    """Do nothing for a while."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Exit:
    """Let the process die."""

    code: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Report a plan."""

    entries: tuple[Mapping[str, str], ...]


@dataclass(frozen=True, slots=True)
class Burst:
    """Send that many updates as fast as they are taken."""

    count: int
    text: str


@dataclass(frozen=True, slots=True)
class Repeat:
    """Play steps several times."""

    times: int
    steps: tuple["Step", ...]


Step = Say | Think | Tool | Ask | Write | Run | Fail | Sleep | Exit | Plan | Burst | Repeat
