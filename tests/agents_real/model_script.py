"""How a prompt scripts the model: each line that starts with `model:` is one reply of the model, in order.

    model: run COMMAND            call the agent's shell tool
    model: write PATH TEXT        make a file that holds TEXT and a line break
    model: call TOOL {"json": 1}  call any tool of the agent
    model: wait SECONDS           let the next reply wait
    model: say TEXT               say this with the next reply
    model: fail STATUS TEXT       answer every request with this error

After the last one the model says what was said last, or `FAREWELL`, and ends its turn.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

FAREWELL = "All done."

_DIRECTIVE = re.compile(r"^\s*model:\s*(run|write|call|wait|say|fail)\s+(.*?)\s*$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Failure:
    """An error to answer with."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A tool to call. `kind` is run, write or call; each protocol knows its agent's own tool for the first two."""

    kind: str
    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """What the model answers: words, then a tool call unless the turn is over, all after a pause."""

    text: str = ""
    call: ToolCall | None = None
    failure: Failure | None = None
    pause_seconds: float = 0.0


def replies(prompt: str) -> list[Reply]:
    """The replies that a prompt scripts, in order; the last one ends the turn."""
    found: list[Reply] = []
    text, pause = "", 0.0
    for kind, argument in _DIRECTIVE.findall(prompt):
        if kind == "say":
            text = argument
        elif kind == "wait":
            pause = float(argument)
        elif kind == "fail":
            status, _, message = argument.partition(" ")
            return [*found, Reply(failure=Failure(int(status), message), pause_seconds=pause)]
        else:
            found.append(Reply(text=text, call=_tool_call(kind, argument), pause_seconds=pause))
            text, pause = "", 0.0
    return [*found, Reply(text=text or FAREWELL, pause_seconds=pause)]


def scripted(prompt: str) -> bool:
    """Whether a text holds any directive."""
    return _DIRECTIVE.search(prompt) is not None


def choose(turns: Sequence[tuple[str, int]]) -> Reply:
    """The reply that is due. `turns` are the user's texts, each with the number of tool results that came after it."""
    for prompt, results in reversed(turns):
        if scripted(prompt):
            script = replies(prompt)
            return script[min(results, len(script) - 1)]
    return Reply(text=FAREWELL)


def _tool_call(kind: str, argument: str) -> ToolCall:
    first, _, rest = argument.partition(" ")
    if kind == "run":
        return ToolCall(kind, "", {"command": argument})
    if kind == "write":
        return ToolCall(kind, "", {"path": first, "text": rest + "\n"})
    return ToolCall(kind, first, json.loads(rest))
