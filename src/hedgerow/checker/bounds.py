"""How long things may take before a guarantee counts as broken."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds. They depend on the settings of the hedgerow that was observed, and on what was done to it."""

    end_seconds: float = 7 * 3600.0  # from a start until the run has ended
    leave_seconds: float = 60.0  # from the end of a run until nothing of it is left
