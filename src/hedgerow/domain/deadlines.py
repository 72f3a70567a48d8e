"""How long runs may take and wait: what the operator allows, and nearer deadlines of a run's own.

Those are keys of its `state`: minutes, each at most what the operator's setting allows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import lru_cache
from typing import Any, TypeVar

from hedgerow.domain.errors import InvalidError
from hedgerow.domain.runs import TaskRun

WALL_CLOCK = "wall_clock_minutes"
INACTIVITY = "inactivity_timeout_minutes"
TURN_SILENCE = "turn_silence_minutes"
SANDBOX = "sandbox_minutes"
DEADLINE_KEYS = (WALL_CLOCK, INACTIVITY, TURN_SILENCE, SANDBOX)

Bound = TypeVar("Bound", timedelta, timedelta | None)

_LONGEST_MINUTES = 525_600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadlines:
    """How long a run may wait, and how often it is tried to prepare one. All are settings; None: no such deadline."""

    inactivity: timedelta
    wall_clock: timedelta  # counts from the first claim: waiting in line is no work
    look_again: timedelta  # the longest time between two looks at a live run
    checkpoint: timedelta = timedelta(minutes=5)  # between two checkpoints of one turn; 0: only between turns
    sandbox: timedelta | None = None  # how long one sandbox may live
    turn_silence: timedelta | None = None  # how long nothing may come of a running turn
    landing: timedelta = timedelta(0)  # how long before the hard stop an agent is asked to stop its turn
    stopping: timedelta = timedelta(seconds=30)  # how long an agent that says nothing may take to stop its turn
    prepare_attempts: int = 1
    first_pause: timedelta = timedelta(seconds=2)  # before the second attempt; each further pause is twice as long

    def of(self, run: TaskRun) -> "Deadlines":
        """Those that hold for a run: it may have nearer ones of its own."""
        if not any(key in run.state for key in DEADLINE_KEYS):
            return self
        return _lowered(self, *(minutes(run.state, key) for key in DEADLINE_KEYS))

    def pause_before_retry(self, failed: int) -> timedelta | None:
        """How long to wait once preparing a run has failed `failed` times; None: that was the last attempt."""
        if failed >= self.prepare_attempts:
            return None
        return min(self.first_pause * (1 << min(failed - 1, 20)), max(self.first_pause, _LONGEST_PAUSE))


_LONGEST_PAUSE = timedelta(minutes=5)


@lru_cache(maxsize=256)
def _lowered(
    deadlines: Deadlines, wall_clock: float | None, inactivity: float | None, silence: float | None, sandbox: float | None
) -> Deadlines:
    """The operator's deadlines, each brought nearer by a run's own (in minutes). Remembered, since runs are looked at often."""
    return replace(
        deadlines,
        wall_clock=nearer(wall_clock, deadlines.wall_clock),
        inactivity=nearer(inactivity, deadlines.inactivity),
        turn_silence=nearer(silence, deadlines.turn_silence),
        sandbox=nearer(sandbox, deadlines.sandbox),
    )


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
