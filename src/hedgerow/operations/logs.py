"""The journal as its readers and writers see it (contract 5.3, 7, 13.1). The live stream is in `streams`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from uuid import UUID

from hedgerow.db import journal_texts, runs
from hedgerow.db import session_logs as found_entries
from hedgerow.db.journal_texts import PageSize
from hedgerow.db.session_logs import EntryFilter
from hedgerow.domain.access import Caller, Project
from hedgerow.operations import access
from hedgerow.operations.appends import Appended, append_log
from hedgerow.operations.backends import Backends

__all__ = ["Appended", "LogFilters", "SessionLogs", "append_log", "journal_lines", "read_logs", "session_logs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogFilters:
    """What session_logs narrows and pages by (contract 7.3). Empty tuples: not narrowed."""

    after: datetime | None = None
    event_types: tuple[str, ...] = ()
    exclude_types: tuple[str, ...] = ()
    limit: int = 1000
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionLogs:
    """A page of entries. `body` gives the JSON array in pieces."""

    total: int
    matching: int
    has_more: bool
    body: AsyncIterator[bytes]


async def read_logs(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> AsyncIterator[bytes]:
    """The JSON lines of the run's resume chain, oldest ancestor first, in pieces. Raises NotFoundError before the first piece."""
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
        chain = await runs.resume_chain(tx, run)
    return journal_lines(backends, chain)


def journal_lines(backends: Backends, run_ids: Sequence[UUID]) -> AsyncGenerator[bytes]:
    """The entries of several runs as JSON lines. Holds two pages at a time, and no connection while its reader is slow."""
    return _one_ahead(_lines(backends, run_ids))


async def _one_ahead(pages: AsyncGenerator[bytes]) -> AsyncGenerator[bytes]:
    """The same pages, each fetched while the one before it is on its way to the client."""
    following = asyncio.ensure_future(anext(pages, None))
    try:
        while (page := await following) is not None:
            following = asyncio.ensure_future(anext(pages, None))
            yield page
    finally:
        following.cancel()
        await asyncio.wait({following})
        await pages.aclose()


async def _lines(backends: Backends, run_ids: Sequence[UUID]) -> AsyncGenerator[bytes]:
    for run_id in run_ids:
        number, size = 0, PageSize()
        while True:
            page = await backends.database.in_thread(partial(journal_texts.lines, run_id=run_id, after=number, size=size))
            if page is None:
                break
            number = page.last
            yield page.texts + b"\n"


async def session_logs(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, filters: LogFilters
) -> SessionLogs:
    """The entries of this run alone that pass the filters. Raises NotFoundError."""
    wanted = EntryFilter(after=filters.after, event_types=filters.event_types, exclude_types=filters.exclude_types)
    async with backends.database.statement() as tx:
        await access.readable_run(tx, caller, project, task_id, run_id)
        total, matching = await found_entries.count(tx, run_id, wanted)
        begins_after = await found_entries.skip(tx, run_id, wanted, min(filters.offset, 2**62)) if filters.offset < matching else None
    size = 0 if begins_after is None else min(filters.limit, matching - filters.offset)
    body = _array(backends, run_id, wanted, begins_after or 0, size)
    return SessionLogs(total=total, matching=matching, has_more=filters.offset + size < matching and size > 0, body=body)


async def _array(backends: Backends, run_id: UUID, wanted: EntryFilter, number: int, left: int) -> AsyncIterator[bytes]:
    """A JSON array of the next `left` entries after `number`, a page at a time."""
    separator, size = b"[", PageSize()
    while left > 0:
        page = await backends.database.in_thread(
            partial(found_entries.read, run_id=run_id, wanted=wanted, after=number, most=left, size=size)
        )
        if page is None:
            break
        yield separator + page.texts
        separator, number, left = b",", page.last, left - page.count
    yield b"[]" if separator == b"[" else b"]"
