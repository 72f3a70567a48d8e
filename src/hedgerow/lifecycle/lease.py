"""Whether a node may act on its runs: for a while after each of its reports, and then no more, for others may have taken them over."""

import math
from collections.abc import Callable

from hedgerow.domain.clock import steady_seconds


class NodeLease:
    """The lease of this node. A worker renews it with each report that succeeds."""

    def __init__(self, seconds: float = math.inf, clock: Callable[[], float] = steady_seconds) -> None:
        """`seconds`: how long it lasts after a report; a lease that lasts for ever holds from the start."""
        self.seconds = seconds
        self._clock = clock
        self._until = math.inf if math.isinf(seconds) else -math.inf

    @property
    def held(self) -> bool:
        """Whether this node may act."""
        return self.seconds_left > 0

    @property
    def seconds_left(self) -> float:
        """For how long it may still act; 0 where it may not."""
        return max(0.0, self._until - self._clock())

    def now(self) -> float:
        """The moment that `renew` counts from, taken before a report is sent."""
        return self._clock()

    def renew(self, reported_from: float) -> None:
        """Let the lease last as long as the report allows that was begun at `reported_from`: others can't have seen it earlier."""
        self._until = max(self._until, reported_from + self.seconds)
