"""Time as the rest of the house sees it: a clock that is handed in, so that tests control it."""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


def steady_seconds() -> float:
    """Seconds on a clock that nobody sets. It goes on while the machine sleeps, where the system has such a clock."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """The present moment, with time zone UTC."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment, with time zone UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is moved: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        self._now = start

    def now(self) -> datetime:
        """The moment this clock was last moved to."""
        return self._now

    def advance(self, duration: timedelta) -> None:
        """Move the clock forward by `duration`."""
        self._now += duration


def stamp(moment: datetime) -> str:
    """A moment as state events and artifacts tell it: in UTC, with microseconds and the offset written out (contract 1.1)."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")
