"""What a reader that follows a run gets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hedgerow.client.answers.runs import Run


@dataclass(frozen=True, slots=True)
class Received:
    """Something that happened in the run. `text` is the event as it came, `data` what it says, `cursor` where to go on after it."""

    text: str
    data: dict[str, Any]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection was lost; the next try is made after `retry_seconds`."""

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has ended and everything of it was received."""

    run: Run


Update = Received | Cut | Ended
