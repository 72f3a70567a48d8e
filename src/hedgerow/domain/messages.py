"""A message to the agent of a run, and its way through the run's inbox."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

UNANSWERED = "The run ended before the agent could answer."
HANDED_OVER = "The run was handed over to its client before the agent could answer."

MOVED = "moved"
REMOVED = "removed"
"""What an event says of a message that still waits, and of one that is gone, beside the statuses of messages."""


class MessageStatus(StrEnum):
    """Where a message stands."""

    QUEUED = "queued"  # kept, not yet handed to the agent
    DELIVERED = "delivered"  # the agent server has it, its turn has not ended
    ACKNOWLEDGED = "acknowledged"  # its turn has ended
    FAILED = "failed"  # it could not be delivered, or its turn failed; `error` says why


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a person said to the agent of a run. `position` orders the inbox."""

    id: UUID
    run_id: UUID
    position: int
    content: str | None
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    status: MessageStatus
    error: str | None = None
    created_at: datetime
    taken_at: datetime | None = None  # a worker hands it over, or has; from then on it is the agent's

    @property
    def waiting(self) -> bool:
        """Whether it can still be moved and taken back."""
        return self.status is MessageStatus.QUEUED and self.taken_at is None


def places(waiting: Sequence[Message], moved: UUID, position: int) -> dict[UUID, int]:
    """The positions of messages that wait, given in order, once one of them stands at `position`.

    They share the places that they have between them: the moved one gets the first of these at or after `position`, or the last.
    """
    slots = [message.position for message in waiting]
    index = next((index for index, slot in enumerate(slots) if slot >= position), len(slots) - 1)
    order = [message.id for message in waiting if message.id != moved]
    order.insert(index, moved)
    return dict(zip(order, slots, strict=True))
