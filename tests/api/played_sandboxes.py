"""Sandboxes with an agent server that does what a test says: real HTTP over the run's own socket, and an API that it reports to."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import SandboxSpec, SandboxState
from tests.lifecycle.plugs import MemorySandboxes

OPTIONS = [{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]
_ACCEPTED, _OK, _BAD_REQUEST = 202, 200, 400


@dataclass(eq=False)
class PlayedAgent:
    """The agent server of one sandbox, and its agent. Messages are known by their ids."""

    api: httpx.AsyncClient
    run_url: str
    hear: Callable[[str, str, str | None], None]  # what, its id, and the option of an answer
    token: str = ""
    epoch: int = 0
    session: bool = False
    known: set[str] = field(default_factory=set)
    queue: deque[str] = field(default_factory=deque)
    playing: str | None = None
    asking: list[str] = field(default_factory=list)
    answers: dict[str, str | None] = field(default_factory=dict)
    asked: int = 0

    async def take(self, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Carry out one request; the status and the document of the answer."""
        if path == "/session":
            self.token, self.epoch, self.session = body["run_token"], body["epoch"], True
            return _OK, {}
        params = body.get("params", {})
        match body.get("method"):
            case _ if not self.session and path == "/command":
                return _BAD_REQUEST, {"error": "No active session"}
            case "user_message":
                self._take_message(params["message_id"])
                return _ACCEPTED, {}
            case "permission_response":
                return _OK, await self._take_answer(params)
            case "cancel":
                await self.withdraw("turn_cancelled")
                await self.end_turn("cancelled")
                return _OK, {"jsonrpc": "2.0", "id": 1, "result": {}}
            case "close":
                await self._close()
                return _OK, {"jsonrpc": "2.0", "id": 1, "result": {"flushed": True}}
        return _OK, {}

    def _take_message(self, message_id: str) -> None:
        if message_id not in self.known:
            self.known.add(message_id)
            self.queue.append(message_id)
            self._play_next()

    def _play_next(self) -> None:
        if self.playing is None and self.queue:
            self.playing = self.queue.popleft()
            self.hear("message", self.playing, None)

    async def _take_answer(self, params: dict[str, Any]) -> dict[str, Any]:
        name, option = params["requestId"], params.get("optionId")
        if self.answers.get(name, "") == option:
            return {"result": {"resolved": True}}
        if name not in self.asking:
            return {"error": {"code": -32000, "message": "Nobody waits."}}
        self.asking.remove(name)
        self.answers[name] = option
        self.hear("answer", name, option)
        await self.push({"type": "permission_resolved", **_note("_posthog/permission_resolved", requestId=name, optionId=option)})
        return {"result": {"resolved": True}}

    async def _close(self) -> None:
        await self.withdraw("session_ended")
        left = [*([self.playing] if self.playing else []), *self.queue]
        self.session, self.playing = False, None
        self.queue.clear()
        for message_id in left:
            await self.push(_note("_posthog/error", messageId=message_id, message="The session was closed."))

    async def end_turn(self, stop_reason: str) -> None:
        """The running turn is over, where there is one, and the next begins."""
        if self.playing is not None and not self.asking:
            message_id, self.playing = self.playing, None
            await self.push(_note("_posthog/turn_complete", messageId=message_id, stopReason=stop_reason))
            self._play_next()

    async def ask(self) -> str | None:
        """The agent asks leave in the middle of its turn; the name of the request."""
        if self.playing is None:
            return None
        self.asked += 1
        name = f"{self.playing[-6:]}-{self.epoch}-{self.asked}"
        self.asking.append(name)
        await self.push({"type": "permission_request", "requestId": name, "options": OPTIONS, "toolCall": {"toolCallId": "t"}})
        return name

    async def withdraw(self, reason: str) -> None:
        """The agent waits no more for what it has asked."""
        for name in list(self.asking):
            self.asking.remove(name)
            told = _note("_posthog/permission_resolved", requestId=name, reason=reason)
            await self.push({"type": "permission_resolved", **told})

    async def push(self, *entries: dict[str, Any]) -> bool:
        """Report to the control plane; whether it took it."""
        answer = await self.api.post(f"{self.run_url}append_log/", json={"entries": entries}, headers=self.authorised)
        assert answer.status_code in {200, 401, 403}, answer.text
        return answer.is_success

    @property
    def authorised(self) -> dict[str, str]:
        """The header of its run token."""
        return {"Authorization": f"Bearer {self.token}"}


def _note(method: str, **params: Any) -> dict[str, Any]:
    return {"notification": {"jsonrpc": "2.0", "method": method, "params": params}}


class PlayedSandboxes(MemorySandboxes):
    """A provider whose sandboxes hold played agents, each listening on the socket of its run until it is destroyed."""

    def __init__(self, make_agent: Callable[[str], PlayedAgent]) -> None:
        super().__init__()
        self._make_agent = make_agent  # by the run's id
        self.agents: dict[str, PlayedAgent] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._ended: dict[str, asyncio.Event] = {}

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        handle = await super().create(spec)
        agent = self.agents[handle.id] = self._make_agent(spec.environment["HEDGEROW_RUN_ID"])
        self._ended[handle.id] = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await _serve(agent, reader, writer)

        path = Path(spec.environment["HEDGEROW_SOCKETS"]) / "agent.sock"
        path.unlink(missing_ok=True)
        self._servers[handle.id] = await asyncio.start_unix_server(serve, str(path))
        return handle

    async def inspect(self, handle: SandboxHandle) -> SandboxState:
        return SandboxState(alive=handle.id in self.alive, exit_code=None if handle.id in self.alive else 137)

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        if handle.id in self.alive:
            await self._ended[handle.id].wait()
        return SandboxState(alive=False, exit_code=137)

    async def destroy(self, handle: SandboxHandle) -> None:
        self.kill(handle.id)

    def kill(self, name: str) -> None:
        """A sandbox ends with everything in it."""
        if self.alive.pop(name, None) is not None:
            self._servers.pop(name).close()
            self.agents[name].session = False
            self._ended[name].set()


async def _serve(agent: PlayedAgent, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        lengths = [line.partition(":")[2] for line in head.lower().split("\r\n") if line.startswith("content-length:")]
        body = json.loads(await reader.readexactly(int(lengths[0]))) if lengths else {}
        status, document = await agent.take(path, body)
        data = json.dumps(document).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(data), data))
        await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # whoever asked has gone
    finally:
        writer.close()
