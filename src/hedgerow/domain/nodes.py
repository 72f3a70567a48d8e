"""Nodes: machines that hold runs, each for as long as its lease lasts, and which of them are lost.

Nobody's clock is compared with another's. A node counts beats in the database; whoever sees them stand still for longer than the
node's lease, on a clock of its own, takes it for lost. By then the node itself has stopped acting, for its lease began earlier.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

_LEAST_MARGIN_SECONDS = 0.5
_LONGEST_PACE_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeBeat:
    """What a node has last said of itself."""

    id: UUID
    beat: int  # grows with each report
    lease_seconds: float  # for how long it may act after a report


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeListing:
    """A node as an operator sees it. Both times are of the database's clock."""

    id: UUID
    worker_url: str
    seen_at: datetime
    silent_seconds: float
    lease_seconds: float
    runs: int  # that it holds and has not tidied up
    disk_free_bytes: int | None = None  # of its data directory, as it last reported
    disk_full_since: datetime | None = None  # since when it takes no new runs; None where it does

    @property
    def lost(self) -> bool:
        """Whether others have taken its runs over by now, or will as soon as they look."""
        return self.silent_seconds > self.lease_seconds + margin_seconds(self.lease_seconds)


def pace_seconds(lease_seconds: float) -> float:
    """How often somebody reports or asks who has a lease: several of them may fail before it is over."""
    return min(lease_seconds / 6, _LONGEST_PACE_SECONDS)


def margin_seconds(lease_seconds: float) -> float:
    """How much longer than its lease a node is waited for: agents take a moment to end, and no two clocks run at quite one speed."""
    return max(lease_seconds / 10, _LEAST_MARGIN_SECONDS)


class Watch:
    """What one worker has seen of the other nodes' beats."""

    def __init__(self, longest_gap_seconds: float) -> None:
        """`longest_gap_seconds`: two readings that lie further apart say nothing of the time between them."""
        self._longest_gap_seconds = longest_gap_seconds
        self._read_at: float | None = None
        self._beats: dict[UUID, int] = {}
        self._still_seconds: dict[UUID, float] = {}

    def note(self, beats: Iterable[NodeBeat], now: float) -> list[NodeBeat]:
        """Take down what a reading showed that has succeeded, `now` on a steady clock; the nodes that are lost.

        Where no reading succeeded for a while, the watching begins anew: the others could not report either.
        """
        gap = None if self._read_at is None else now - self._read_at
        watched = gap is not None and 0 <= gap <= self._longest_gap_seconds
        still: dict[UUID, float] = {}
        seen = list(beats)
        for node in seen:
            stands = watched and self._beats.get(node.id) == node.beat
            still[node.id] = self._still_seconds.get(node.id, 0.0) + (gap or 0.0) if stands else 0.0
        self._read_at, self._still_seconds, self._beats = now, still, {node.id: node.beat for node in seen}
        return [node for node in seen if still[node.id] > node.lease_seconds + margin_seconds(node.lease_seconds)]
