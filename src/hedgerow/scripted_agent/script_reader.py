"""Reads scripts: finds the one that stands in a prompt, and checks it wholly before anything is played. Pure."""

import json
import re
from collections.abc import Callable
from typing import Any

from hedgerow.scripted_agent.script import Ask, Burst, Exit, Fail, Plan, Repeat, Run, Say, ScriptError, Sleep, Step, Think, Tool, Write

MOST_STEPS = 100_000
TOOL_KINDS = ("read", "edit", "delete", "move", "search", "execute", "think", "fetch", "switch_mode", "other")
OPTION_KINDS = ("allow_once", "allow_always", "reject_once", "reject_always")
PLAN_STATUSES = ("pending", "in_progress", "completed")
PLAN_PRIORITIES = ("high", "medium", "low")

_FENCE = re.compile(r"```json[ \t]*\r?\n(.*?)```", re.DOTALL)
_LOOKS_LIKE_JSON = re.compile(r"\{\s*[\"}]|\[\s*[{\]]")


def read_script(prompt: str) -> tuple[Step, ...] | None:
    """The script in a prompt: the whole text, or its first ```json block; None where it holds plain text. Raises ScriptError."""
    text = prompt.strip()
    if _LOOKS_LIKE_JSON.match(text):
        return _steps_of(_load(text))
    fence = _FENCE.search(prompt)
    if fence is None:
        return None
    document = _load(fence.group(1))
    return _steps_of(document) if isinstance(document, list) or (isinstance(document, dict) and "steps" in document) else None


def _load(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise ScriptError(f"The script is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise ScriptError("The script is nested too deeply.") from error


def _steps_of(document: Any) -> tuple[Step, ...]:
    steps = document.get("steps") if isinstance(document, dict) else document
    if not isinstance(steps, list):
        raise ScriptError('The script must be a list of steps, or an object with a list "steps".')
    counted = _Counter()
    return tuple(_step(step, f"{index}", counted) for index, step in enumerate(steps))


class _Counter:
    """Bounds how much one script can make the agent do."""

    def __init__(self) -> None:
        self.left = MOST_STEPS

    def take(self, where: str, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise ScriptError(f"Step {where} makes the script too long: at most {MOST_STEPS} steps and burst entries are played.")


def _step(step: Any, where: str, counter: _Counter, times: int = 1) -> Step:
    if isinstance(step, str):
        step = {step: {}}
    if not isinstance(step, dict) or len(step) != 1:
        raise ScriptError(
            f'Step {where} must be an object with exactly one key, for example {{"say": "Hello"}}; keys are {", ".join(_NAMES)}.'
        )
    name, value = next(iter(step.items()))
    counter.take(where, times)
    if name == "repeat":
        return _repeat(_Fields(value, where, name), counter, times)
    kind = _KINDS.get(name)
    if kind is None:
        raise ScriptError(f"Step {where} has the unknown key {name!r}; keys are {', '.join(_NAMES)}.")
    built = kind(_Fields(value, where, name))
    if isinstance(built, Burst):
        counter.take(where, built.count * times)
    return built


class _Fields:
    """The value of a step: read field by field, with sentences for what is wrong. A plain value stands for the main field."""

    def __init__(self, value: Any, where: str, name: str) -> None:
        self._plain = None if isinstance(value, dict) else value
        self._fields = value if isinstance(value, dict) else {}
        self.where, self._name = where, name
        self._read: set[str] = set()

    def error(self, sentence: str) -> ScriptError:
        return ScriptError(f"Step {self.where} ({self._name}): {sentence}")

    def get(self, key: str, *, main: bool = False) -> Any:
        self._read.add(key)
        return self._plain if main and self._plain is not None else self._fields.get(key)

    def text(self, key: str, default: str | None = None, *, main: bool = False) -> str:
        value = self.get(key, main=main)
        value = default if value is None else value
        if not isinstance(value, str):
            raise self.error(f"{key} must be a string.")
        return value

    def number(self, key: str, default: float | None, *, most: float, main: bool = False) -> float:
        value = self.get(key, main=main)
        value = default if value is None else value
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
            raise self.error(f"{key} must be a number from 0 to {most:g}.")
        return value

    def whole(self, key: str, default: int | None, *, most: int, main: bool = False) -> int:
        value = self.number(key, default, most=most, main=main)
        if not isinstance(value, int):
            raise self.error(f"{key} must be a whole number.")
        return value

    def one_of(self, key: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(key, default)
        if value not in choices:
            raise self.error(f"{key} must be one of {', '.join(choices)}.")
        return value

    def flag(self, key: str) -> bool:
        value = self.get(key)
        if not isinstance(value, bool | None):
            raise self.error(f"{key} must be true or false.")
        return bool(value)

    def done(self) -> None:
        unknown = sorted(set(self._fields) - self._read)
        if unknown:
            raise self.error(f"{unknown[0]} is not known here; known are {', '.join(sorted(self._read))}.")


def _repeat(fields: _Fields, counter: _Counter, times: int) -> Repeat:
    count = fields.whole("times", None, most=MOST_STEPS)
    steps = fields.get("steps")
    fields.done()
    if not isinstance(steps, list):
        raise fields.error("steps must be a list of steps.")
    where = f"{fields.where}."
    return Repeat(count, tuple(_step(step, f"{where}{index}", counter, times * max(1, count)) for index, step in enumerate(steps)))


def _whole(build: Callable[[_Fields], Step]) -> Callable[[_Fields], Step]:
    """Refuse fields that the step does not know: a misspelt one would silently do nothing."""

    def checked(fields: _Fields) -> Step:
        step = build(fields)
        fields.done()
        return step

    return checked


def _tool(fields: _Fields) -> Step:
    given = fields.get("input")
    if not isinstance(given, dict | None):
        raise fields.error("input must be an object.")
    return Tool(
        title=fields.text("title", None, main=True),
        kind=fields.one_of("kind", TOOL_KINDS, "other"),
        input=given or {},
        output=fields.text("output", ""),
        failed=fields.one_of("status", ("completed", "failed"), "completed") == "failed",
    )


def _ask(fields: _Fields) -> Step:
    title, kind, go_on = fields.text("title", "Go on", main=True), fields.one_of("kind", TOOL_KINDS, "other"), fields.flag("go_on")
    options = fields.get("options")
    if options is None:
        return Ask(title=title, kind=kind, go_on=go_on)
    if not isinstance(options, list) or not options:
        raise fields.error("options must be a list of objects with optionId, name and kind.")
    return Ask(title=title, kind=kind, go_on=go_on, options=tuple(_option(fields, option) for option in options))


def _option(fields: _Fields, option: Any) -> dict[str, str]:
    if not isinstance(option, dict) or not isinstance(option.get("optionId"), str) or option.get("kind") not in OPTION_KINDS:
        raise fields.error(f"each of options needs an optionId and a kind, one of {', '.join(OPTION_KINDS)}.")
    return {"optionId": option["optionId"], "name": str(option.get("name", option["optionId"])), "kind": option["kind"]}


def _plan(fields: _Fields) -> Step:
    entries = fields.get("entries", main=True)
    if not isinstance(entries, list) or not entries:
        raise fields.error("entries must be a list of texts, or of objects with content, status and priority.")
    return Plan(tuple(_plan_entry(fields, entry) for entry in entries))


def _plan_entry(fields: _Fields, entry: Any) -> dict[str, str]:
    given = {"content": entry} if isinstance(entry, str) else entry
    if not isinstance(given, dict) or not isinstance(given.get("content"), str):
        raise fields.error("each of entries must be a text, or an object with content.")
    status, priority = given.get("status", "pending"), given.get("priority", "medium")
    if status not in PLAN_STATUSES or priority not in PLAN_PRIORITIES:
        raise fields.error(f"status must be one of {', '.join(PLAN_STATUSES)}; priority one of {', '.join(PLAN_PRIORITIES)}.")
    return {"content": given["content"], "status": status, "priority": priority}


_LONGEST_SECONDS = 86_400.0

_KINDS: dict[str, Callable[[_Fields], Step]] = {
    "say": _whole(lambda f: Say(f.text("text", main=True), f.number("delay_seconds", 0.0, most=60.0))),
    "think": _whole(lambda f: Think(f.text("text", main=True))),
    "tool": _whole(_tool),
    "ask": _whole(_ask),
    "write": _whole(lambda f: Write(f.text("path"), f.text("content", ""))),
    "run": _whole(lambda f: Run(f.text("command", main=True), f.number("timeout_seconds", 600.0, most=_LONGEST_SECONDS))),
    "fail": _whole(lambda f: Fail(f.text("message", "The script asked for this failure.", main=True))),
    "sleep": _whole(lambda f: Sleep(f.number("seconds", None, most=_LONGEST_SECONDS, main=True))),
    "exit": _whole(lambda f: Exit(f.whole("code", 1, most=255, main=True))),
    "plan": _whole(_plan),
    "burst": _whole(lambda f: Burst(f.whole("count", None, most=MOST_STEPS, main=True), f.text("text", "An entry of a burst."))),
}

_NAMES = (*_KINDS, "repeat")
