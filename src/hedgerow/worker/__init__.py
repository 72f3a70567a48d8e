"""A worker: it holds the runs of its node, and looks at each of them when something has changed or a moment has come."""

from hedgerow.worker.working import Rhythm, work

__all__ = ["Rhythm", "work"]
