"""Drives a real agent over ACP the way an agent server does, in a plain process, and keeps what it said."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hedgerow.acp_lines import PROTOCOL_VERSION, Direction, LineTransport, connection_class
from hedgerow.agent_server.home_files import write_home_files
from hedgerow.agents.base import AgentLaunch

START_SECONDS = 60


@dataclass(slots=True)
class Drive:
    """A session with an agent. `heard` is every message that came from it."""

    connection: Any
    session_id: str = ""
    heard: list[dict[str, Any]] = field(default_factory=list)

    async def prompt(self, text: str, *, timeout_seconds: float = 60) -> dict[str, Any]:
        """One turn; the agent's own error where it fails."""
        params = {"sessionId": self.session_id, "prompt": [{"type": "text", "text": text}]}
        async with asyncio.timeout(timeout_seconds):
            result: dict[str, Any] = await self.connection.send_request("session/prompt", params)
        return result

    def updates(self, kind: str) -> list[dict[str, Any]]:
        """All session updates of a kind."""
        found = [message.get("params", {}).get("update", {}) for message in self.heard if message.get("method") == "session/update"]
        return [update for update in found if update.get("sessionUpdate") == kind]

    @property
    def said(self) -> str:
        """Everything the agent said to the user."""
        return "".join(update["content"]["text"] for update in self.updates("agent_message_chunk"))


@asynccontextmanager
async def drive(launch: AgentLaunch, workspace: Path, extra: Mapping[str, str] | None = None) -> AsyncIterator[Drive]:
    """Start the agent in `workspace` and open a session; everything that it has started ends with it."""
    environment = {**launch.environment, **(extra or {})}
    write_home_files(Path(environment["HOME"]), launch.files)
    process = await asyncio.create_subprocess_exec(
        *launch.command,
        cwd=workspace,
        env=environment,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=50 * 1024 * 1024,
        start_new_session=True,
    )
    try:
        driven = _connect(process)
        async with asyncio.timeout(START_SECONDS):
            await _open(driven, launch, workspace)
        yield driven
        await driven.connection.close()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _connect(process: asyncio.subprocess.Process) -> Drive:
    assert process.stdin is not None
    assert process.stdout is not None
    driven = Drive(None)

    def observe(direction: Direction, line: bytes, message: dict[str, Any]) -> bool:
        if direction == "incoming":
            driven.heard.append(message)
        return False

    transport = LineTransport(process.stdout, process.stdin, observe=observe, garbage=lambda line: None)
    driven.connection = connection_class()(_answer, transport)
    return driven


async def _open(driven: Drive, launch: AgentLaunch, workspace: Path) -> None:
    await driven.connection.send_request("initialize", {"protocolVersion": PROTOCOL_VERSION, "clientCapabilities": {}})
    session = {"cwd": str(workspace), "mcpServers": [], "_meta": dict(launch.session_meta)}
    driven.session_id = (await driven.connection.send_request("session/new", session))["sessionId"]
    if launch.mode is not None:
        await driven.connection.send_request("session/set_mode", {"sessionId": driven.session_id, "modeId": launch.mode})


async def _answer(method: str, params: Any, is_notification: bool) -> Any:
    """Allow once whatever the agent asks for."""
    if method == "session/request_permission":
        option = next(option for option in params["options"] if option["kind"] == "allow_once")
        return {"outcome": {"outcome": "selected", "optionId": option["optionId"]}}
    return None
