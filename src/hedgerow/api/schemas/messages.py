"""The inbox of a run over the wire (contract 13.4)."""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import Integer, RequestModel
from hedgerow.api.schemas.runs import Artifact
from hedgerow.domain.journal import wire_time
from hedgerow.domain.messages import Message as DomainMessage
from hedgerow.domain.messages import MessageStatus


class Message(BaseModel):
    """What a person said to the agent of a run."""

    id: UUID
    position: int = Field(description="Orders the inbox. Where messages were taken back, numbers are missing.")
    status: MessageStatus
    content: str | None
    artifacts: list[Artifact]
    error: str | None = Field(description="Why it failed.")
    created_at: datetime
    taken_at: datetime | None = Field(description="Since when it is on its way to the agent: it can neither be moved nor taken back then.")


class MessagePage(BaseModel):
    """A page of messages."""

    count: int
    next: str | None
    previous: str | None
    results: list[Message]


class MessageMove(RequestModel):
    """The body of PATCH on a message."""

    position: Annotated[Integer, Field(ge=1)] = Field(
        description="Where it is to stand: it gets the nearest place that a waiting message can have, and the others make room."
    )


def message_detail(message: DomainMessage) -> dict[str, Any]:
    """A message as the API shows it."""
    return {
        "id": str(message.id),
        "position": message.position,
        "status": message.status.value,
        "content": message.content,
        "artifacts": message.artifacts,
        "error": message.error,
        "created_at": wire_time(message.created_at),
        "taken_at": wire_time(message.taken_at),
    }
