"""The API on a port of the loopback, served as the operator's command serves it, on a real database of the test's own."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import pytest_asyncio
import uvicorn

from hedgerow.api import create_api
from hedgerow.cli.connections import Patience, connections
from hedgerow.cli.leaving import EndsStreams
from hedgerow.operations.backends import Backends
from tests.api.conftest import opened, populate
from tests.api.serving import QuietServer
from tests.end_to_end.conftest import runtime_folder

__all__ = ["runtime_folder"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here has a lane of its own."""
    for item in items:
        if item.nodeid.startswith("tests/bars/"):
            item.add_marker(pytest.mark.bars)


@dataclass(frozen=True)
class Bar:
    """A served API, and one person's client of it."""

    backends: Backends
    server: QuietServer
    client: httpx.AsyncClient
    tasks: str
    key: str

    async def run(self) -> str:
        """The path of a new run that its client drives."""
        task = (await self.client.post(self.tasks, json={"title": "A run"})).raise_for_status().json()
        runs = f"{self.tasks}{task['id']}/runs/"
        run = (await self.client.post(runs, json={"environment": "local"})).raise_for_status().json()
        return f"{runs}{run['id']}/"

    async def append(self, run: str, *entries: dict[str, Any]) -> None:
        """Append entries to a run's log."""
        (await self.client.post(f"{run}append_log/", json={"entries": list(entries)})).raise_for_status()

    async def end(self, run: str) -> None:
        """Let a run end, so that its streams do."""
        (await self.client.patch(run, json={"status": "completed"})).raise_for_status()

    async def read(self, run: str, *, after: str | None = None, until: int | None = None) -> "Frames":
        """What a stream brings until its end, or until its reader hangs up after the event of number `until`."""
        headers = {"Accept": "text/event-stream"} | ({} if after is None else {"Last-Event-ID": after})
        async with self.client.stream("GET", f"{run}stream/", headers=headers) as answer:
            if answer.status_code != 200:
                await answer.aread()
                return Frames(status=answer.status_code, code=answer.json()["code"])
            return await read_frames(answer.aiter_lines(), until)

    @asynccontextmanager
    async def unread(self, run: str, key: str | None = None) -> AsyncIterator["Unread"]:
        """A stream that was asked for, with another person's key where one is given, and of which nothing is read but by `frames`."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port, limit=4096)
        request = f"GET {run}stream/ HTTP/1.0\r\nHost: x\r\nAuthorization: Bearer {key or self.key}\r\nAccept: text/event-stream\r\n\r\n"
        writer.write(request.encode())
        try:
            yield Unread(reader)
        finally:
            writer.transport.abort()


@dataclass
class Frames:
    """The frames of a stream: ids with their events, and those without."""

    status: int = 200
    code: str | None = None
    ids: list[int] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    previews: list[dict[str, Any]] = field(default_factory=list)


async def read_frames(lines: AsyncIterator[str], until: int | None = None) -> Frames:
    """The frames of lines, to their end or up to a number."""
    frames, number = Frames(), 0
    async for line in lines:
        if line.startswith("id:"):
            number = int(line[3:])
        elif line.startswith("data:") and number:
            frames.ids.append(number)
            frames.events.append(json.loads(line[5:]))
            if number == until:
                return frames
            number = 0
        elif line.startswith("data:"):
            frames.previews.append(json.loads(line[5:]))
    return frames


class Unread:
    """The far end of a connection on which nobody has read yet."""

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def begun(self) -> None:
        """Return once the answer has begun: the server has a reader then."""
        await self._reader.readuntil(b"\n\n")

    async def frames(self) -> Frames:
        """Everything that comes, now that somebody reads."""
        return await read_frames(self._lines())

    async def _lines(self) -> AsyncIterator[str]:
        rest = b""
        while piece := await self._reader.read(65536):
            *lines, rest = (rest + piece).split(b"\n") if b"\n" in piece else (rest + piece,)
            for line in lines:
                yield line.decode()


@asynccontextmanager
async def served(backends: Backends) -> AsyncIterator[QuietServer]:
    """A server of the API until the end of the block."""
    closing = asyncio.Event()
    app = EndsStreams(create_api(backends), closing)
    http = connections(Patience())
    server = QuietServer(uvicorn.Config(app, host="127.0.0.1", port=0, http=http, lifespan="off", log_level="critical", access_log=False))
    serving = asyncio.ensure_future(server.serve())
    async with asyncio.timeout(10):
        await server.serving.wait()
    try:
        yield server
    finally:
        closing.set()
        server.should_exit = server.force_exit = True
        await serving


@asynccontextmanager
async def bar_on(url: str) -> AsyncIterator[Bar]:
    """A bar on a database."""
    async with opened(url) as backends, served(backends) as server:
        project, _, key = await populate(backends)
        headers = {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", headers=headers, timeout=60) as client:
            yield Bar(backends, server, client, f"/api/projects/{project.id}/tasks/", key)


@pytest_asyncio.fixture
async def bar(database_url: str) -> AsyncIterator[Bar]:
    """A bar of the test's own."""
    async with bar_on(database_url) as bar:
        yield bar
