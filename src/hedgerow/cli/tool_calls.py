"""A tool call of an agent, from its first mention to its short result (ACP, tool calls)."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.cli.safe_text import one_line

KINDS = {"execute": "run", "switch_mode": "mode", "other": "tool"}
_EXIT_CODE_KEYS = ("exit_code", "exitCode", "exit_status", "code")
_EXIT_CODE = re.compile(r"\b[Ee]xit(?:ed with)? code:? (\d+)")


@dataclass(slots=True)
class ToolCall:
    """What is known of a call so far. Each update names what changed."""

    id: str
    title: str = ""
    kind: str = "other"
    status: str = "pending"
    content: list[Any] = field(default_factory=list)
    raw_output: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    command: str | None = None
    began: datetime | None = None
    ended: datetime | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more is to come."""
        return self.status in {"completed", "failed"}

    @property
    def seconds(self) -> float | None:
        """How long it took, where the entries tell."""
        return (self.ended - self.began).total_seconds() if self.began and self.ended else None

    def apply(self, update: Mapping[str, Any], at: datetime | None) -> None:
        """Take over what a `tool_call` or `tool_call_update` says."""
        self.title = _text(update.get("title")) or self.title
        self.kind = _text(update.get("kind")) or self.kind
        self.status = _text(update.get("status")) or self.status
        if isinstance(update.get("content"), list) and update["content"]:
            self.content = update["content"]
        if update.get("rawOutput") is not None:
            self.raw_output = update["rawOutput"]
        if isinstance(update.get("_meta"), dict):
            self.meta = {**self.meta, **update["_meta"]}
        raw_input = update.get("rawInput")
        if isinstance(raw_input, dict):
            self.command = _command(raw_input.get("command")) or self.command
        self.began = self.began or at
        self.ended = at if self.over else None

    @property
    def name(self) -> str:
        """The kind in a word."""
        return one_line(KINDS.get(self.kind, self.kind), 12)

    @property
    def line(self) -> str:
        """What the call does, on one line."""
        title = one_line(self.title, 300)
        if self.kind == "execute" and self.command:
            command = one_line(self.command, 300)
            return command if command in title or title.lower() in {"", "bash", "terminal", "shell"} else f"{title}: {command}"
        first, _, rest = title.partition(" ")
        return (rest if first.lower() == self.name and rest else title) or one_line(self.id, 40)

    @property
    def result(self) -> str:
        """How it went, in a few words: the change of a file, the exit code, or the first words of an error; may be empty."""
        parts = [*self._changes(), *self._exit()]
        if self.status == "failed" and not parts:
            parts.append(one_line(_first_text(self.content) or _output_text(self.raw_output) or "failed", 120))
        return "  ".join(parts)

    def _changes(self) -> list[str]:
        added = removed = 0
        diffs = [item for item in self.content if isinstance(item, dict) and item.get("type") == "diff"]
        for diff in diffs:
            plus, minus = _count(str(diff.get("oldText") or ""), str(diff.get("newText") or ""))
            added, removed = added + plus, removed + minus
        return [f"+{added} -{removed}"] if diffs else []

    def _exit(self) -> list[str]:
        code = self.exit_code
        if code is None or (code == 0 and self.kind != "execute"):
            return []
        return [f"exit {code}"]

    @property
    def exit_code(self) -> int | None:
        """The exit code of a command, from wherever this kind of agent puts it."""
        places = (self.raw_output, self.meta.get("terminal_exit"))
        for place in places:
            if isinstance(place, dict):
                for key in _EXIT_CODE_KEYS:
                    if isinstance(place.get(key), int) and not isinstance(place[key], bool):
                        return int(place[key])
        if self.kind == "execute" and self.status == "failed":
            match = _EXIT_CODE.search((_first_text(self.content) or _output_text(self.raw_output))[:2000])
            return int(match.group(1)) if match else None
        return None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _command(value: Any) -> str:
    """A command line, given as text or as a list of words; what a shell is only asked to run stands for the whole."""
    if isinstance(value, list):
        words = [str(word) for word in value]
        return words[2] if len(words) == 3 and words[1] in {"-c", "-lc"} else " ".join(words)
    return _text(value)


def _first_text(content: list[Any]) -> str:
    for item in content:
        inner = item.get("content") if isinstance(item, dict) else None
        if isinstance(inner, dict) and isinstance(inner.get("text"), str) and inner["text"].strip():
            return str(inner["text"])
    return ""


def _output_text(raw_output: Any) -> str:
    if isinstance(raw_output, str):
        return raw_output
    if isinstance(raw_output, dict):
        for key in ("error", "stderr", "message", "output", "stdout", "formatted_output"):
            if isinstance(raw_output.get(key), str) and raw_output[key].strip():
                return str(raw_output[key])
    return ""


def _count(old: str, new: str) -> tuple[int, int]:
    """How many lines were added and removed. A line that only moved counts as neither, so that this stays linear."""
    before, after = Counter(old.splitlines()), Counter(new.splitlines())
    return (after - before).total(), (before - after).total()
