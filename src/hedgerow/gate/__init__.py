"""A worker's gate: everything that passes between the control plane, its sandboxes and the models' hosts."""

from hedgerow.gate.addresses import parse_host_port
from hedgerow.gate.gate import CONTROL_SOCKET, EGRESS_SOCKET, Gate
from hedgerow.gate.inbound import AGENT_SOCKET
from hedgerow.gate.messages import Limits

__all__ = ["AGENT_SOCKET", "CONTROL_SOCKET", "EGRESS_SOCKET", "Gate", "Limits", "parse_host_port"]
