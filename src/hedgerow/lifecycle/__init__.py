"""What a run goes through, surviving restarts: look at its row, decide, act, look again."""

from hedgerow.lifecycle.node import Node, RunFolders, SandboxGate
from hedgerow.lifecycle.reconcile import reconcile

__all__ = ["Node", "RunFolders", "SandboxGate", "reconcile"]
