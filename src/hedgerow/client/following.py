"""How a client follows the stream of a run through cuts, restarts and slow networks (contract 8 and 13.1)."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
from httpx_sse import EventSource, ServerSentEvent

from hedgerow.client.answers import Run
from hedgerow.client.errors import ClientError, UnreachableError, refusal

_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True)
class Received:
    """Something that happened in the run. `text` is the event as it came, `data` what it says."""

    text: str
    data: dict[str, Any]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Cut:
    """The connection was lost; the next try is made after `retry_seconds`."""

    reason: str
    retry_seconds: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The run has ended and everything of it was received."""

    run: Run


Update = Received | Cut | Ended
OpenStream = Callable[[Mapping[str, str]], AbstractContextManager[httpx.Response]]


class _BrokenError(Exception):
    """The stream ended otherwise than by its clean end."""


def follow(
    *,
    open_stream: OpenStream,
    retrieve_run: Callable[[], Run],
    url: str,
    pause: Callable[[float], None],
    cursor: str | None,
    patience_seconds: float,
) -> Iterator[Update]:
    """See `Client.follow`. Only a clean end of the stream of a run that is terminal ends it: after a cut there may be more."""
    heard_at, delay = time.monotonic(), _FIRST_DELAY_SECONDS
    while True:
        reason = None
        try:
            for event in _frames(open_stream, cursor):
                cursor = event.id or cursor
                heard_at = time.monotonic()
                data = _data(event)
                if data is not None:
                    delay = _FIRST_DELAY_SECONDS
                    yield Received(event.data, data, cursor)
            run = retrieve_run()
            heard_at = time.monotonic()
            if run.status.terminal:
                yield Ended(run)
                return
        except (_BrokenError, httpx.TransportError) as error:
            reason = str(error) or type(error).__name__
        except ClientError as error:
            if not _passes(error):
                raise
            reason = error.message
        if time.monotonic() - heard_at + delay > patience_seconds:
            raise UnreachableError(url, ConnectionError(reason))
        if reason is not None:
            yield Cut(reason, delay)
        pause(delay)
        delay = min(delay * 2, _LONGEST_DELAY_SECONDS)


def _passes(error: ClientError) -> bool:
    """Whether another try may fare better."""
    return isinstance(error, UnreachableError) or error.status in _PASSING or error.code == "timed_out"


def _frames(open_stream: OpenStream, cursor: str | None) -> Iterator[ServerSentEvent]:
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | ({"Last-Event-ID": cursor} if cursor else {})
    with open_stream(headers) as response:
        if not response.is_success:
            response.read()
            raise refusal(response)
        if "text/event-stream" not in response.headers.get("content-type", ""):
            raise ClientError(f"What answers at {response.url.copy_with(path='/')} is not hedgerow.", status=response.status_code)
        yield from EventSource(response).iter_sse()


def read_head(opened: AbstractContextManager[httpx.Response]) -> int:
    """The number of the newest event, from the first frame of a stream with start=latest (contract 13.1)."""
    with opened as response:
        if not response.is_success:
            response.read()
            raise refusal(response)
        for event in EventSource(response).iter_sse():
            return int(event.id) if event.id.isdigit() else 0
    return 0


def _data(event: ServerSentEvent) -> dict[str, Any] | None:
    """What an event says; None for keepalives. An error event breaks the stream."""
    if event.event == "keepalive" or not event.data:
        return None
    try:
        data = orjson.loads(event.data)
    except orjson.JSONDecodeError:
        data = _lenient(event.data)
    if not isinstance(data, dict) or data.get("type") == "keepalive":
        return None
    if event.event == "error":
        raise _BrokenError(str(data.get("error") or "the stream broke off"))
    return data


def _lenient(text: str) -> Any:
    """The slow parser takes what the fast one refuses: lone surrogates, numbers of any size."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return None
