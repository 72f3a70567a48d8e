"""The scripted agent as a process, spoken to over its standard streams."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.whole


class Client:
    """A few lines of an ACP client. Permission requests are answered with `answer`."""

    def __init__(self, process: asyncio.subprocess.Process, workspace: Path) -> None:
        self.process = process
        self.workspace = workspace
        self.updates: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"outcome": {"outcome": "selected", "optionId": "allow"}}
        self.session_id = ""
        self._number = 0

    def send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")

    async def receive(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        async with asyncio.timeout(20):
            line = await self.process.stdout.readline()
        message: dict[str, Any] = json.loads(line)
        return message

    async def call(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        self._number += 1
        self.send({"id": self._number, "method": method, "params": params})
        return await self.until_answer(self._number)

    async def until_answer(self, number: int) -> dict[str, Any]:
        while True:
            message = await self.receive()
            if message.get("method") == "session/update":
                self.updates.append(message["params"]["update"])
            elif message.get("method") == "session/request_permission":
                self.send({"id": message["id"], "result": self.answer})
            elif message.get("id") == number:
                return message

    async def begin(self) -> None:
        await self.call("initialize", {"protocolVersion": 1})
        self.session_id = (await self.call("session/new", {"cwd": str(self.workspace), "mcpServers": []}))["result"]["sessionId"]

    async def prompt(self, prompt: Any) -> dict[str, Any]:
        text = prompt if isinstance(prompt, str) else json.dumps(prompt)
        return await self.call("session/prompt", {"sessionId": self.session_id, "prompt": [{"type": "text", "text": text}]})

    def said(self) -> str:
        return "".join(update["content"]["text"] for update in self.updates if update["sessionUpdate"] == "agent_message_chunk")

    def finished(self) -> list[dict[str, Any]]:
        return [update for update in self.updates if update.get("status") in {"completed", "failed"}]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "hedgerow.scripted_agent",
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    client = Client(process, tmp_path)
    await client.begin()
    yield client
    if process.returncode is None:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(10):
            assert await process.wait() == 0


async def test_a_plain_prompt_leaves_a_note_and_says_what_it_is(client: Client) -> None:
    _make_repository(client.workspace)
    assert (await client.prompt("Please add a greeting!"))["result"] == {"stopReason": "end_turn"}
    note = client.workspace / "hedgerow-notes" / "please-add-a-greeting.md"
    assert "> Please add a greeting!" in note.read_text()
    assert "no model is behind me" in client.said()
    assert "First steps" in json.dumps(client.finished())
    await client.prompt("Please add a greeting!")
    assert (note.parent / "please-add-a-greeting-2.md").exists()


async def test_a_write_is_reported_as_an_edit_with_its_difference(client: Client) -> None:
    (client.workspace / "a.txt").write_text("old")
    await client.prompt([{"write": {"path": "a.txt", "content": "new"}}, {"write": {"path": "deep/er/b.txt", "content": "x"}}])
    assert (client.workspace / "deep" / "er" / "b.txt").read_text() == "x"
    path = str(client.workspace / "a.txt")
    assert client.finished()[0]["content"] == [{"type": "diff", "path": path, "oldText": "old", "newText": "new"}]


@pytest.mark.parametrize("path", ["../outside.txt", "/etc/hedgerow-test", ".", "link/x"])
async def test_nothing_is_written_outside_the_workspace(client: Client, path: str) -> None:
    (client.workspace / "link").symlink_to("/tmp")
    answer = await client.prompt([{"write": {"path": path, "content": "x"}}])
    assert answer["error"]["message"] == f"The path {path!r} of a write step must name a file inside the workspace."


async def test_a_command_is_reported_with_output_and_exit_code(client: Client) -> None:
    assert "result" in await client.prompt(
        [{"run": "echo out; echo err >&2; exit 3"}, {"run": {"command": "sleep 9", "timeout_seconds": 0.1}}]
    )
    first, second = client.finished()
    assert (first["status"], first["rawOutput"]) == ("failed", {"exitCode": 3, "output": "out\nerr\n"})
    assert second["rawOutput"] == {"exitCode": -9, "output": "", "timedOut": True}


async def test_a_command_is_over_when_its_shell_is_whatever_it_left_in_the_background(client: Client) -> None:
    holds_the_output = "echo started; setsid sleep 30 & exit 3"
    async with asyncio.timeout(20):
        answer = await client.prompt([{"run": holds_the_output}, {"say": "Next."}])
    assert answer["result"]["stopReason"] == "end_turn"
    assert {"exitCode": 3, "output": "started\n"} in [update.get("rawOutput") for update in client.updates]


async def test_a_refusal_ends_the_turn_unless_the_script_goes_on(client: Client) -> None:
    client.answer = {"outcome": {"outcome": "selected", "optionId": "reject"}}
    assert (await client.prompt([{"ask": "May I"}, {"say": "Never said."}]))["result"] == {"stopReason": "end_turn"}
    await client.prompt([{"ask": {"title": "May I", "go_on": True}}, {"say": "Said."}])
    assert client.said() == "Said."


async def test_failures_are_errors_with_their_sentence(client: Client) -> None:
    assert (await client.prompt([{"fail": "As asked."}]))["error"]["message"] == "As asked."
    assert (await client.prompt([{"sing": "la"}]))["error"]["message"].startswith("Step 0 has the unknown key 'sing'")


async def test_bursts_and_repeats_send_what_they_count(client: Client) -> None:
    await client.prompt([{"repeat": {"times": 3, "steps": [{"burst": {"count": 40, "text": "b"}}]}}])
    assert sum(update.get("content") == [{"type": "content", "content": {"type": "text", "text": "b"}}] for update in client.updates) == 120


async def test_a_cancel_ends_the_turn(client: Client) -> None:
    client.send({"id": 99, "method": "session/prompt", "params": {"sessionId": client.session_id, "prompt": _text([{"sleep": 60}])}})
    client.send({"method": "session/cancel", "params": {"sessionId": client.session_id}})
    assert (await client.until_answer(99))["result"] == {"stopReason": "cancelled"}
    assert (await client.prompt([{"say": "Still here."}]))["result"] == {"stopReason": "end_turn"}


async def test_modes_are_offered_and_set(client: Client) -> None:
    assert (await client.call("session/set_mode", {"sessionId": client.session_id, "modeId": "bypassPermissions"}))["result"] == {}
    assert client.updates == [{"sessionUpdate": "current_mode_update", "currentModeId": "bypassPermissions"}]
    wrong = await client.call("session/set_mode", {"sessionId": client.session_id, "modeId": "yolo"})
    assert wrong["error"]["message"] == "modeId must be one of default, bypassPermissions."


async def test_unknown_sessions_folders_and_methods_are_errors(client: Client) -> None:
    assert "error" in await client.call("session/prompt", {"sessionId": "other", "prompt": []})
    assert "error" in await client.call("session/new", {"cwd": "relative"})
    assert (await client.call("session/sing", {}))["error"]["code"] == -32601


async def test_an_exit_comes_after_everything_that_was_said(client: Client) -> None:
    client.send(
        {"id": 99, "method": "session/prompt", "params": {"sessionId": client.session_id, "prompt": _text([{"burst": 500}, {"exit": 3}])}}
    )
    assert client.process.stdout is not None
    async with asyncio.timeout(20):
        lines = (await client.process.stdout.read()).splitlines()
        assert await client.process.wait() == 3
    assert len(lines) == 503


def _make_repository(folder: Path) -> None:
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    for arguments in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "First steps"]):
        subprocess.run([*git, *arguments], check=True)


def _text(steps: list[Any]) -> list[dict[str, str]]:
    return [{"type": "text", "text": json.dumps(steps)}]
