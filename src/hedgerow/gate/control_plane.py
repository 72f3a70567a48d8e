"""The way from a sandbox to the control plane: its API, nothing else of it, and what the gate itself can say."""

import ssl
from collections.abc import Callable
from urllib.parse import unquote_to_bytes, urlsplit

import orjson

from hedgerow.gate.forwarding import Reply, Route
from hedgerow.gate.messages import Head, Limits, Refusal
from hedgerow.gate.streams import Connection, open_tcp

_LEASE = b"/lease"
_LONGEST_LEASE_SECONDS = 3600.0


class ControlPlane:
    """Routes requests to one control plane."""

    def __init__(self, url: str, *, limits: Limits, lease_seconds_left: Callable[[], float]) -> None:
        """`url`: http or https, with a path in front of /api/ where there is one. Raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("The URL of the control plane must be http://HOST or https://HOST.")
        self._host = parts.hostname
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._prefix = parts.path.rstrip("/").encode()
        self._authority = parts.netloc.rpartition("@")[2].encode()
        self._limits = limits
        self._lease_seconds_left = lease_seconds_left

    async def route(self, head: Head) -> Route | Reply:
        """Where a request goes. Raises Refusal for every path that does not lie under /api/, but for the one that the gate answers."""
        if head.target == _LEASE:
            return self._lease()
        if not _is_api(head.target):
            raise Refusal(404, "Only paths under /api/ lead out of a sandbox to the control plane.")
        return Route(
            key="control plane",
            connect=self._connect,
            target=self._prefix + head.target,
            host=self._authority,
            away=f"The control plane at {self._authority.decode()} does not answer.",
        )

    def _lease(self) -> Reply:
        """For how long an agent may go on without asking again. This door is open only while the node holds the run."""
        seconds = min(self._lease_seconds_left(), _LONGEST_LEASE_SECONDS)
        if seconds <= 0:
            raise Refusal(503, "This machine may not act at present: it could not report.")
        return Reply(orjson.dumps({"seconds": seconds}))

    async def _connect(self) -> Connection:
        return await open_tcp(self._host, self._port, timeout_seconds=self._limits.connect_seconds, tls=self._tls, name=self._host)


def _is_api(target: bytes) -> bool:
    """Whether a target lies under /api/ for everybody who might read it, those included who resolve `..`."""
    path = unquote_to_bytes(target.partition(b"?")[0])
    segments = path.split(b"/")
    return (
        path.startswith(b"/api/") and not {b".", b".."} & set(segments) and b"\\" not in path and b"\0" not in path and b"#" not in target
    )
