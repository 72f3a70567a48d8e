"""Proves or refutes, from what clients have recorded, what hedgerow guarantees (docs/guarantees.md). Usable on any history."""

from hedgerow.checker.bounds import Bounds
from hedgerow.checker.check import check
from hedgerow.checker.history import HistoryError, Recorder, read_history, write_history
from hedgerow.checker.report import Finding, Guarantee, Report, Verdict

__all__ = ["Bounds", "Finding", "Guarantee", "HistoryError", "Recorder", "Report", "Verdict", "check", "read_history", "write_history"]
