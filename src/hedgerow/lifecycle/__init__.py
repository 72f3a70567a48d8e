"""What a run goes through, surviving restarts: look at its row, decide, act, look again."""

from hedgerow.lifecycle.door import reopen_door
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.housekeeping import Outcome, keep_house, plan_now
from hedgerow.lifecycle.lease import NodeLease
from hedgerow.lifecycle.leftovers import GRACE_SECONDS, Leftovers, close_doors, held
from hedgerow.lifecycle.node import Node, RunFolders, SandboxGate
from hedgerow.lifecycle.reconcile import reconcile
from hedgerow.lifecycle.scan_repository import scan_repository
from hedgerow.lifecycle.take_over import take_over

__all__ = [
    "GRACE_SECONDS",
    "Leftovers",
    "Node",
    "NodeLease",
    "Outcome",
    "RunFolders",
    "SandboxGate",
    "close_doors",
    "conclude_unless_ending",
    "held",
    "keep_house",
    "plan_now",
    "reconcile",
    "reopen_door",
    "scan_repository",
    "take_over",
]
