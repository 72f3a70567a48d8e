"""What the agent server says of permission requests on the journal, and the rows that are kept of them.

It says so by the type of an entry, which an agent cannot choose: what agents say stands inside of notifications.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeGuard

from hedgerow.db import permission_requests, runs
from hedgerow.db.database import Transaction
from hedgerow.db.rows import is_storable
from hedgerow.domain.permission_requests import (
    LONGEST_REQUEST_ID,
    OVERTAKEN,
    RUN_OVER,
    SESSION_OVER,
    WITHDRAWN,
    PermissionAnswer,
    PermissionRequest,
    RequestState,
)
from hedgerow.domain.runs import RunMode, TaskRun
from hedgerow.operations import run_changes
from hedgerow.operations.backends import Backends

_ASKED = "permission_request"
_RESOLVED = "permission_resolved"
_SESSION_ENDED = "session_ended"


@dataclass(frozen=True, slots=True)
class Asked:
    """The agent waits for an answer."""

    request_id: str
    options: list[dict[str, Any]]
    tool_call: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resolved:
    """The agent waits no more. `reason`: why without an answer; None: it has somebody's, or the request was cancelled by an answer."""

    request_id: str
    option_id: str | None
    reason: str | None


PermissionReport = Asked | Resolved


def is_stream_only(entry: Mapping[str, Any]) -> bool:
    """Whether an entry of the agent server is about a permission request: those are streamed, and no part of the log."""
    return entry.get("type") in (_ASKED, _RESOLVED)


def read(entry: Mapping[str, Any], text: str) -> PermissionReport | None:
    """The report that an entry is, out of its masked text; None for any other, and for one that nobody could name or keep."""
    if not is_stream_only(entry):
        return None
    try:
        value = json.loads(text, parse_float=_number)
    except (ValueError, RecursionError):
        return None
    if value.get("type") == _ASKED:
        request_id, options, tool_call = value.get("requestId"), value.get("options"), value.get("toolCall")
        sound = [option for option in options if isinstance(option, dict)] if isinstance(options, list) else []
        return Asked(request_id, sound, _object(tool_call)) if _is_id(request_id) else None
    params = _object(_object(value.get("notification")).get("params"))
    request_id = params.get("requestId")
    return Resolved(request_id, _text(params.get("optionId")), _text(params.get("reason"))) if _is_id(request_id) else None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(text: str) -> float | str:
    """A number with a fraction or an exponent; as text where it is beyond a double, for JSON could not hold what it became."""
    number = float(text)
    return number if math.isfinite(number) else text


def _is_id(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= LONGEST_REQUEST_ID and is_storable(value)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


async def record(backends: Backends, tx: Transaction, run: TaskRun, report: PermissionReport) -> TaskRun:
    """Keep what the agent server says of a request of a run whose row is locked, and have a worker look at its deadline."""
    changed = await (_asked(backends, tx, run, report) if isinstance(report, Asked) else _resolved(backends, tx, run, report))
    if not changed:
        return run
    now = backends.clock.now()
    run_changes.nudge(backends, tx, run)
    return await runs.note(tx, run.id, {"active_at": now, "wake_at": now})


async def _asked(backends: Backends, tx: Transaction, run: TaskRun, report: Asked) -> bool:
    now = backends.clock.now()
    waits = timedelta(seconds=backends.rules.permission_timeout_seconds)
    request = PermissionRequest(
        run_id=run.id,
        task_id=run.task_id,
        id=report.request_id,
        options=report.options,
        tool_call=report.tool_call,
        asked_at=now,
        deadline=now + waits if run.mode is RunMode.BACKGROUND else None,
    )
    if not await permission_requests.add(tx, request):
        return False
    if run.status.terminal or run.execution.ending is not None:
        await run_changes.void_requests(backends, tx, run.id, RUN_OVER)
    return True


async def _resolved(backends: Backends, tx: Transaction, run: TaskRun, report: Resolved) -> bool:
    """The agent has its result: an answer of ours, one that was given to the agent server itself, or none."""
    request = await permission_requests.find(tx, run.id, report.request_id)
    if request is None or request.state is RequestState.VOID or request.delivered_at is not None:
        return False
    if report.reason is not None:
        await run_changes.void_request(backends, tx, request, SESSION_OVER if report.reason == _SESSION_ENDED else WITHDRAWN)
        return True
    if request.state is RequestState.WAITING:
        request = await note_answer(backends, tx, request, PermissionAnswer(option_id=report.option_id))
    elif request.answer is None or request.answer.option_id != report.option_id:
        await run_changes.void_request(backends, tx, request, OVERTAKEN)
        return True
    await note_delivery(backends, tx, request)
    return True


async def note_answer(
    backends: Backends,
    tx: Transaction,
    request: PermissionRequest,
    answer: PermissionAnswer,
    *,
    by: int | None = None,
    state: RequestState = RequestState.ANSWERED,
    reason: str | None = None,
) -> PermissionRequest:
    """Give a request that waits its one answer, with an event; the request as it is then. Its run's row is locked."""
    answered = replace(request, state=state, answer=answer, answered_at=backends.clock.now(), answered_by=by, reason=reason)
    await permission_requests.save(tx, answered)
    told = {"requestId": request.id, "state": state.value, "optionId": answer.option_id, "reason": reason}
    await run_changes.add_events(backends, tx, request.run_id, [run_changes.permission_event(backends, "answered", **told)])
    return answered


async def note_delivery(backends: Backends, tx: Transaction, request: PermissionRequest) -> None:
    """Note that the agent server has taken the answer of a request, with an event. Its run's row is locked."""
    assert request.answer is not None
    await permission_requests.save(tx, replace(request, delivered_at=backends.clock.now()))
    event = run_changes.permission_event(backends, "delivered", requestId=request.id, optionId=request.answer.option_id)
    await run_changes.add_events(backends, tx, request.run_id, [event])
