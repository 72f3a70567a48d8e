import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import jwt
import pytest

from hedgerow.db import messages, nodes
from hedgerow.db import runs as rows
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import ForbiddenError, InvalidError, RefusedError, TimedOutError, UnavailableError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import Environment, RunStatus, TaskRun
from hedgerow.operations import commands, connection_tokens
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk

RESULT = b'{"jsonrpc":"2.0", "id":1,"result":{}}'
ALLOWED = ("http://127.0.0.1:*",)


class AgentServer:
    """An HTTP server on loopback that answers every request alike, and remembers what it was sent."""

    def __init__(self, status: int, body: bytes, *, silent: bool = False) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self._answer = f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nLocation: /x\r\nConnection: close\r\n\r\n".encode() + body
        self._silent = silent
        self.url = ""

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One exchange."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((head[0], headers, json.loads(body)))
        if self._silent:
            await reader.read()
        writer.write(self._answer)
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def agent_server(
    status: int = 200, body: bytes = b'{"jsonrpc":"2.0", "id":1,"result":{}}', **options: Any
) -> AsyncIterator[AgentServer]:
    """An agent server while it is needed."""
    agent = AgentServer(status, body, **options)
    server = await asyncio.start_server(agent.handle, "127.0.0.1", 0)
    agent.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield agent
    server.close()
    await server.wait_closed()


async def sent(desk: Desk, run: TaskRun, method: str, *, command_id: Any = 1, **params: Any) -> Any:
    """The answer to a command."""
    command = Command(method=CommandMethod(method), params=params, id=command_id)
    return json.loads(await commands.send_command(desk.backends, desk.caller, desk.project, run.task_id, run.id, command))


async def with_state(desk: Desk, run: TaskRun, **state: Any) -> None:
    """Give a run the keys of state that the server itself would write."""
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"state": {**run.state, **state}})


async def test_a_message_is_queued_behind_the_first_and_wakes_the_lifecycle(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="first")
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"wake_at": None})

    async with desk.backends.hub.subscribe(run.id) as watcher:
        answer = await sent(desk, run, "user_message", command_id=0, content=" second ")
        assert await watcher.wait(5)

    async with desk.backends.database.statement() as tx:
        inbox = await messages.of_run(tx, run.id)
    assert [(message.position, message.content) for message in inbox] == [(1, "first"), (2, "second")]
    assert answer == {"jsonrpc": "2.0", "id": 0, "result": {"queued": True, "messageId": str(inbox[1].id)}}
    assert (await desk.fresh(run)).execution.wake_at is not None


async def test_messages_at_once_are_all_kept_in_an_order(desk: Desk) -> None:
    run = await desk.started_run()

    await asyncio.gather(*(sent(desk, run, "user_message", content=str(n)) for n in range(12)))

    async with desk.backends.database.statement() as tx:
        inbox = await messages.of_run(tx, run.id)
    assert [message.position for message in inbox] == list(range(1, 14))


async def test_a_run_that_takes_no_messages_keeps_none(desk: Desk) -> None:
    created, ended, handed_over = await desk.run(), await desk.started_run(), await desk.started_run()
    ending = await desk.started_run()
    patches = ((ended, RunPatch(status=RunStatus.CANCELLED)), (handed_over, RunPatch(environment=Environment.LOCAL)))
    for run, patch in patches:
        await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, patch)
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, ending.id, {"ending": {"status": "completed", "reason": "finished", "message": None}})

    for run in (created, ended, handed_over, ending):
        with pytest.raises(RefusedError, match="No active sandbox"):
            await sent(desk, run, "user_message", content="hello")
        async with desk.backends.database.statement() as tx:
            assert "hello" not in [message.content for message in await messages.of_run(tx, run.id)]


async def test_artifacts_that_are_not_the_runs_refuse_a_message(desk: Desk) -> None:
    with pytest.raises(RefusedError) as refusal:
        await sent(desk, await desk.started_run(), "user_message", content="x", artifact_ids=["b", " a "])

    assert refusal.value.missing_artifact_ids == ["b", "a"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("user_message", {}),
        ("user_message", {"content": " "}),
        ("user_message", {"content": 1}),
        ("user_message", {"content": [{"type": "text"}]}),
        ("user_message", {"content": "x", "artifact_ids": "a"}),
        ("user_message", {"artifact_ids": [" "]}),
        ("user_message", {"artifact_ids": []}),
        ("permission_response", {"requestId": "r"}),
        ("permission_response", {"requestId": " ", "optionId": "o"}),
        ("set_config_option", {"configId": "mode", "value": 1}),
    ],
)
async def test_params_that_lack_something_are_refused_before_the_run_is_looked_up(desk: Desk, method: str, params: dict[str, Any]) -> None:
    command = Command(method=CommandMethod(method), params=params)

    with pytest.raises(InvalidError) as refusal:
        await commands.send_command(desk.backends, desk.caller, desk.project, uuid4(), uuid4(), command)

    assert refusal.value.attr == "params"


async def test_a_run_token_commands_nothing(desk: Desk) -> None:
    run = await desk.started_run()

    with pytest.raises(ForbiddenError):
        await commands.send_command(
            desk.backends, desk.agent(run), desk.project, run.task_id, run.id, Command(method=CommandMethod.CANCEL, params={})
        )


@pytest.mark.parametrize("method", ["cancel", "close"])
async def test_there_is_nobody_to_command_before_there_is_a_sandbox(desk: Desk, method: str) -> None:
    with pytest.raises(RefusedError, match="No active sandbox"):
        await sent(desk, await desk.started_run(), method)


async def test_a_command_goes_through_the_gate_of_the_runs_node(desk: Desk) -> None:
    run, node_id = await desk.started_run(), uuid7()
    async with agent_server() as agent:
        async with desk.backends.database.transaction() as tx:
            await nodes.report(tx, node_id, agent.url, 30.0)
            await rows.note(tx, run.id, {"node_id": node_id})
        await with_state(desk, run, sandbox_url=f"{agent.url}/sandboxes/{run.id}", sandbox_connect_token="tok en")

        answer = await sent(desk, run, "permission_response", requestId="r", optionId="o", answers={"q": "a"})

        await with_state(desk, run, sandbox_url=f"{agent.url}/sandboxes/{uuid4()}")
        with pytest.raises(RefusedError, match="allows"):
            await sent(desk, run, "cancel")
    line, headers, body = agent.requests[0]
    assert len(agent.requests) == 1
    assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert line == f"POST /sandboxes/{run.id}/command?_modal_connect_token=tok+en HTTP/1.1"
    params = {"requestId": "r", "optionId": "o", "answers": {"q": "a"}}
    assert body == {"jsonrpc": "2.0", "method": "permission_response", "params": params, "id": 1}
    key = await connection_tokens.public_key(desk.backends)
    claims = jwt.decode(headers["authorization"].removeprefix("Bearer "), key, algorithms=["RS256"], audience=connection_tokens.AUDIENCE)
    assert (claims["run_id"], claims["user_id"]) == (str(run.id), desk.caller.user.id)


async def test_params_and_id_that_were_not_given_are_left_out(desk: Desk) -> None:
    run = await desk.run(environment=Environment.LOCAL)
    async with agent_server() as agent:
        await with_state(desk, run, sandbox_url=agent.url + "/")
        await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED), run, "close", command_id=None)

    assert agent.requests[0][2] == {"jsonrpc": "2.0", "method": "close"}


@pytest.mark.parametrize(("body", "noted"), [(b'{"result":{"cancelled":true}}', True), (b'{"error":{"code":-32000}}', False)])
async def test_a_cancel_that_reached_the_agent_is_noted(desk: Desk, body: bytes, noted: bool) -> None:
    run = await desk.started_run()
    async with agent_server(body=body) as agent:
        await with_state(desk, run, sandbox_url=agent.url)
        assert await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED), run, "cancel") == json.loads(body)

    assert ((await desk.fresh(run)).execution.cancel_requested_at is not None) is noted


@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        (404, b'{"error":"Not found"}', r"Not found.*returned 404"),
        (400, b'{"error":"No active session for this run"}', "No active session for this run"),
        (401, b"", "connection token"),
        (500, b"<html>secret detail</html>", "returned 500"),
        (302, b"", "returned 302"),
        (200, b"not json", "not JSON"),
        (200, b"[" * 100_000, "not JSON"),
    ],
)
async def test_an_agent_server_that_refuses_is_quoted(desk: Desk, status: int, body: bytes, text: str) -> None:
    run = await desk.run()
    async with agent_server(status, body) as agent:
        await with_state(desk, run, sandbox_url=agent.url)
        with pytest.raises(UnavailableError, match=text) as failure:
            await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED), run, "close")

    assert not isinstance(failure.value, TimedOutError)
    assert "secret" not in failure.value.message
    assert len(agent.requests) == 1


async def test_anything_that_json_can_say_reaches_the_agent(desk: Desk) -> None:
    run = await desk.run()
    deep: Any = 10**400
    for _ in range(500):
        deep = [deep]
    async with agent_server() as agent:
        await with_state(desk, run, sandbox_url=agent.url)
        rules = desk.with_rules(sandbox_url_allowlist=ALLOWED)
        await sent(rules, run, "permission_response", requestId="\ud800", optionId="\x00 é", answers={"deep": deep})

    assert agent.requests[0][2]["params"] == {"requestId": "\ud800", "optionId": "\x00 é", "answers": {"deep": deep}}


@pytest.mark.parametrize("rest", ["/" + "a" * 70_000, "/\ud800", "/\x7f"])
async def test_an_address_that_nothing_can_be_sent_to_is_refused(desk: Desk, rest: str) -> None:
    run = await desk.run()
    await with_state(desk, run, sandbox_url=f"http://127.0.0.1:1{rest}")
    with pytest.raises((RefusedError, UnavailableError)):
        await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED), run, "close")


async def test_an_agent_server_that_is_silent_or_gone_is_told_apart(desk: Desk) -> None:
    run = await desk.run()
    async with agent_server(silent=True) as agent:
        await with_state(desk, run, sandbox_url=agent.url)
        with pytest.raises(TimedOutError):
            await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED, command_timeout_seconds=0.1), run, "close")
    with pytest.raises(UnavailableError, match="reached"):
        await sent(desk.with_rules(sandbox_url_allowlist=ALLOWED), run, "close")


async def test_whoever_speaks_after_a_cancel_wants_the_run_to_go_on(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"cancel_requested_at": desk.backends.clock.now()})
    await sent(desk, run, "user_message", content="Rather this")
    assert (await desk.fresh(run)).execution.cancel_requested_at is None
