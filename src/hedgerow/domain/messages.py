"""A message to the agent of a run, and its way through the run's inbox."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

UNANSWERED = "The run ended before the agent could answer."
HANDED_OVER = "The run was handed over to its client before the agent could answer."


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
