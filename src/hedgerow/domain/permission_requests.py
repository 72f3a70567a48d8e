"""What an agent asks leave for, who answers it, and with which of its options."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

LONGEST_REQUEST_ID = 200
"""Characters of a request's id: it stands in an index, whose rows are bounded."""

RUN_OVER = "The run ended before anybody answered."
SESSION_OVER = "The session of the agent ended before anybody answered."
UNHEARD = "The agent did not wait any more when the answer came."
OVERTAKEN = "The agent was given another answer first."
WITHDRAWN = "The agent does not wait for it any more."


class RequestState(StrEnum):
    """Where a permission request stands."""

    WAITING = "waiting"  # nobody has answered
    ANSWERED = "answered"  # a person has; `delivered_at` says since when the agent knows
    EXPIRED = "expired"  # nobody answered in time, so it was rejected
    VOID = "void"  # the agent waits no more, and was given no person's answer; `reason` says why


class PermissionPolicy(StrEnum):
    """How the permission requests of background runs are answered, where nobody may be looking."""

    ALLOW = "allow"  # at once, with yes
    REJECT = "reject"  # at once, with no
    ASK = "ask"  # by a person, or with no at the deadline


_ALLOWS = ("allow_once", "allow_always")
_REJECTS = ("reject_once", "reject_always")


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionAnswer:
    """An answer to a permission request. `option_id` None: no option of it says no, so it counts as cancelled."""

    option_id: str | None
    input: Mapping[str, Any] = field(default_factory=dict)  # customInput and answers, as the API takes them


@dataclass(frozen=True, slots=True, kw_only=True)
class PermissionRequest:
    """A question of the agent of a run. `id` is the agent server's, unique within the run."""

    run_id: UUID
    task_id: UUID
    id: str
    options: Sequence[Mapping[str, Any]]
    tool_call: Mapping[str, Any]
    asked_at: datetime
    deadline: datetime | None = None  # None: as long as the run lives
    state: RequestState = RequestState.WAITING
    answer: PermissionAnswer | None = None
    answered_at: datetime | None = None
    answered_by: int | None = None  # the person's id; None where no person known to this server has answered
    reason: str | None = None  # of the states expired and void
    delivered_at: datetime | None = None  # the agent server has taken the answer


def allowing(options: object) -> str | None:
    """The option that allows what is asked, this once where that is offered; chosen by kind, for ids differ among agents."""
    return _of_kind(options, _ALLOWS)


def rejecting(options: object) -> str | None:
    """The option that refuses what is asked, this once where that is offered; None where no option does."""
    return _of_kind(options, _REJECTS)


def sound_options(options: object) -> list[dict[str, Any]]:
    """The options of a request that can be chosen: objects with an id."""
    if not isinstance(options, list):
        return []
    return [option for option in options if isinstance(option, dict) and isinstance(option.get("optionId"), str)]


def _of_kind(options: object, kinds: tuple[str, ...]) -> str | None:
    sound = sound_options(options)
    return next((option["optionId"] for kind in kinds for option in sound if option.get("kind") == kind), None)
