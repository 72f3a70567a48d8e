"""How many runs may be at work at once. Runs beyond that wait, each in the line of its project."""

from dataclasses import dataclass

POSITION_KEY = "queue_position"  # of a run's `state`, while it waits: 1 is next


@dataclass(frozen=True, slots=True, kw_only=True)
class RunLimits:
    """How many runs may hold a place at once, from their claim until they are cleaned up. 0: as many as there are."""

    per_project: int = 0
    total: int = 0  # over all projects and nodes

    @property
    def any(self) -> bool:
        """Whether a run may have to wait at all."""
        return self.per_project > 0 or self.total > 0
