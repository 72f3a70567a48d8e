# Made from asynchronous/following.py by scripts/blocking-client: change that file, not this one.
"""How a client follows the stream of a run through cuts, restarts and slow networks (contract 8 and 13.1)."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import closing
from typing import TYPE_CHECKING

from httpx_sse import EventSource, ServerSentEvent

from hedgerow.client import answers
from hedgerow.client.blocking.runs import RunCalls
from hedgerow.client.calls import Call, get
from hedgerow.client.errors import ClientError, UnreachableError
from hedgerow.client.events import BrokenStreamError, data_of
from hedgerow.client.places import RunPlace, run_path
from hedgerow.client.retrying import NEVER
from hedgerow.client.updates import Cut, Ended, Received, Update

if TYPE_CHECKING:
    from hedgerow.client.answers.runs import Run

_FIRST_DELAY_SECONDS = 0.2
_LONGEST_DELAY_SECONDS = 5.0
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class StreamCalls(RunCalls):
    """What one can do with the stream of a run."""

    def follow(self, run: RunPlace, cursor: str | None = None, *, patience_seconds: float = 300) -> Generator[Update, None, None]:
        """Everything that happens in a run, from its beginning or strictly after `cursor`, until it has ended.

        Cuts are survived: each durable event comes once, in order. Raises UnreachableError once nothing has come for
        `patience_seconds`, and ClientError where the server refuses for good: a cursor that is none has the code invalid_cursor.
        Who leaves early closes what this gives (contextlib), so that the connection ends at once.
        """
        heard_at, delay = time.monotonic(), _FIRST_DELAY_SECONDS
        while True:
            reason = None
            try:
                with closing(self.stream(run, cursor)) as events:
                    for event in events:
                        cursor = event.id or cursor
                        heard_at = time.monotonic()
                        data = data_of(event)
                        if data is not None:
                            delay = _FIRST_DELAY_SECONDS
                            yield Received(event.data, data, cursor)
                # Only a clean end of the stream of a run that is terminal ends it: after a cut there may be more.
                now = self._ask_once(run)
                heard_at = time.monotonic()
                if now.status.terminal:
                    yield Ended(now)
                    return
            except BrokenStreamError as error:
                reason = str(error)
            except ClientError as error:
                if not _passes(error):
                    raise
                reason = _reason(error)
            if time.monotonic() - heard_at + delay > patience_seconds:
                raise UnreachableError(self.credentials.url, ConnectionError(reason))
            if reason is not None:
                yield Cut(reason, delay)
            self._pause(delay)
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    def stream(self, run: RunPlace, cursor: str | None = None, *, latest: bool = False) -> Generator[ServerSentEvent, None, None]:
        """One connection to the stream of a run, as it comes: keepalives and errors too, and it ends with the connection.

        From the beginning, strictly after `cursor`, or with `latest` from the present on. `follow` is what a program wants that
        shall not miss anything.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"} | ({"Last-Event-ID": cursor} if cursor else {})
        query = {"start": "latest"} if latest else {}
        path = f"{run_path(run)}stream/"
        call = Call(method="GET", path=path, query=query, headers=headers, timeout_seconds=self._silence_seconds)
        with self._open(call, retries=NEVER) as response:
            if "text/event-stream" not in response.headers.get("content-type", ""):
                raise ClientError(f"What answers at {self.credentials.url} is not hedgerow.", status=response.status_code)
            for event in EventSource(response).iter_sse():
                yield event

    def read_stream_so_far(self, run: RunPlace) -> Generator[Received, None, None]:
        """Every event of a run up to the present, questions of the agent included, which no log holds."""
        head = 0
        with closing(self.stream(run, latest=True)) as events:
            for event in events:  # the first frame names the newest event
                head = int(event.id) if event.id.isdigit() else 0
                break
        if head == 0:
            return
        with closing(self.follow(run)) as updates:
            for update in updates:
                if isinstance(update, Received):
                    yield update
                if isinstance(update, Ended) or (isinstance(update, Received) and int(update.cursor or 0) >= head):
                    return

    def _ask_once(self, run: RunPlace) -> Run:
        return self._ask(get(run_path(run)), answers.runs.run_from, retries=NEVER)


def _passes(error: ClientError) -> bool:
    """Whether another try may fare better."""
    return isinstance(error, UnreachableError) or error.status in _PASSING or error.code == "timed_out"


def _reason(error: ClientError) -> str:
    """What broke, rather than that nothing answers."""
    return (str(error.cause) or type(error.cause).__name__) if isinstance(error, UnreachableError) else error.message
