"""The messages of a run's inbox: seeing them, and moving or taking back those that wait (contract 13.4).

A worker takes a message before it hands it over, under the lock of the run's row, which everything here holds as well. So a message
was either taken, and then it is refused here, or it was not, and then what is answered here holds.
"""

from collections.abc import Mapping
from dataclasses import replace
from uuid import UUID

from hedgerow.db import messages, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import AuditAction
from hedgerow.domain.errors import ConflictError, NotFoundError, RefusedError
from hedgerow.domain.messages import Message, places
from hedgerow.domain.runs import PENDING_MESSAGE_KEYS, TaskRun
from hedgerow.operations import access, audit, inbox, run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging


async def list_messages(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, paging: Paging) -> Page[Message]:
    """Every message of a run, in the order in which its agent hears them. Raises NotFoundError."""
    who = access.person(caller)
    async with backends.database.transaction() as tx:
        run = await access.readable_run(tx, who, project, task_id, run_id)
        count, found = await messages.page_of_run(tx, run.id, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


async def move_message(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, message_id: UUID, position: int
) -> Message:
    """Let a message that waits stand at `position`, or at the nearest place that a waiting one can have; the message as it is then.

    The others that wait make room, and what was taken keeps its place. Raises NotFoundError, and ConflictError (detail_code
    `message_taken`) once the message is not to be moved any more.
    """
    async with backends.database.transaction() as tx:
        run, message = await _waiting(tx, caller, project, task_id, run_id, message_id)
        placed = places(await messages.waiting(tx, run.id), message.id, position)
        return await _placed(backends, tx, caller, AuditAction.MESSAGE_MOVE, run, message, placed)


async def delete_message(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, message_id: UUID) -> None:
    """Take a message that waits back: the agent never hears it. Errors as `move_message`."""
    async with backends.database.transaction() as tx:
        run, message = await _waiting(tx, caller, project, task_id, run_id, message_id)
        await inbox.remove(backends, tx, message)
        await audit.note_run(backends, tx, caller, AuditAction.MESSAGE_DELETE, run, subject=message.id)
        if message.content is not None and run.state.get("pending_user_message") == message.content:
            kept = {key: value for key, value in run.state.items() if key not in PENDING_MESSAGE_KEYS}
            run = await run_changes.change_run(backends, tx, run, {"state": kept}, caller)
        now = backends.clock.now()
        await runs.note(tx, run.id, {"active_at": now, "wake_at": now})
        run_changes.nudge(backends, tx, run)


async def promote_message(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, message_id: UUID) -> Message:
    """Have a message that waits said at once, into the running turn.

    Where no turn runs it only becomes the next one. Errors as `move_message`, and RefusedError while the agent is at work: none of
    the agents that hedgerow runs hears anybody before its turn is over. The message keeps its place then.
    """
    async with backends.database.transaction() as tx:
        run, message = await _waiting(tx, caller, project, task_id, run_id, message_id)
        if await messages.has_taken(tx, run.id):
            raise RefusedError("The agent is in the middle of a turn, and cannot be spoken to before that is over. The message waits.")
        placed = places(await messages.waiting(tx, run.id), message.id, 1)
        return await _placed(backends, tx, caller, AuditAction.MESSAGE_PROMOTE, run, message, placed)


async def demote_message(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, message_id: UUID) -> Message:
    """Have a message that waits said after all others. Errors as `move_message`."""
    async with backends.database.transaction() as tx:
        run, message = await _waiting(tx, caller, project, task_id, run_id, message_id)
        others = await messages.waiting(tx, run.id)
        placed = places(others, message.id, others[-1].position)
        return await _placed(backends, tx, caller, AuditAction.MESSAGE_DEMOTE, run, message, placed)


async def _placed(
    backends: Backends, tx: Transaction, caller: Caller, action: AuditAction, run: TaskRun, message: Message, placed: Mapping[UUID, int]
) -> Message:
    """Put the messages that wait where they belong; the one that this is about, as it stands then."""
    await inbox.place(backends, tx, message, placed)
    position = placed[message.id]
    await audit.note_run(backends, tx, caller, action, run, subject=message.id, position=position)
    return replace(message, position=position)


async def _waiting(
    tx: Transaction, caller: Caller, project: Project, task_id: UUID, run_id: UUID, message_id: UUID
) -> tuple[TaskRun, Message]:
    """The run, its row locked, and a message of it that waits."""
    run = await access.locked_run(tx, access.person(caller), project, task_id, run_id)
    message = await messages.find(tx, run.id, message_id)
    if message is None:
        raise NotFoundError("Message not found.")
    if not message.waiting:
        raise ConflictError(
            f"This message was taken already: it is {'on its way' if message.status == 'queued' else message.status.value}.",
            detail_code="message_taken",
        )
    return run, message
