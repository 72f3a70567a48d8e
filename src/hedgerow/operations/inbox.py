"""The way of messages through a run's inbox: each change of one is an event of the run's journal, in the transaction of its row.

Nothing else writes messages, so that neither a row nor an event is ever without the other. The run's row must be locked.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from hedgerow.db import messages
from hedgerow.db.database import Transaction
from hedgerow.domain.messages import MOVED, REMOVED, Message, MessageStatus
from hedgerow.operations import run_changes
from hedgerow.operations.backends import Backends


async def put(backends: Backends, tx: Transaction, message: Message) -> Message:
    """Put a message at the end of its run's inbox; as it is then, with its position."""
    kept = await messages.add(tx, message)
    await _tell(backends, tx, kept.run_id, [kept.id], kept.status, position=kept.position)
    return kept


async def place(backends: Backends, tx: Transaction, message: Message, positions: Mapping[UUID, int]) -> None:
    """Give messages of one run new positions, because `message` was moved. Between them they are a permutation of what they had."""
    await messages.place(tx, positions)
    await _tell(backends, tx, message.run_id, [message.id], MOVED, position=positions[message.id])


async def remove(backends: Backends, tx: Transaction, message: Message) -> None:
    """Forget a message that waits."""
    await messages.remove(tx, message.id)
    await _tell(backends, tx, message.run_id, [message.id], REMOVED)


async def note_delivery(backends: Backends, tx: Transaction, run_id: UUID, message_id: UUID) -> bool:
    """Note that the agent server has a message. False where its turn has ended already, or it is not queued any more."""
    noted = await messages.mark_delivered(tx, message_id)
    if noted:
        await _tell(backends, tx, run_id, [message_id], MessageStatus.DELIVERED)
    return noted


async def finish(backends: Backends, tx: Transaction, run_id: UUID, message_id: UUID | None, error: str | None = None) -> bool:
    """Note that a message's turn has ended, with an error or without; None: of whatever was delivered. False where nothing changed."""
    finished = await messages.finish(tx, run_id, message_id, error)
    status = MessageStatus.ACKNOWLEDGED if error is None else MessageStatus.FAILED
    await _tell(backends, tx, run_id, finished, status, error=error)
    return bool(finished)


async def give_up(backends: Backends, tx: Transaction, run_id: UUID, error: str) -> None:
    """Fail every message of a run whose turn has not ended."""
    failed = await messages.fail_unfinished(tx, run_id, error)
    await _tell(backends, tx, run_id, failed, MessageStatus.FAILED, error=error)


async def _tell(backends: Backends, tx: Transaction, run_id: UUID, ids: Sequence[UUID], status: str, **more: Any) -> None:
    events = [run_changes.message_event(backends, message_id, status, **more) for message_id in ids]
    if events:
        await run_changes.add_events(backends, tx, run_id, events)
