"""The desktop's way of watching and driving a run, request by request, over HTTP against a served API (contract 8.3)."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest

from hedgerow.api import create_api
from tests.api.conftest import Served, rules
from tests.api.serving import QuietServer, quiet_config

_PAGE = 40  # the desktop asks for 5000; fewer make many pages of a short log
_UNKNOWN_TO_IT = {"_posthog/message_status"}  # what it takes for an entry of a method that it does not know, and shows nothing of
_ENDED = {"completed", "failed", "cancelled"}


@asynccontextmanager
async def served_over_http(served: Served) -> AsyncIterator[httpx.AsyncClient]:
    """The API on a port of the loopback, and a client with the person's key."""
    app = create_api(replace(served.backends, rules=rules(keepalive_seconds=0.2, drain_seconds=0.1)))
    server = QuietServer(quiet_config(app))
    serving = asyncio.ensure_future(server.serve())
    await server.serving.wait()
    headers = {"Authorization": f"Bearer {served.key}"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=15) as client:
        yield client
    server.should_exit = True
    await serving


@dataclass
class Watcher:
    """What the desktop keeps of a run that it watches."""

    client: httpx.AsyncClient
    url: str
    shown: list[str] = field(default_factory=list)  # entries in the order of the screen, serialised
    chunks: list[str] = field(default_factory=list)
    states: list[dict[str, Any]] = field(default_factory=list)
    passed_over: list[dict[str, Any]] = field(default_factory=list)
    held_back: list[str] | None = field(default_factory=list)  # live entries, until the history is in
    last_event_id: str | None = None
    stood: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> dict[str, Any]:
        answer = await self.client.get(self.url)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def read_history(self, *, live: bool) -> None:
        """All pages of the log; then what came live meanwhile, unless the pages held it already."""
        history: list[str] = []
        more = True
        while more:
            page = await self.client.get(f"{self.url}session_logs/", params={"limit": _PAGE, "offset": len(history)})
            history += [json.dumps(entry) for entry in page.json()]
            more = page.headers["x-has-more"] == "true"
            if live:
                await self.stood.wait()  # what is written before that must be on the pages that follow
        known, held_back = set(history), self.held_back or []
        self.shown = history + [text for text in held_back if text not in known]
        self.held_back = None

    async def follow(self) -> None:
        """One connection to the stream, until it ends."""
        cursor = {"Last-Event-ID": self.last_event_id} if self.last_event_id else {}
        query = {} if self.last_event_id else {"start": "latest"}
        headers = {"Accept": "text/event-stream", **cursor}
        async with self.client.stream("GET", f"{self.url}stream/", params=query, headers=headers) as answer:
            assert (answer.status_code, answer.headers["content-type"]) == (200, "text/event-stream")
            event: dict[str, str] = {}
            async for line in answer.aiter_lines():
                if line.startswith(":"):
                    continue
                if line:
                    name, _, value = line.partition(": ")
                    event[name] = value
                elif event:
                    self._take(event)
                    event = {}

    def _take(self, event: dict[str, str]) -> None:
        assert event.get("event", "keepalive") == "keepalive", event
        self.last_event_id = event.get("id", self.last_event_id)
        self.stood.set()
        data = json.loads(event["data"])
        if data.get("type") == "keepalive":
            return
        if data.get("type") == "task_run_state":
            assert not self.states or data["updated_at"] > self.states[-1]["updated_at"]
            self.states.append(data)
        elif data.get("notification", {}).get("method") in _UNKNOWN_TO_IT:
            self.passed_over.append(data)
        elif "id" not in event:
            self.chunks.append(event["data"])
        elif self.held_back is None:
            self.shown.append(json.dumps(data))
        else:
            self.held_back.append(json.dumps(data))

    async def command(self, method: str, **params: Any) -> httpx.Response:
        body = {"jsonrpc": "2.0", "method": method, "params": params, "id": f"posthog-code-{int(time.time() * 1000)}"}
        return await self.client.post(f"{self.url}command/", json=body)


def said(number: int) -> dict[str, Any]:
    """An entry whose keys stand in no alphabetical order."""
    update = {"sessionUpdate": "agent_message", "content": {"type": "text", "text": f"é{number}"}}
    message = {"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}}
    return {"type": "notification", "timestamp": "2026-05-07T10:00:00.000Z", "notification": message}


CHUNK = {"notification": {"method": "session/update", "params": {"update": {"sessionUpdate": "agent_message_chunk"}}}}


class Agent:
    """Writes the log of a run, batch after batch."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client, self._url, self.written = client, url, list[str]()

    async def write(self, batches: int, entries: int = 7) -> None:
        for _ in range(batches):
            batch = [said(len(self.written) + index) for index in range(entries)]
            self.written += [json.dumps(entry) for entry in batch]
            answer = await self._client.post(f"{self._url}append_log/", json={"entries": [CHUNK, *batch]})
            assert answer.status_code == 200, answer.text


async def test_a_run_is_watched_to_its_end_with_nothing_missing_and_nothing_doubled(served: Served) -> None:
    url, _ = await served.a_started_run(mode="interactive")
    async with served_over_http(served) as client:
        agent, desktop = Agent(client, url), Watcher(client, url)
        await agent.write(20)
        assert (await desktop.run())["status"] == "queued"

        writing = asyncio.ensure_future(agent.write(15))
        following = asyncio.ensure_future(desktop.follow())
        await desktop.read_history(live=True)
        assert (await desktop.run())["status"] not in _ENDED
        await client.patch(url, json={"status": "in_progress"})
        await writing

        following.cancel()  # the network goes, and comes back while the agent works on
        with suppress(asyncio.CancelledError):
            await following
        await agent.write(5)
        assert (await desktop.run())["status"] not in _ENDED
        writing = asyncio.ensure_future(agent.write(10))
        following = asyncio.ensure_future(desktop.follow())

        told = await desktop.command("user_message", content="Go on")
        assert (told.status_code, told.json()["result"]["queued"]) == (200, True)
        assert told.json()["id"].startswith("posthog-code-")
        refused = await desktop.command("cancel")
        assert (refused.status_code, "No active sandbox" in refused.json()["error"]) == (400, True)

        await writing
        await client.patch(url, json={"status": "completed"})
        async with asyncio.timeout(10):
            await following  # the end of the stream is what shows the end of the run
        assert (await desktop.run())["status"] == "completed"

    assert desktop.shown == agent.written
    assert [state["status"] for state in desktop.states] == ["in_progress", "completed"]
    assert desktop.states[-1]["completed_at"] is not None
    assert desktop.chunks
    assert [event["notification"]["params"]["status"] for event in desktop.passed_over] == ["queued", "failed", "failed"]


async def test_a_run_that_has_ended_is_read_from_its_log_alone(served: Served) -> None:
    url, _ = await served.a_run()
    async with served_over_http(served) as client:
        agent, desktop = Agent(client, url), Watcher(client, url)
        await agent.write(12)
        await client.patch(url, json={"status": "failed", "error_message": "It broke."})
        assert (await desktop.run())["status"] in _ENDED
        await desktop.read_history(live=False)
    assert desktop.shown == agent.written


@pytest.mark.parametrize(("accept", "status"), [("text/event-stream", 404), ("application/json", 406)])
async def test_what_the_desktop_takes_for_final_is_told_before_the_stream(served: Served, accept: str, status: int) -> None:
    url, run = await served.a_run()
    async with served_over_http(served) as client:
        path = url if status == 406 else url.replace(run["id"], run["task"])
        answer = await client.get(f"{path}stream/", params={"start": "latest"}, headers={"Accept": accept})
    assert (answer.status_code, set(answer.json())) == (status, {"type", "code", "detail", "attr"})
