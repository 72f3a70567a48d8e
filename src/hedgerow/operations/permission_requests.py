"""Permission requests of agents: seeing them, and their one answer.

Everything here that changes a request holds the lock of its run's row, so the first valid answer is the answer. It is durable before it
is acknowledged; a worker hands it to the agent, again after a crash, and the agent server takes it once.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.db import permission_requests, runs
from hedgerow.db.database import Transaction
from hedgerow.db.rows import is_storable
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.audit import ActorKind, AuditAction
from hedgerow.domain.commands import Command
from hedgerow.domain.permission_requests import (
    SESSION_OVER,
    PermissionAnswer,
    PermissionRequest,
    RequestState,
    rejecting,
    sound_options,
)
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.operations import access, audit, run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.permission_reports import note_answer, note_delivery

_INVALID_PARAMS = -32602
_FAILED = -32000


async def list_permission_requests(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, state: RequestState | None, paging: Paging
) -> Page[PermissionRequest]:
    """The permission requests of a run, oldest first; None: in every state. Raises NotFoundError."""
    who = access.person(caller)
    async with backends.database.transaction() as tx:
        run = await access.readable_run(tx, who, project, task_id, run_id)
        count, found = await permission_requests.page(tx, project.id, run.id, state, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


async def list_project_permission_requests(
    backends: Backends, caller: Caller, project: Project, state: RequestState | None, paging: Paging
) -> Page[PermissionRequest]:
    """The permission requests of all runs of a project, oldest first; None: in every state."""
    access.person(caller)
    async with backends.database.transaction() as tx:
        count, found = await permission_requests.page(tx, project.id, None, state, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


@dataclass(frozen=True, slots=True)
class _Refusal:
    """Why an answer does not count, as JSON-RPC says it."""

    code: int
    message: str
    request: PermissionRequest | None = None


async def answer_permission_request(
    backends: Backends, caller: PersonalCaller, project: Project, task_id: UUID, run_id: UUID, command: Command
) -> bytes | None:
    """Carry out a permission_response whose ids are texts: the JSON-RPC document to answer with.

    None where the command has to be forwarded as it is: the run's agent server is its client's own, or there is none.
    Raises NotFoundError.
    """
    request_id = command.params["requestId"]
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        request = await permission_requests.find(tx, run.id, request_id) if is_storable(request_id) else None
        if request is None and run.execution.sandbox is None:
            return None
        if request is not None and request.state is RequestState.VOID and not run.state.get("sandbox_url"):
            return None
        refusal = _refusal(run, request, command.params)
        if refusal is not None:
            return _document(command, error=_error(refusal, request_id))
        assert request is not None
        await _answer(backends, tx, caller, run, request, command.params)
    return _document(command, result={"resolved": True})


def _refusal(run: TaskRun, request: PermissionRequest | None, params: Mapping[str, Any]) -> _Refusal | None:
    if request is None:
        return _Refusal(_FAILED, f"No permission request {params['requestId']} is waiting for an answer.")
    if request.state is not RequestState.WAITING:
        return _Refusal(_FAILED, _too_late(request), request)
    if run.execution.ending is not None or run.execution.restarting or run.environment is Environment.LOCAL:
        return _Refusal(
            _FAILED, f"The permission request {request.id} cannot be answered any more: its run is about to leave its agent.", request
        )
    problem = _problem(request, params)
    return None if problem is None else _Refusal(_INVALID_PARAMS, problem, request)


def _too_late(request: PermissionRequest) -> str:
    match request.state:
        case RequestState.ANSWERED:
            return f"The permission request {request.id} was answered already."
        case RequestState.EXPIRED:
            return f"The permission request {request.id} was rejected before: {request.reason}"
        case _:
            return f"The permission request {request.id} cannot be answered any more: {request.reason}"


def _problem(request: PermissionRequest, params: Mapping[str, Any]) -> str | None:
    """What is wrong with an answer itself, in the words of the agent server."""
    custom, answers = params.get("customInput"), params.get("answers")
    offered = [option["optionId"] for option in sound_options(list(request.options))]
    if params["optionId"] not in offered or not is_storable(params["optionId"]):
        return f"optionId must be one of: {', '.join(offered)}."
    if not isinstance(custom, str | None):
        return "customInput must be a string."
    if answers is not None and not (isinstance(answers, dict) and all(isinstance(value, str) for value in answers.values())):
        return "answers must be an object of strings."
    return None


async def _answer(
    backends: Backends, tx: Transaction, caller: PersonalCaller, run: TaskRun, request: PermissionRequest, params: Mapping[str, Any]
) -> None:
    given = {name: params[name] for name in ("customInput", "answers") if params.get(name) is not None}
    answer = PermissionAnswer(option_id=params["optionId"], input=given)
    await note_answer(backends, tx, request, answer, by=caller.user.id)
    named = {"requestId": audit.word(request.id), "optionId": audit.word(answer.option_id)}
    await audit.note_run(backends, tx, caller, AuditAction.COMMAND_PERMISSION_RESPONSE, run, **named)
    now = backends.clock.now()
    await runs.note(tx, run.id, {"active_at": now, "wake_at": now})
    run_changes.nudge(backends, tx, run)


def _document(command: Command, **outcome: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": command.id, **outcome}).encode()


def _error(refusal: _Refusal, request_id: str) -> dict[str, Any]:
    data: dict[str, Any] = {"requestId": request_id}
    if refusal.request is not None:
        answer = refusal.request.answer
        data |= {"state": refusal.request.state.value} | ({} if answer is None else {"optionId": answer.option_id})
    return {"code": refusal.code, "message": refusal.message, "data": data}


async def expire_requests(backends: Backends, tx: Transaction, run: TaskRun) -> None:
    """Reject what nobody has answered in time, of a run whose row is locked: by the option that says no, else by cancelling it."""
    for request in await permission_requests.overdue(tx, run.id, backends.clock.now()):
        assert request.deadline is not None
        minutes = (request.deadline - request.asked_at).total_seconds() / 60
        answer = PermissionAnswer(option_id=rejecting(list(request.options)))
        reason = f"Nobody answered within {minutes:g} minutes."
        await note_answer(backends, tx, request, answer, state=RequestState.EXPIRED, reason=reason)
        named = {"requestId": audit.word(request.id), "optionId": None if answer.option_id is None else audit.word(answer.option_id)}
        await audit.note_run(backends, tx, ActorKind.SERVER, AuditAction.COMMAND_PERMISSION_RESPONSE, run, **named, expired=True)


async def settle_delivery(backends: Backends, tx: Transaction, run: TaskRun, request_id: str, *, taken: bool) -> None:
    """Write down what came of handing an answer over, of a run whose row is locked, unless that is known already.

    Not `taken`: the agent server no longer waits for it.
    """
    request = await permission_requests.find(tx, run.id, request_id)
    if request is None or request.state is RequestState.VOID or request.delivered_at is not None:
        return
    if taken:
        await note_delivery(backends, tx, request)
    else:
        await run_changes.void_request(backends, tx, request, SESSION_OVER)
