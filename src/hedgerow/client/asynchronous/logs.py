"""Logs (contract 7 and 5.3)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from hedgerow.client import answers
from hedgerow.client.asynchronous.caller import Caller
from hedgerow.client.calls import Repeat, get, post
from hedgerow.client.places import RunPlace, run_path

if TYPE_CHECKING:
    from hedgerow.client.answers.logs import Entry, LogPage
    from hedgerow.client.answers.runs import Run
    from hedgerow.client.fields import LogFilters


class LogCalls(Caller):
    """What one can do with logs."""

    async def append_log(self, run: RunPlace, entries: Sequence[Mapping[str, Any]]) -> Run:
        """Add entries, JSON objects of any shape, to the log of a run. Chunks of agent messages are not stored."""
        return await self._ask(
            post(f"{run_path(run)}append_log/", {"entries": list(entries)}, repeat=Repeat.UNDER_ITS_KEY), answers.runs.run_from
        )

    async def read_logs(self, run: RunPlace) -> AsyncGenerator[str, None]:
        """The log of a run and of those it resumes, oldest first: one JSON text per entry, as it was stored."""
        async with self._open(get(f"{run_path(run)}logs/")) as response:
            rest = ""
            async for text in response.aiter_text():
                # A line ends with a line feed and nothing else: an entry may hold other characters that Unicode calls line ends.
                *lines, rest = (rest + text).split("\n")
                for line in lines:
                    if line.strip():
                        yield line
            if rest.strip():
                yield rest

    async def session_logs(self, run: RunPlace, *, limit: int = 1000, offset: int = 0, **filters: Unpack[LogFilters]) -> LogPage:
        """Entries of one run's log, oldest first: one page of at most 5,000, with its counts."""
        response = await self._answer(get(f"{run_path(run)}session_logs/", limit=limit, offset=offset, **filters))
        return self._read(response, lambda entries: answers.logs.log_page_from(entries, response.headers))

    async def iterate_session_logs(self, run: RunPlace, *, page: int = 5000, **filters: Unpack[LogFilters]) -> AsyncIterator[Entry]:
        """Every entry of one run's log that passes the filters, page by page."""
        offset, more = 0, True
        while more:
            entries = await self.session_logs(run, limit=page, offset=offset, **filters)
            for entry in entries:
                yield entry
            offset, more = offset + len(entries), entries.has_more and len(entries) > 0
