"""Messages that wait in the inbox of a run (contract 13.4)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What a person said to the agent of a run. `position` orders those that wait."""

    id: str
    content: str | None
    artifacts: tuple[Mapping[str, Any], ...]
    status: str
    position: int | None
    error: str | None
    created_at: datetime
    raw: Mapping[str, Any] = field(repr=False)


def message_from(body: Mapping[str, Any]) -> Message:
    """A message from its JSON object."""
    return Message(
        id=body["id"],
        content=body.get("content"),
        artifacts=tuple(body.get("artifacts") or ()),
        status=body.get("status") or "",
        position=body.get("position"),
        error=body.get("error"),
        created_at=made_at(body.get("created_at")),
        raw=body,
    )
