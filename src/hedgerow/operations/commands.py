"""Commands to the agent of a run (contract 9): messages and answers are kept and handed over, everything else is forwarded."""

import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from hedgerow.db import runs
from hedgerow.db.database import Transaction
from hedgerow.db.rows import is_storable
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import InvalidError, RefusedError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.messages import Message, MessageStatus
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.operations import access, audit, forwarding, inbox, permission_requests, run_changes
from hedgerow.operations.backends import Backends

_NO_SANDBOX = "No active sandbox for this run."


async def send_command(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, command: Command) -> bytes:
    """Carry out a command; the JSON document to answer with.

    The door has checked jsonrpc, method, id and that params is an object; what must be in params is checked here.
    Raises InvalidError (attr `params`), NotFoundError, RefusedError (`No active sandbox`, unknown artifacts, a sandbox_url that
    is not allowed), UnavailableError (the agent did not answer or refused: 502), TimedOutError (504).
    """
    who = access.person(caller)
    check_params(command)
    if command.method is CommandMethod.USER_MESSAGE:
        return await _queue(backends, who, project, task_id, run_id, command)
    if command.method is CommandMethod.PERMISSION_RESPONSE:
        answered = await permission_requests.answer_permission_request(backends, who, project, task_id, run_id, command)
        if answered is not None:
            return answered
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, who, project, task_id, run_id)
    if not run.state.get("sandbox_url"):
        raise RefusedError(_NO_SANDBOX)
    await _note_sending(backends, who, run, command)
    answer = await forwarding.forward(backends, who, run, command)
    if command.method is CommandMethod.CANCEL and answer.succeeded:
        await _note_cancel(backends, run)
    return answer.body


def check_params(command: Command) -> None:
    """Raise InvalidError (attr `params`) where a command lacks what its method needs (contract 9.1)."""
    if command.method is CommandMethod.USER_MESSAGE:
        _check_message(command.params)
    elif command.method is CommandMethod.PERMISSION_RESPONSE:
        _check_texts(command.params, "requestId", "optionId")
    elif command.method is CommandMethod.SET_CONFIG_OPTION:
        _check_texts(command.params, "configId", "value")


def _check_message(params: dict[str, Any]) -> None:
    content, artifact_ids = params.get("content"), params.get("artifact_ids")
    if content is not None and not isinstance(content, str):
        raise _bad_params("content must be a string")
    if isinstance(content, str) and not is_storable(content):
        raise _bad_params("content must not hold null characters or lone surrogates")
    if artifact_ids is not None and not isinstance(artifact_ids, list):
        raise _bad_params("artifact_ids must be a list")
    if any(not isinstance(artifact_id, str) or not artifact_id.strip() for artifact_id in artifact_ids or ()):
        raise _bad_params("artifact_ids must hold non-blank strings")
    if not (content or "").strip() and not artifact_ids:
        raise _bad_params("user_message needs content or artifact_ids")


def _check_texts(params: dict[str, Any], *names: str) -> None:
    for name in names:
        value = params.get(name)
        if not isinstance(value, str) or not value.strip():
            raise _bad_params(f"{name} must be a non-blank string")


def _bad_params(reason: str) -> InvalidError:
    return InvalidError(f"Invalid params: {reason}.", attr="params", detail_code="invalid_input")


async def _queue(backends: Backends, caller: PersonalCaller, project: Project, task_id: UUID, run_id: UUID, command: Command) -> bytes:
    """Put a message into the run's inbox. Nothing is kept for a run that nobody would hand it to."""
    artifact_ids = [artifact_id.strip() for artifact_id in command.params.get("artifact_ids") or ()]
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        artifacts = artifacts_of(run, artifact_ids)
        if not _takes_messages(run):
            raise RefusedError(_NO_SANDBOX)
        message = await _add_message(backends, tx, run, (command.params.get("content") or "").strip() or None, artifacts)
        await audit.note_run(backends, tx, caller, AuditAction.COMMAND_USER_MESSAGE, run, subject=message.id)
    return json.dumps({"jsonrpc": "2.0", "id": command.id, "result": {"queued": True, "messageId": str(message.id)}}).encode()


def _takes_messages(run: TaskRun) -> bool:
    """Whether the server drives the run and has not decided that it ends."""
    execution = run.execution
    driven = execution.started_at is not None and run.environment is Environment.CLOUD
    return driven and not run.status.terminal and execution.ending is None


def artifacts_of(run: TaskRun, artifact_ids: Sequence[str], *, family: str = "error") -> list[dict[str, Any]]:
    """The run's artifacts of these ids. RefusedError naming the ids that are none, in the order in which they were asked for."""
    known = {artifact.get("id"): artifact for artifact in run.artifacts}
    missing = [artifact_id for artifact_id in artifact_ids if artifact_id not in known]
    if missing:
        sentence = "Some of the artifacts are not artifacts of this run."
        raise RefusedError(sentence, family=family, missing_artifact_ids=missing)
    return [known[artifact_id] for artifact_id in artifact_ids]


async def _add_message(backends: Backends, tx: Transaction, run: TaskRun, content: str | None, artifacts: list[dict[str, Any]]) -> Message:
    now = backends.clock.now()
    message = Message(
        id=uuid7(int(now.timestamp() * 1000)),
        run_id=run.id,
        position=0,  # given by the database
        content=content,
        artifacts=artifacts,
        status=MessageStatus.QUEUED,
        created_at=now,
    )
    await inbox.put(backends, tx, message)
    # Whoever speaks after a cancel wants the run to go on.
    await runs.note(tx, run.id, {"active_at": now, "wake_at": now, "cancel_requested_at": None})
    run_changes.nudge(backends, tx, run)
    return message


_RECORDED = {
    CommandMethod.CANCEL: AuditAction.COMMAND_CANCEL,
    CommandMethod.CLOSE: AuditAction.COMMAND_CLOSE,
    CommandMethod.PERMISSION_RESPONSE: AuditAction.COMMAND_PERMISSION_RESPONSE,
    CommandMethod.SET_CONFIG_OPTION: AuditAction.COMMAND_SET_CONFIG_OPTION,
}
_IDENTIFIERS = ("requestId", "optionId", "configId")


async def _note_sending(backends: Backends, caller: PersonalCaller, run: TaskRun, command: Command) -> None:
    """Record a command before it is sent on: nothing that reaches an agent may be missing, whatever dies meanwhile.

    Under an Idempotency-Key the record stands or falls with the answer that is kept.
    """
    named = {name: audit.word(command.params[name]) for name in _IDENTIFIERS if name in command.params}
    async with backends.database.transaction() as tx:
        await audit.note_run(backends, tx, caller, _RECORDED[command.method], run, **named)


async def _note_cancel(backends: Backends, run: TaskRun) -> None:
    """The agent was told to stop: the run's lifecycle hears of it too."""
    now = backends.clock.now()
    async with backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"cancel_requested_at": now, "active_at": now, "wake_at": now})
        run_changes.nudge(backends, tx, run)
