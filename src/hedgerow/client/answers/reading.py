"""Reads single values out of JSON objects, so that a field that is missing or of another kind does not break a client."""

from datetime import UTC, datetime
from typing import Any

EPOCH = datetime.fromtimestamp(0, UTC)


def moment(stamp: Any) -> datetime | None:
    """The instant that a stamp of the API names; None where it names none."""
    if not isinstance(stamp, str):
        return None
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed


def made_at(stamp: Any) -> datetime:
    """The same for an instant that every answer holds; the epoch where it does not."""
    return moment(stamp) or EPOCH


def mapping(value: Any) -> dict[str, Any]:
    """The JSON object; an empty one for anything else."""
    return value if isinstance(value, dict) else {}


def texts(value: Any) -> tuple[str, ...]:
    """The texts of a list; none for anything else."""
    return tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()
