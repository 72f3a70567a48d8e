"""What a reader of a run is shown: finished pieces, in the order in which they were finished."""

from dataclasses import dataclass
from typing import Literal

from hedgerow.cli.tool_calls import ToolCall


@dataclass(frozen=True, slots=True)
class StepOver:
    """A step of the preparation or of the landing is over."""

    label: str
    failed: bool
    detail: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Prompted:
    """A person's message reached the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class Said:
    """A whole message of the agent."""

    text: str


@dataclass(frozen=True, slots=True)
class Thought:
    """What the agent thought between two other things."""

    text: str


@dataclass(frozen=True, slots=True)
class ToolOver:
    """A tool call is over, or was broken off with its turn."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class Option:
    """A way to answer a question."""

    id: str
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class Question:
    """The agent asks for permission and waits."""

    request_id: str
    tool_call_id: str
    title: str
    options: tuple[Option, ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """A question was answered, here or elsewhere."""

    answer: str


@dataclass(frozen=True, slots=True)
class PlanEntry:
    """One point of the agent's plan."""

    content: str
    status: str


@dataclass(frozen=True, slots=True)
class Plan:
    """The agent's plan as it now stands."""

    entries: tuple[PlanEntry, ...]


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that a reader should know."""

    text: str
    level: Literal["note", "warning", "error"] = "note"


Item = StepOver | Prompted | Said | Thought | ToolOver | Question | Answered | Plan | Remark
