"""The journal as its readers and writers see it (contract 5.3, 7, 13.1). The live stream is in `streams`."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hedgerow.db import runs
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.journal_segments import EntryFilter
from hedgerow.operations import access, found_entries, journal_events
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
    """A page of entries. `body` gives the JSON array in pieces; it ends with UnavailableError where the archive cannot be read."""

    total: int
    matching: int
    has_more: bool
    body: AsyncIterator[bytes]


async def read_logs(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> AsyncIterator[bytes]:
    """The JSON lines of the run's resume chain, oldest ancestor first, in pieces. Raises NotFoundError.

    The pieces end with UnavailableError where the archive cannot be read.
    """
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
        chain = await runs.resume_chain(tx, run)
    return journal_lines(backends, chain)


async def journal_lines(backends: Backends, run_ids: Sequence[UUID]) -> AsyncGenerator[bytes]:
    """The entries of several runs as JSON lines. Holds three pages at a time, and no connection while its reader is slow."""
    for run_id in run_ids:
        async with aclosing(journal_events.entry_lines(backends, run_id)) as pieces:
            async for lines in pieces:
                yield lines


async def session_logs(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, filters: LogFilters
) -> SessionLogs:
    """The entries of this run alone that pass the filters. Raises NotFoundError; UnavailableError where the archive cannot be read."""
    wanted = EntryFilter(after=filters.after, event_types=filters.event_types, exclude_types=filters.exclude_types)
    async with backends.database.statement() as tx:
        await access.readable_run(tx, caller, project, task_id, run_id)
    offset = min(filters.offset, 2**62)
    found = await found_entries.find(backends, run_id, wanted, offset, filters.limit)
    size = max(0, min(filters.limit, found.matching - offset))
    body = found_entries.array(backends, run_id, wanted, found, size)
    return SessionLogs(total=found.total, matching=found.matching, has_more=offset + size < found.matching and size > 0, body=body)
