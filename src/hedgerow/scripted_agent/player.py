"""Plays the steps of a script as an ACP agent would report its work."""

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from hedgerow.scripted_agent.script import (
    Ask,
    Burst,
    Exit,
    Fail,
    Plan,
    Repeat,
    Run,
    Say,
    ScriptError,
    Sleep,
    Step,
    Think,
    Tool,
    Write,
)
from hedgerow.scripted_agent.shell import run_command

_CHUNK_CHARACTERS = 24


class StepFailedError(Exception):
    """The script asked for a failure, or a step could not be done; the message is for people."""


class TurnOverError(Exception):
    """The turn ends here although steps are left."""


class Reporter(Protocol):
    """The way to the client."""

    async def update(self, update: Mapping[str, Any]) -> None:
        """Send a session update."""
        ...

    async def ask(self, tool_call: Mapping[str, Any], options: list[dict[str, str]]) -> str | None:
        """Ask for permission; the id of the chosen option, None where the request was cancelled."""
        ...


class Player:
    """Plays one script in one workspace."""

    def __init__(self, reporter: Reporter, workspace: Path) -> None:
        self._reporter = reporter
        self._workspace = workspace
        self._calls = 0

    async def play(self, steps: tuple[Step, ...]) -> None:
        """Play the steps in order. Raises StepFailedError, TurnOverError, or ScriptError for a path outside the workspace."""
        for step in steps:
            await self._play_step(step)

    async def _play_step(self, step: Step) -> None:
        match step:
            case Say():
                await self._stream("agent_message_chunk", step.text, step.delay_seconds)
            case Think():
                await self._stream("agent_thought_chunk", step.text, 0.0)
            case Sleep():
                await asyncio.sleep(step.seconds)
            case Fail():
                raise StepFailedError(step.message)
            case Exit():
                _die(step.code)
            case Plan():
                await self._reporter.update({"sessionUpdate": "plan", "entries": [dict(entry) for entry in step.entries]})
            case Repeat():
                for _ in range(step.times):
                    await self.play(step.steps)
            case Tool() | Ask() | Write() | Run() | Burst():
                await self._work(step)

    async def _work(self, step: Tool | Ask | Write | Run | Burst) -> None:
        self._calls += 1
        call_id = f"call-{os.getpid()}-{self._calls}"
        match step:
            case Tool():
                await self._begin(call_id, step.title, step.kind, dict(step.input))
                await self._finish(call_id, failed=step.failed, content=_text_content(step.output), raw_output={"output": step.output})
            case Ask():
                await self._ask(call_id, step)
            case Write():
                await self._write(call_id, step)
            case Run():
                await self._run(call_id, step)
            case Burst():
                await self._burst(call_id, step)

    async def _stream(self, kind: str, text: str, delay_seconds: float) -> None:
        for start in range(0, len(text), _CHUNK_CHARACTERS):
            if start and delay_seconds:
                await asyncio.sleep(delay_seconds)
            piece = {"type": "text", "text": text[start : start + _CHUNK_CHARACTERS]}
            await self._reporter.update({"sessionUpdate": kind, "content": piece})

    async def _begin(self, call_id: str, title: str, kind: str, raw_input: dict[str, Any], **more: Any) -> None:
        call = {"toolCallId": call_id, "title": title, "kind": kind, "status": "pending", "rawInput": raw_input, **more}
        await self._reporter.update({"sessionUpdate": "tool_call", **call})
        await self._reporter.update({"sessionUpdate": "tool_call_update", "toolCallId": call_id, "status": "in_progress"})

    async def _finish(self, call_id: str, *, failed: bool, content: list[dict[str, Any]], raw_output: dict[str, Any]) -> None:
        status = "failed" if failed else "completed"
        update = {"toolCallId": call_id, "status": status, "content": content, "rawOutput": raw_output}
        await self._reporter.update({"sessionUpdate": "tool_call_update", **update})

    async def _ask(self, call_id: str, step: Ask) -> None:
        await self._begin(call_id, step.title, step.kind, {})
        options = [dict(option) for option in step.options]
        call = {"toolCallId": call_id, "title": step.title, "kind": step.kind, "status": "pending", "rawInput": {}}
        chosen = await self._reporter.ask(call, options)
        kind = next((option["kind"] for option in options if option["optionId"] == chosen), "reject_once")
        refused = kind.startswith("reject")
        await self._finish(call_id, failed=refused, content=[], raw_output={"optionId": chosen})
        if refused and not step.go_on:
            raise TurnOverError

    async def _write(self, call_id: str, step: Write) -> None:
        path = self._inside(step.path)
        old = path.read_text(errors="replace") if path.is_file() else None
        await self._begin(call_id, f"Write {step.path}", "edit", {"path": step.path}, locations=[{"path": str(path)}])
        try:
            await asyncio.to_thread(_write_text, path, step.content)
        except OSError as error:
            await self._finish(call_id, failed=True, content=[], raw_output={"error": error.strerror or str(error)})
            raise StepFailedError(f"The file {step.path} could not be written: {error.strerror or error}.") from error
        diff = {"type": "diff", "path": str(path), "oldText": old, "newText": step.content}
        await self._finish(call_id, failed=False, content=[diff], raw_output={"path": str(path)})

    async def _run(self, call_id: str, step: Run) -> None:
        await self._begin(call_id, step.command, "execute", {"command": step.command})
        result = await run_command(step.command, self._workspace, step.timeout_seconds)
        raw_output = {"exitCode": result.exit_code, "output": result.output} | ({"timedOut": True} if result.timed_out else {})
        await self._finish(call_id, failed=result.exit_code != 0, content=_text_content(result.output), raw_output=raw_output)

    async def _burst(self, call_id: str, step: Burst) -> None:
        await self._begin(call_id, "Burst", "other", {"count": step.count})
        update = {"sessionUpdate": "tool_call_update", "toolCallId": call_id, "content": _text_content(step.text)}
        for _ in range(step.count):
            await self._reporter.update(update)
        await self._finish(call_id, failed=False, content=[], raw_output={"count": step.count})

    def _inside(self, path: str) -> Path:
        full = (self._workspace / path).resolve()
        if not full.is_relative_to(self._workspace.resolve()) or full == self._workspace.resolve():
            raise ScriptError(f"The path {path!r} of a write step must name a file inside the workspace.")
        return full


def _text_content(text: str) -> list[dict[str, Any]]:
    return [{"type": "content", "content": {"type": "text", "text": text}}] if text else []


def _write_text(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def _die(code: int) -> None:
    sys.stderr.write("The script asked for this exit.\n")
    sys.stderr.flush()
    os._exit(code)
