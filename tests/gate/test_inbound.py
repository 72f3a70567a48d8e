"""From the control plane to the agent servers of a node."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from hedgerow.gate import AGENT_SOCKET, Gate
from tests.gate.conftest import RUN, Server, Visit


@pytest.fixture
async def agent(sockets: Path) -> AsyncIterator[Server]:
    """An agent server in a sandbox's sockets folder."""
    made = Server()
    listening = await asyncio.start_unix_server(made.serve, sockets / AGENT_SOCKET)
    yield made
    listening.close()


@pytest.fixture
async def caller(gate: Gate) -> AsyncIterator[httpx.AsyncClient]:
    """The control plane."""
    port = await gate.serve("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=10, verify=False) as made:
        yield made


@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("GET", "/events"), ("POST", "/command")])
async def test_the_paths_of_the_agent_server_are_reached(caller: httpx.AsyncClient, agent: Server, method: str, path: str) -> None:
    answer = await caller.request(method, f"/sandboxes/{RUN}{path}?a=b", headers={"Authorization": "Bearer jwt", "Last-Event-ID": "3"})
    assert (answer.status_code, answer.text) == (200, "ok")
    head = agent.heads[0].lower()
    assert head.startswith(f"{method} {path}?a=b http/1.1".lower())
    assert "authorization: bearer jwt" in head
    assert "last-event-id: 3" in head


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/health",
        "/sandboxes/{run}",
        "/sandboxes/{run}/",
        "/sandboxes/{run}/other",
        "/sandboxes/{run}/session",
        "/sandboxes/{run}/events/",
        "/sandboxes/{run}/../x/health",
    ],
)
async def test_other_paths_are_not(caller: httpx.AsyncClient, agent: Server, path: str) -> None:
    answer = await caller.get(path.format(run=RUN))
    assert answer.status_code == 404
    assert "error" in answer.json()
    assert agent.visits == 0


async def test_an_unknown_run_is_not_found(caller: httpx.AsyncClient) -> None:
    answer = await caller.post("/sandboxes/0199f0a0-0000-7000-8000-00000000ffff/command", json={})
    assert answer.status_code == 404
    assert answer.json() == {"error": "No sandbox of run 0199f0a0-0000-7000-8000-00000000ffff is open here."}


async def test_a_closed_run_is_not_found_any_more(caller: httpx.AsyncClient, gate: Gate, agent: Server) -> None:
    assert (await caller.get(f"/sandboxes/{RUN}/health")).status_code == 200
    await gate.close(RUN)
    assert (await caller.get(f"/sandboxes/{RUN}/health")).status_code == 404


async def test_an_agent_server_that_is_not_there_is_a_502(caller: httpx.AsyncClient) -> None:
    answer = await caller.post(f"/sandboxes/{RUN}/command", content=b"x" * 1_000_000)
    assert answer.status_code == 502
    assert answer.json() == {"error": f"The agent server of run {RUN} does not answer."}


async def test_a_socket_that_nobody_serves_any_more_is_a_502(caller: httpx.AsyncClient, sockets: Path, agent: Server) -> None:
    with_nobody = await asyncio.start_unix_server(agent.serve, sockets / "left.sock")
    with_nobody.close()
    (sockets / "left.sock").rename(sockets / AGENT_SOCKET)
    assert (await caller.get(f"/sandboxes/{RUN}/health")).status_code == 502


async def test_a_link_in_place_of_the_socket_is_not_followed(caller: httpx.AsyncClient, sockets: Path) -> None:
    elsewhere = Server()
    listening = await asyncio.start_unix_server(elsewhere.serve, sockets / "other.sock")
    (sockets / AGENT_SOCKET).symlink_to(sockets / "other.sock")
    assert (await caller.get(f"/sandboxes/{RUN}/health")).status_code == 502
    assert elsewhere.visits == 0
    listening.close()


async def test_events_come_as_they_happen_and_a_reader_that_leaves_is_noticed(caller: httpx.AsyncClient, agent: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: 1\n\n")
        assert await visit.reader.read() == b""

    agent.play = play
    async with caller.stream("GET", f"/sandboxes/{RUN}/events") as answer:
        assert await anext(answer.aiter_lines()) == "data: 1"
    await asyncio.wait_for(agent.left.wait(), 5)


async def test_redirects_are_not_followed(caller: httpx.AsyncClient, agent: Server) -> None:
    async def play(visit: Visit) -> None:
        await visit.head()
        await visit.say(b"HTTP/1.1 307 Temporary Redirect\r\nLocation: /command\r\nContent-Length: 0\r\n\r\n")

    agent.play = play
    assert (await caller.post(f"/sandboxes/{RUN}/command", json={})).status_code == 307
    assert agent.visits == 1


async def test_commands_of_several_runs_share_a_connection_but_not_a_sandbox(
    caller: httpx.AsyncClient, gate: Gate, agent: Server, tmp_path_factory: pytest.TempPathFactory, sockets: Path
) -> None:
    other_folder = sockets / "o"
    other_folder.mkdir()
    other_run = str(RUN).replace("0001", "0002")
    other = Server()
    listening = await asyncio.start_unix_server(other.serve, other_folder / AGENT_SOCKET)
    await gate.open(other_run, other_folder, frozenset(), None)
    for run in (str(RUN), other_run, str(RUN)):
        assert (await caller.post(f"/sandboxes/{run}/command")).status_code == 200
    assert (len(agent.heads), len(other.heads)) == (2, 1)
    listening.close()
