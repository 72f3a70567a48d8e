"""Runs of which everything is recorded for the checker: what their clients, their agents and their readers see.

The API and two nodes are real; the clock, the sandboxes and the outside world are played.
"""

import itertools
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
from starlette.types import ASGIApp

from hedgerow.api import create_api
from hedgerow.checker.records import (
    Answered,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Kind,
    LogRead,
    MessageSeen,
    Opened,
    Record,
    Sent,
    StateRead,
)
from hedgerow.db import nodes, runs
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle import Node, reconcile
from hedgerow.operations.backends import Backends
from tests.api.conftest import PUBLIC_URL, Served, rules
from tests.api.played_sandboxes import PlayedAgent, PlayedSandboxes
from tests.lifecycle.plugs import WORKER_URL, MemoryGate, MemoryRepositories, memory_node

_REFUSED = range(400, 500)


class JumpingClock:
    """The clock of this machine, as wrong as it was made."""

    def __init__(self) -> None:
        self.skew = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.skew


@dataclass
class Stage:
    """What all runs of the machine share: the API, and two nodes whose outside world is played."""

    api: ASGIApp
    nodes: tuple[Node, Node]
    clock: JumpingClock
    client: httpx.AsyncClient
    served: Served
    sandboxes: PlayedSandboxes
    runs: dict[str, "Watched"] = field(default_factory=dict)

    @property
    def backends(self) -> Backends:
        """What both nodes and the API stand on."""
        return self.nodes[0].backends

    def agent(self, run_id: str) -> PlayedAgent:
        """A new agent server of a run."""
        watched = self.runs[run_id]
        return PlayedAgent(api=self.client, run_url=watched.url, hear=watched.hear)


@dataclass
class Watched:
    """One run, and everything that is recorded of it."""

    stage: Stage
    url: str
    id: str
    history: list[Record] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    tokens: list[tuple[str, int]] = field(default_factory=list)
    _calls: "itertools.count[int]" = field(default_factory=itertools.count)
    _takers: "itertools.cycle[int]" = field(default_factory=lambda: itertools.cycle([0, 1]))

    def hear(self, what: str, item: str, option: str | None) -> None:
        """The agent has heard something."""
        self.history.append(Heard(at=time.monotonic(), client="agent", run=self.id, kind=Kind(what), item=item, option=option))

    async def call(
        self, kind: Kind | None, method: str, path: str, *items: str, epoch: int | None = None, client: str = "person", **request: Any
    ) -> httpx.Response:
        """Make a call, and record it where it is of a kind that the checker knows. Nothing but a 2xx or a refusal may come of it."""
        began = time.monotonic()
        answer = await self.stage.client.request(method, f"{self.url}{path}", **request)
        assert answer.is_success or answer.status_code in _REFUSED or answer.status_code == httpx.codes.BAD_GATEWAY, answer.text
        if kind is not None:
            self.note(kind, began, answer.is_success, *items, epoch=epoch, client=client)
        return answer

    def note(self, kind: Kind, began: float, accepted: bool, *items: str, epoch: int | None = None, client: str = "person") -> None:
        """Record a call that is over."""
        call = f"call-{next(self._calls)}"
        name = items[0] if kind is Kind.MESSAGE else None
        self.history.append(Sent(at=began, client=client, run=self.id, call=call, kind=kind, items=items, epoch=epoch))
        self.history.append(Answered(at=time.monotonic(), client=client, call=call, accepted=accepted, name=name))

    async def read_state(self) -> dict[str, Any]:
        """Look at the run."""
        since = time.monotonic()
        run = dict((await self.call(None, "GET", "")).json())
        reason = run["state"].get("end_reason")
        seen = StateRead(since=since, at=time.monotonic(), client="watcher", run=self.id, status=run["status"], end_reason=reason)
        self.history.append(seen)
        return run

    async def read_inbox(self) -> list[dict[str, Any]]:
        """Look at the inbox."""
        since = time.monotonic()
        found = (await self.call(None, "GET", "messages/", params={"limit": 1000})).json()["results"]
        seen = tuple(MessageSeen(text=m["id"], status=m["status"], error=m["error"], id=m["id"]) for m in found)
        self.history.append(InboxRead(since=since, at=time.monotonic(), client="watcher", run=self.id, messages=seen))
        return list(found)

    async def note_new_messages(self, began: float) -> None:
        """What a start says is a message like any other."""
        for message in await self.read_inbox():
            if message["id"] not in self.messages:
                self.messages.append(message["id"])
                self.note(Kind.MESSAGE, began, True, message["id"])

    async def read_stream(self, reading: str) -> None:
        """Read the stream of the run, which has ended, from the first event to the end."""
        self.history.append(Opened(at=time.monotonic(), client="reader", run=self.id, reading=reading))
        answer = await self.call(None, "GET", "stream/", headers={"Accept": "text/event-stream"})
        number, states = 0, []
        for line in answer.text.split("\n"):
            if line.startswith("id:"):
                number = int(line[3:])
            elif line.startswith("data:") and number:
                text = line[5:].removeprefix(" ")
                self.history.append(Frame(at=time.monotonic(), client="reader", reading=reading, number=number, text=text))
                states += [json.loads(text)["updated_at"]] if '"task_run_state"' in text else []
                number = 0
        assert states == sorted(set(states)), "updated_at does not grow with every state"
        self.history.append(Closed(at=time.monotonic(), client="reader", reading=reading, drained=True))

    async def read_logs(self) -> None:
        """Read the whole log."""
        since = time.monotonic()
        texts = tuple((await self.call(None, "GET", "logs/")).text.splitlines())
        self.history.append(LogRead(since=since, at=time.monotonic(), client="reader", run=self.id, texts=texts))

    async def row(self) -> TaskRun:
        """The run with the facts of its execution."""
        async with self.stage.backends.database.statement() as tx:
            run = await runs.load(tx, UUID(self.id))
        assert run is not None
        return run

    async def holder(self) -> Node | None:
        """The node that holds the run."""
        node_id = (await self.row()).execution.node_id
        return next((node for node in self.stage.nodes if node.id == node_id), None)

    async def look(self) -> None:
        """The worker of the node that holds the run looks at it, or either of them where nobody does."""
        await reconcile(await self.holder() or self.stage.nodes[next(self._takers)], UUID(self.id))

    async def agent(self) -> PlayedAgent | None:
        """The agent server that the row names, where it lives and has a session."""
        handle = (await self.row()).execution.sandbox
        agent = None if handle is None or handle.id not in self.stage.sandboxes.alive else self.stage.sandboxes.agents[handle.id]
        if agent is not None and agent.session and (agent.token, agent.epoch) not in self.tokens:
            self.tokens.append((agent.token, agent.epoch))
        return agent if agent is not None and agent.session else None


@asynccontextmanager
async def stage(served: Served, folder: Path) -> AsyncIterator[Stage]:
    """The API and two nodes on the database of this room, under a clock and with sandboxes of their own."""
    clock, made = JumpingClock(), list[Stage]()

    def make_agent(run_id: str) -> PlayedAgent:
        return made[0].agent(run_id)

    async def through_the_gate(request: httpx.Request) -> httpx.Response:
        row = await made[0].runs[request.url.path.split("/")[2]].agent()
        if row is None:
            raise httpx.ConnectError("Nobody listens.", request=request)
        status, document = await row.take("/command", json.loads(request.content))
        return httpx.Response(status, json=document)

    async with httpx.AsyncClient(transport=httpx.MockTransport(through_the_gate)) as gate:
        decided = rules(drain_seconds=0.0, background_permissions=None, permission_timeout_seconds=60.0)
        backends = replace(served.backends, clock=clock, http=gate, rules=decided)
        api = create_api(backends)
        sandboxes = PlayedSandboxes(make_agent)
        both = (_node(backends, folder / "1", sandboxes), _node(backends, folder / "2", sandboxes))
        async with backends.database.transaction() as tx:
            for node in both:
                await nodes.report(tx, node.id, WORKER_URL, 30.0)
        transport = httpx.ASGITransport(api, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=served.client.headers) as client:
            made.append(Stage(api, both, clock, client, served, sandboxes))
            yield made[0]


def _node(backends: Backends, folder: Path, sandboxes: PlayedSandboxes) -> Node:
    repositories = MemoryRepositories(root=folder / "mirrors")
    repositories.let_go.set()
    return memory_node(backends, folder, {"process": sandboxes}, choice="process", gate=MemoryGate(), repositories=repositories)
