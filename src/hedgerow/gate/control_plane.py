"""The way from a sandbox to the control plane: its API and nothing else of it."""

import ssl
from urllib.parse import unquote_to_bytes, urlsplit

from hedgerow.gate.forwarding import Route
from hedgerow.gate.messages import Head, Limits, Refusal
from hedgerow.gate.streams import Connection, open_tcp


class ControlPlane:
    """Routes requests to one control plane."""

    def __init__(self, url: str, *, limits: Limits) -> None:
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

    async def route(self, head: Head) -> Route:
        """Where a request goes. Raises Refusal for every path that does not lie under /api/."""
        if not _is_api(head.target):
            raise Refusal(404, "Only paths under /api/ lead out of a sandbox to the control plane.")
        return Route(
            key="control plane",
            connect=self._connect,
            target=self._prefix + head.target,
            host=self._authority,
            away=f"The control plane at {self._authority.decode()} does not answer.",
        )

    async def _connect(self) -> Connection:
        return await open_tcp(self._host, self._port, timeout_seconds=self._limits.connect_seconds, tls=self._tls, name=self._host)


def _is_api(target: bytes) -> bool:
    """Whether a target lies under /api/ for everybody who might read it, those included who resolve `..`."""
    path = unquote_to_bytes(target.partition(b"?")[0])
    segments = path.split(b"/")
    return (
        path.startswith(b"/api/") and not {b".", b".."} & set(segments) and b"\\" not in path and b"\0" not in path and b"#" not in target
    )
