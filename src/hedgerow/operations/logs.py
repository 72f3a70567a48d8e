"""The journal as its readers and writers see it (contract 5.3, 7, 8, 13.1). The live stream is in `streams`."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.runs import TaskRun
from hedgerow.operations.backends import Backends


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to append_log. `replayed`: the same Idempotency-Key was used before, and nothing was appended now."""

    run: TaskRun
    replayed: bool


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


async def append_log(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, body: bytes, *, idempotency_key: str | None = None
) -> Appended:
    """Append the entries of `body`, the request's own bytes: `{"entries": [object, ...]}`.

    Raises InvalidError (detail_code `parse_error` for bytes that are no JSON, otherwise attr `entries` or `entries__i`), then
    NotFoundError, ForbiddenError (a run token of another run or an older epoch), ConflictError (the key with another body).
    """
    raise NotImplementedError


async def read_logs(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> AsyncIterator[bytes]:
    """The JSON lines of the run's resume chain, oldest ancestor first, in pieces. Raises NotFoundError before the first piece."""
    raise NotImplementedError


async def session_logs(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, filters: LogFilters
) -> SessionLogs:
    """The entries of this run alone that pass the filters. Raises NotFoundError."""
    raise NotImplementedError
