"""What a run goes through, surviving restarts: look at its row, decide, act, look again."""

from hedgerow.lifecycle.door import reopen_door
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.housekeeping import Outcome, keep_house, plan_now
from hedgerow.lifecycle.node import Node, RunFolders, SandboxGate
from hedgerow.lifecycle.reconcile import reconcile
from hedgerow.lifecycle.scan_repository import scan_repository

__all__ = [
    "Node",
    "Outcome",
    "RunFolders",
    "SandboxGate",
    "conclude_unless_ending",
    "keep_house",
    "plan_now",
    "reconcile",
    "reopen_door",
    "scan_repository",
]
