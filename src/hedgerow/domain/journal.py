"""The journal of a run: what is kept of it, in what order, and under which name (contract 7.1 and 13.1)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any

from hedgerow.domain.clock import stamp
from hedgerow.domain.queue import POSITION_KEY
from hedgerow.domain.runs import TaskRun


class EventKind(IntEnum):
    """What a numbered event of the journal is. Only entries are shown by `logs` and `session_logs`."""

    ENTRY = 1
    STATE = 2
    PERMISSION = 3
    MESSAGE = 4


@dataclass(frozen=True, slots=True)
class NewEvent:
    """An event before it has a number. `text` is one JSON object without line breaks, in the bytes that readers get."""

    kind: EventKind
    event_type: str
    timestamp: datetime | None
    text: str


@dataclass(frozen=True, slots=True)
class JournalEvent:
    """A numbered event of a run's journal. Numbers are 1, 2, 3 … without gaps."""

    number: int
    kind: EventKind
    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """A message chunk: live only, never numbered. `follows` is the number of the event that it comes after."""

    follows: int
    text: str


LONGEST_EVENT_TYPE = 200
"""Characters of an event's type that count: it stands in an index, whose rows are bounded."""


_MOST_DIGITS = 4000


def integer(digits: str) -> int | float:
    """An integer in an entry, however long: Python itself reads a few thousand digits only, and longer ones count as the nearest double."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def event_type(entry: Mapping[str, Any]) -> str:
    """The name by which `session_logs` filters: the notification's method, or the kind of a session update, or ""."""
    return _full_type(entry)[:LONGEST_EVENT_TYPE]


def method_of(entry: Mapping[str, Any]) -> str:
    """The method of the notification that an entry holds; "" where it holds none."""
    notification = entry.get("notification")
    method = notification.get("method") if isinstance(notification, dict) else None
    return method if isinstance(method, str) else ""


def tells_of_a_turn(method: str) -> bool:
    """Whether a method is one by which the agent server reports the end of a turn. A doubled underscore before it means the same."""
    return method.removeprefix("_").removeprefix("_") in {"posthog/turn_complete", "posthog/error"}


def _full_type(entry: Mapping[str, Any]) -> str:
    kind = _update_kind(entry)
    return method_of(entry) if kind is None else kind


def _update_kind(entry: Mapping[str, Any]) -> str | None:
    """The kind of a session update; None for anything else, and for one without a kind."""
    if method_of(entry) != "session/update":
        return None
    params = entry["notification"].get("params")
    update = params.get("update") if isinstance(params, dict) else None
    kind = update.get("sessionUpdate") if isinstance(update, dict) else None
    return kind if isinstance(kind, str) else None


def is_message_chunk(entry: Mapping[str, Any]) -> bool:
    """Whether an entry is a piece of a message that will come again as a whole, and is therefore never stored."""
    return _update_kind(entry) == "agent_message_chunk"


def entry_timestamp(entry: Mapping[str, Any]) -> datetime | None:
    """The instant an entry names, in UTC; None where it names none, or none that can be read. A naive stamp counts as UTC."""
    told = entry.get("timestamp")
    if not isinstance(told, str):
        return None
    try:
        moment = datetime.fromisoformat(told)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def notification(method: str, params: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """A log entry in the shape of contract 7.1, made by the server itself."""
    return {
        "type": "notification",
        "timestamp": now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "notification": {"jsonrpc": "2.0", "method": method, "params": dict(params)},
    }


def wire_time(moment: datetime | None) -> str | None:
    """A moment as the API writes it: ISO 8601 in UTC with microseconds and a Z."""
    return None if moment is None else moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def state_event(run: TaskRun) -> dict[str, Any]:
    """The `task_run_state` event that every change of a run puts on its stream (contract 8.2); while it waits, with its place in line."""
    return {
        "type": "task_run_state",
        "run_id": str(run.id),
        "task_id": str(run.task_id),
        "status": run.status.value,
        "stage": run.stage,
        "output": run.output,
        "branch": run.branch,
        "error_message": run.error_message,
        "updated_at": stamp(run.updated_at),
        "completed_at": None if run.completed_at is None else stamp(run.completed_at),
        **({POSITION_KEY: run.state[POSITION_KEY]} if POSITION_KEY in run.state else {}),
    }
