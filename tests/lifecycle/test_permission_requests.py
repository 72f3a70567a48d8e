"""Answers on their way to an agent server that takes them, does not want them, or is not there."""

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from hedgerow.db import permission_requests as rows
from hedgerow.db import runs
from hedgerow.domain.access import RunCaller
from hedgerow.domain.actions import ExpireRequests, GiveAnswer
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.permission_requests import UNHEARD, PermissionRequest, RequestState
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle import reconcile
from hedgerow.lifecycle.facts import TakenOverError
from hedgerow.lifecycle.permission_requests import expire_requests, give_answer
from hedgerow.operations import commands, logs
from tests.lifecycle.conftest import World

OPTIONS = [{"optionId": "yes", "kind": "allow_once"}, {"optionId": "no", "kind": "reject_once"}]
RESOLVED = (200, {"jsonrpc": "2.0", "id": "r", "result": {"resolved": True}})


class Sent(list[dict[str, Any]]):
    """The params of commands, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()


@asynccontextmanager
async def an_agent_server(world: World, run: TaskRun, status: int, body: Any) -> AsyncIterator["Sent"]:
    """Listens where the run's agent server would, and answers everything alike; what it was sent."""
    sent = Sent()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length:")[1].split()[0])
        sent.append(json.loads(await reader.readexactly(length))["params"])
        sent.news.set()
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(data), data))
        await writer.drain()
        writer.close()

    sockets = world.node.folders(run.id).sockets
    sockets.mkdir(parents=True, exist_ok=True)
    server = await asyncio.start_unix_server(serve, str(sockets / "agent.sock"))
    async with server:
        yield sent


@pytest.fixture
async def asking(world: World) -> AsyncIterator[tuple[World, TaskRun]]:
    """A background run at work on this node, whose agent waits for an answer."""
    with tempfile.TemporaryDirectory() as folder:
        world = world.with_node(data_dir=Path(folder))
        run = await world.run()
        facts = {name: datetime.now(UTC) for name in ("checked_out_at", "session_ready_at")}
        async with world.node.backends.database.transaction() as tx:
            sandbox = {"provider": "process", "id": "1"}
            run = await runs.note(tx, run.id, {**facts, "node_id": world.node.id, "sandbox": sandbox})
            await tx.connection.execute("UPDATE messages SET status = 'delivered' WHERE run_id = %s", [run.id])
        entry = {"type": "permission_request", "requestId": "r", "options": OPTIONS, "toolCall": {}}
        body = json.dumps({"entries": [entry]}).encode()
        agent = RunCaller(run_id=run.id, epoch=0)
        await logs.append_log(world.node.backends, agent, world.project, run.task_id, run.id, body)
        yield world, run


async def answer(world: World, run: TaskRun, **params: Any) -> None:
    command = Command(method=CommandMethod.PERMISSION_RESPONSE, params={"requestId": "r", "optionId": "yes", **params})
    body = await commands.send_command(world.node.backends, world.caller, world.project, run.task_id, run.id, command)
    assert json.loads(body)["result"] == {"resolved": True}


async def kept(world: World, run: TaskRun) -> PermissionRequest:
    async with world.node.backends.database.statement() as tx:
        found = await rows.find(tx, run.id, "r")
    assert found is not None
    return found


async def test_an_answer_reaches_the_agent_server_once_it_is_given(asking: tuple[World, TaskRun]) -> None:
    world, run = asking
    async with an_agent_server(world, run, *RESOLVED) as sent:
        await reconcile(world.node, run.id)
        assert sent == []
        await answer(world, run, customInput="go")
        await reconcile(world.node, run.id)
        await reconcile(world.node, run.id)
    assert sent == [{"requestId": "r", "again": True, "optionId": "yes", "customInput": "go"}]
    assert (await kept(world, run)).delivered_at is not None


async def test_an_answer_is_sent_again_where_its_delivery_was_not_written_down(asking: tuple[World, TaskRun]) -> None:
    world, run = asking
    await answer(world, run)
    async with an_agent_server(world, run, *RESOLVED) as sent:
        async with world.node.backends.database.transaction() as tx:
            await runs.load_for_update(tx, run.id)  # so that this worker gets no further than the agent server
            first = asyncio.create_task(give_answer(world.node, run, GiveAnswer()))
            await sent.news.wait()
            first.cancel()
            await asyncio.wait({first})
        assert (await kept(world, run)).delivered_at is None
        await reconcile(world.node, run.id)
    assert len(sent) == 2
    assert sent[0] == sent[1]
    assert (await kept(world, run)).delivered_at is not None


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, {"jsonrpc": "2.0", "id": "r", "error": {"code": -32000, "message": "Nobody waits."}}), (400, {"error": "No active session"})],
)
async def test_an_answer_that_nobody_waits_for_is_void(asking: tuple[World, TaskRun], status: int, body: Any) -> None:
    world, run = asking
    await answer(world, run)
    async with an_agent_server(world, run, status, body):
        await reconcile(world.node, run.id)
    request = await kept(world, run)
    assert (request.state, request.reason, request.delivered_at) == (RequestState.VOID, UNHEARD, None)


@pytest.mark.parametrize(("status", "body"), [(500, {}), (200, b"no JSON"), (200, [])])
async def test_an_agent_server_that_fails_is_tried_again_later(asking: tuple[World, TaskRun], status: int, body: Any) -> None:
    world, run = asking
    await answer(world, run)
    async with an_agent_server(world, run, status, body) as sent:
        with pytest.raises(UnavailableError):
            await give_answer(world.node, run, GiveAnswer())
        await reconcile(world.node, run.id)
    assert len(sent) == 2
    fresh = await world.fresh(run)
    assert (fresh.execution.ending, (await kept(world, run)).state) == (None, RequestState.ANSWERED)
    assert fresh.execution.wake_at is not None
    assert fresh.execution.wake_at > datetime.now(UTC)
    async with an_agent_server(world, run, *RESOLVED):
        await reconcile(world.node, run.id)
    assert (await kept(world, run)).delivered_at is not None


async def test_what_nobody_answers_is_rejected_at_its_deadline_and_the_agent_is_told(asking: tuple[World, TaskRun]) -> None:
    world, run = asking
    deadline = (await kept(world, run)).deadline
    assert deadline is not None
    clock = FixedClock(deadline - timedelta(seconds=1))
    world = world.with_node(backends=replace(world.node.backends, clock=clock))
    async with an_agent_server(world, run, *RESOLVED) as sent:
        await reconcile(world.node, run.id)
        assert ((await kept(world, run)).state, (await world.fresh(run)).execution.wake_at) == (RequestState.WAITING, deadline)
        clock.advance(timedelta(seconds=1))
        await reconcile(world.node, run.id)
    assert sent == [{"requestId": "r", "again": True, "optionId": "no"}]
    request = await kept(world, run)
    assert (request.state, request.reason) == (RequestState.EXPIRED, "Nobody answered within 30 minutes.")
    assert request.delivered_at is not None


async def test_a_worker_whose_run_was_taken_over_writes_nothing(asking: tuple[World, TaskRun]) -> None:
    world, run = asking
    await answer(world, run)
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"epoch": 5})
    async with an_agent_server(world, run, *RESOLVED):
        with pytest.raises(TakenOverError):
            await give_answer(world.node, run, GiveAnswer())
    with pytest.raises(TakenOverError):
        await expire_requests(world.node, run, ExpireRequests())
    assert (await kept(world, run)).delivered_at is None
