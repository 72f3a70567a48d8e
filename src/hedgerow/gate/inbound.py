"""The way from the control plane to the agent servers of this node's sandboxes."""

import re
from collections.abc import Mapping
from pathlib import Path

from hedgerow.gate.forwarding import Route
from hedgerow.gate.messages import Head, Refusal
from hedgerow.gate.streams import open_unix

AGENT_SOCKET = "agent.sock"

_TARGET = re.compile(rb"/sandboxes/(?P<run>[0-9A-Za-z-]{1,64})(?P<path>/(?:health|events|command))(?P<query>\?[^#]*)?\Z")


class Inbound:
    """Routes requests to the agent server of the run that they name. Who may ask is the agent server's to check."""

    def __init__(self, folders: Mapping[str, Path]) -> None:
        """`folders`: the sockets folder of each run that is open, looked at anew for every request."""
        self._folders = folders

    async def route(self, head: Head) -> Route:
        """Where a request goes. Raises Refusal for every other path, and for runs that are not here."""
        found = _TARGET.match(head.target)
        if found is None:
            raise Refusal(404, "Not found.")
        run = found["run"].decode().lower()
        if run not in self._folders:
            raise Refusal(404, f"No sandbox of run {run} is open here.")
        path = self._folders[run] / AGENT_SOCKET
        return Route(
            key=path,
            connect=lambda: open_unix(path),
            target=found["path"] + (found["query"] or b""),
            host=b"sandbox",
            away=f"The agent server of run {run} does not answer.",
        )
