"""Entries as they are sent, and a journal as its readers get it."""

import json
from collections.abc import AsyncIterator
from typing import Any

from hedgerow.db import journal
from hedgerow.domain.access import Caller
from hedgerow.domain.journal import JournalEvent
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import logs
from hedgerow.operations.logs import Appended, LogFilters
from tests.operations.conftest import Desk


def update(kind: str, text: str = "", timestamp: str | None = "2026-05-07T10:00:00.000Z") -> dict[str, Any]:
    """An entry of session/update."""
    content = {"sessionUpdate": kind, "content": {"type": "text", "text": text}}
    return {
        "type": "notification",
        "timestamp": timestamp,
        "notification": {"jsonrpc": "2.0", "method": "session/update", "params": {"update": content}},
    }


def said(method: str, **params: Any) -> dict[str, Any]:
    """An entry of another method."""
    return {"type": "notification", "notification": {"jsonrpc": "2.0", "method": method, "params": params}}


async def appended(desk: Desk, run: TaskRun, *entries: Any, caller: Caller | None = None, key: str | None = None) -> Appended:
    """The answer to an append_log of the entries."""
    body = json.dumps({"entries": entries}).encode()
    return await logs.append_log(desk.backends, caller or desk.caller, desk.project, run.task_id, run.id, body, idempotency_key=key)


async def events_of(desk: Desk, run: TaskRun) -> list[JournalEvent]:
    """Everything on a run's journal but the state of its creation."""
    async with desk.backends.database.statement() as tx:
        return await journal.read(tx, run.id, 1)


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    """All pieces as one."""
    return b"".join([piece async for piece in pieces])


async def lines(desk: Desk, run: TaskRun) -> list[str]:
    """What logs/ answers."""
    return (await joined(await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id))).decode().splitlines()


async def found(desk: Desk, run: TaskRun, **filters: Any) -> tuple[list[Any], int, int, bool]:
    """What session_logs/ answers: entries, total, matching, whether there is more."""
    page = await logs.session_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id, LogFilters(**filters))
    return json.loads(await joined(page.body)), page.total, page.matching, page.has_more
