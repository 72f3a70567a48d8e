"""Deadlines that a run has of its own, as keys of its `state`: minutes, each at most what the operator's setting allows."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

from hedgerow.domain.errors import InvalidError

WALL_CLOCK = "wall_clock_minutes"
INACTIVITY = "inactivity_timeout_minutes"
TURN_SILENCE = "turn_silence_minutes"
SANDBOX = "sandbox_minutes"
DEADLINE_KEYS = (WALL_CLOCK, INACTIVITY, TURN_SILENCE, SANDBOX)

Bound = TypeVar("Bound", timedelta, timedelta | None)

_LONGEST_MINUTES = 525_600.0


def check(given: Mapping[str, Any], prefix: str = "") -> None:
    """Raise InvalidError (attr: its key after `prefix`) for a deadline among what is given that is no number of minutes."""
    for key in DEADLINE_KEYS:
        if key in given and minutes(given, key) is None:
            raise InvalidError(
                f"{key} must be a number of minutes, above 0 and at most {_LONGEST_MINUTES:.0f}.",
                attr=f"{prefix}{key}",
                detail_code="invalid_input",
            )


def nearer(own: float | None, bound: Bound) -> timedelta | Bound:
    """The deadline that holds for a run: its own (in minutes, None: it has none), but never beyond the operator's `bound`."""
    if own is None:
        return bound
    mine = timedelta(minutes=own)
    return mine if bound is None else min(mine, bound)


def minutes(state: Mapping[str, Any], key: str) -> float | None:
    """A deadline that stands in `state`; None where there is none, or something that is no number of minutes."""
    value = state.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if 0 < value <= _LONGEST_MINUTES else None
