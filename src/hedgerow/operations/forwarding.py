"""Forwarding a command to the agent server of a run, and telling its failures apart (contract 9.3)."""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import httpx
import structlog

from hedgerow.db import nodes
from hedgerow.domain.access import PersonalCaller
from hedgerow.domain.commands import Command
from hedgerow.domain.errors import RefusedError, TimedOutError, UnavailableError
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import connection_tokens, sandbox_urls
from hedgerow.operations.backends import Backends
from hedgerow.operations.sandbox_urls import Destination

logger = structlog.get_logger()

_CONNECT_SECONDS = 10.0
_ANSWER_BYTES = 16 * 1024 * 1024
_REASONS = {
    400: "The agent server refused the command: it may have no session for this run",
    401: "The agent server did not accept the connection token",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the agent server said. `succeeded`: a result, not a JSON-RPC error."""

    body: bytes
    succeeded: bool


async def forward(backends: Backends, caller: PersonalCaller, run: TaskRun, command: Command) -> Answer:
    """Send a command to the run's sandbox_url.

    Raises RefusedError where that is not allowed, UnavailableError where the agent server is not there or refuses,
    TimedOutError where it does not answer in time.
    """
    where = await _destination(backends, run)
    token = await connection_tokens.mint(backends, caller, run)
    try:
        request = _request(backends, run, where, token, command)
    except (httpx.InvalidURL, ValueError) as problem:
        raise RefusedError("The sandbox address of this run is none that a command could be sent to.") from problem
    return await _answer(backends, run, request)


def _request(backends: Backends, run: TaskRun, where: Destination, connection_token: str, command: Command) -> httpx.Request:
    headers = {"Authorization": f"Bearer {connection_token}", "Content-Type": "application/json"}
    if where.host is not None:
        headers["Host"] = where.host
    token = run.state.get("sandbox_connect_token")
    return backends.http.build_request(
        "POST",
        f"{where.url.rstrip('/')}/command",
        content=json.dumps(_document(command)).encode(),  # in ASCII, so that a lone surrogate passes as its escape
        params={"_modal_connect_token": token} if isinstance(token, str) else None,
        headers=headers,
        timeout=httpx.Timeout(backends.rules.command_timeout_seconds, connect=_CONNECT_SECONDS),
        extensions={"sni_hostname": httpx.URL(f"//{where.host}").host} if where.host else None,
    )


async def _destination(backends: Backends, run: TaskRun) -> Destination:
    """Our own gate where the run's node says so, else what the operator's allow-list lets through."""
    url = str(run.state["sandbox_url"])
    if run.execution.node_id is not None:
        async with backends.database.statement() as tx:
            gate = await nodes.worker_url(tx, run.execution.node_id)
        if gate is not None and url.rstrip("/") == f"{gate.rstrip('/')}/sandboxes/{run.id}":
            return Destination(url)
    return await sandbox_urls.destination(url, backends.rules.sandbox_url_allowlist)


def _document(command: Command) -> dict[str, Any]:
    document: dict[str, Any] = {"jsonrpc": "2.0", "method": command.method.value}
    if command.params:
        document["params"] = command.params
    if command.id is not None:
        document["id"] = command.id
    return document


async def _answer(backends: Backends, run: TaskRun, request: httpx.Request) -> Answer:
    try:
        async with asyncio.timeout(backends.rules.command_timeout_seconds):
            status, body = await _exchange(backends, request)
    except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
        raise UnavailableError("The agent server of this run cannot be reached.") from problem
    except (TimeoutError, httpx.TimeoutException) as problem:
        raise TimedOutError("The agent server of this run did not answer in time.") from problem
    except httpx.HTTPError as problem:
        logger.warning("a command was not answered", run_id=str(run.id), reason=type(problem).__name__)
        raise UnavailableError("The agent server of this run did not give an answer.") from problem
    return _read(status, body)


async def _exchange(backends: Backends, request: httpx.Request) -> tuple[int, bytes]:
    response = await backends.http.send(request, stream=True, follow_redirects=False)
    try:
        return response.status_code, await _body(response)
    finally:
        await response.aclose()


async def _body(response: httpx.Response) -> bytes:
    pieces: list[bytes] = []
    size = 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        if size > _ANSWER_BYTES:
            raise UnavailableError("The agent server of this run gave an answer that is too large.")
        pieces.append(piece)
    return b"".join(pieces)


def _read(status: int, body: bytes) -> Answer:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not 200 <= status < 300:
        text = document.get("error") if isinstance(document, dict) else None
        reason = text if isinstance(text, str) and text else _REASONS.get(status, "The agent server of this run failed")
        raise UnavailableError(f"{reason.rstrip('.')} (it returned {status}).")
    if document is None:
        raise UnavailableError("The agent server of this run gave an answer that is not JSON.")
    return Answer(body, succeeded=isinstance(document, dict) and "error" not in document)
