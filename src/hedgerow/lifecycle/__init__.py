"""What a run goes through, surviving restarts: look at its row, decide, act, look again."""

from hedgerow.lifecycle.agent_probe import AgentProbe
from hedgerow.lifecycle.door import reopen_door
from hedgerow.lifecycle.ends import conclude_unless_ending
from hedgerow.lifecycle.node import Node, RunFolders, SandboxGate
from hedgerow.lifecycle.reconcile import reconcile
from hedgerow.lifecycle.scan_repository import scan_repository

__all__ = ["AgentProbe", "Node", "RunFolders", "SandboxGate", "conclude_unless_ending", "reconcile", "reopen_door", "scan_repository"]
