"""What the streams of a run tell of its messages and permission requests."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from hedgerow.checker.sorted_out import RunHistory

_WORDS = ("message_status", "permission_")
_PERMISSIONS = {
    "permission_request": "asked",
    "permission_answered": "answered",
    "permission_delivered": "delivered",
    "permission_void": "void",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """An event that tells what became of a message or a permission request, and the record in which it was first read."""

    number: int
    line: int
    permission: bool
    item: str  # the message's id, or the request's
    state: str
    option: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Tellings:
    """All of a run that anybody has read, in the order of the journal.

    `whole`: they are all that the journal holds, for somebody has read it to its end once nothing was on its way any more.
    """

    events: tuple[Telling, ...]
    whole: bool

    def of(self, *, permission: bool) -> Iterable[Telling]:
        """Those of messages, or those of permission requests."""
        return (event for event in self.events if event.permission is permission)


def read_tellings(run: RunHistory) -> Tellings:
    """What the streams of a run tell. What is not as hedgerow writes it tells nothing, nor do entries of people that look like it."""
    texts: dict[int, tuple[int, str]] = {}
    for reading in run.readings:
        for line, frame in reading.frames:
            texts.setdefault(frame.number, (line, frame.text))
    events = (_telling(number, line, text) for number, (line, text) in sorted(texts.items()) if text not in run.written)
    return Tellings(tuple(event for event in events if event is not None), _is_whole(run, texts.keys()))


def _is_whole(run: RunHistory, numbers: Iterable[int]) -> bool:
    known = set(numbers)
    if run.settled is None or len(known) != max(known, default=0):
        return False
    return any(reading.drained and reading.closed is not None and reading.closed.at >= run.settled[1] for reading in run.readings)


def _telling(number: int, line: int, text: str) -> Telling | None:
    if not any(word in text for word in _WORDS):
        return None
    try:
        document = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
    told = _member(document, "notification", "params")
    match _member(document, "type"), told:
        case "message_status", {"messageId": str(item), "status": str(state)}:
            return Telling(number, line, False, item, state, reason=_text(told.get("error")))
        case "permission_request", _ if isinstance(item := _member(document, "requestId"), str):
            return Telling(number, line, True, item, "asked")
        case str(kind), {"requestId": str(item)} if kind in _PERMISSIONS:
            return Telling(number, line, True, item, _PERMISSIONS[kind], _text(told.get("optionId")), _text(told.get("reason")))
    return None


def _member(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
