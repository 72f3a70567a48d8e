"""What the events of a stream say (contract 8.1)."""

from typing import Any

from httpx_sse import ServerSentEvent

from hedgerow.client.json_text import read_json


class BrokenStreamError(Exception):
    """The server says that it cannot go on with a stream."""


def data_of(event: ServerSentEvent) -> dict[str, Any] | None:
    """What an event says; None for keepalives. Raises BrokenStreamError for an event that breaks the stream."""
    if event.event == "keepalive" or not event.data:
        return None
    try:
        data = read_json(event.data)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("type") == "keepalive":
        return None
    if event.event == "error":
        raise BrokenStreamError(str(data.get("error") or "the stream broke off"))
    return data
