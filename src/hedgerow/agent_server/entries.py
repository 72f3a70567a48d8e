"""Journal entries as the agent server writes them (contract 7.1): one line of JSON each, masked, with a time of their own."""

from collections.abc import Mapping
from datetime import UTC
from typing import Any

from hedgerow.acp_lines import encode
from hedgerow.domain.clock import Clock
from hedgerow.domain.journal import notification
from hedgerow.domain.masking import Mask


class EntryWriter:
    """Makes entries. The mask grows once the secrets of the session are known."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.mask = Mask()

    def stamp(self) -> str:
        """The present moment in ISO 8601, in milliseconds."""
        return self._clock.now().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def raw(self, line: bytes) -> bytes:
        """An entry around an ACP message as it passed: its bytes stay what they are, but for secrets."""
        return self.mask.data(b'{"type":"notification","timestamp":"%s","notification":%s}' % (self.stamp().encode(), line))

    def own(self, method: str, params: Mapping[str, Any]) -> bytes:
        """An entry of the agent server's own."""
        return self.mask.data(encode(notification(method, params, self._clock.now())))

    def update(self, update: Mapping[str, Any], *, session_id: str | None = None, stamp: str | None = None) -> bytes:
        """An entry of a session update that the agent server has put together."""
        params: dict[str, Any] = {} if session_id is None else {"sessionId": session_id}
        message = {"jsonrpc": "2.0", "method": "session/update", "params": params | {"update": dict(update)}}
        entry = {"type": "notification", "timestamp": stamp or self.stamp(), "notification": message}
        return self.mask.data(encode(entry))

    def permission_request(self, request_id: str, params: Mapping[str, Any]) -> bytes:
        """An entry that asks a person; it is streamed, and never part of the log."""
        entry = {
            "type": "permission_request",
            "requestId": request_id,
            "options": params.get("options") or [],
            "toolCall": params.get("toolCall") or {},
        }
        return self.mask.data(encode(entry))

    def permission_resolved(self, request_id: str, result: Mapping[str, Any], reason: str | None) -> bytes:
        """An entry that tells what became of such a request; it is streamed, and never part of the log either."""
        outcome = result.get("outcome") or {}
        told = {"requestId": request_id, "outcome": outcome.get("outcome"), "optionId": outcome.get("optionId"), "reason": reason}
        params = {name: value for name, value in told.items() if value is not None}
        entry = notification("_posthog/permission_resolved", params, self._clock.now()) | {"type": "permission_resolved"}
        return self.mask.data(encode(entry))

    def console(self, level: str, message: str) -> bytes:
        """A remark for whoever reads the run's journal. `level` is debug, info, warn or error."""
        return self.own("_posthog/console", {"level": level, "message": message})
