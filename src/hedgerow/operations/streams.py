"""The live stream of a run: what is stored after a cursor, then what comes (contract 8 and 13.1)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.journal import JournalEvent, Preview
from hedgerow.operations.backends import Backends


@dataclass(frozen=True, slots=True)
class Keepalive:
    """Nothing has happened for a while. `head` is given in the first frame of start=latest: the id that the frame carries."""

    head: int | None = None


@dataclass(frozen=True, slots=True)
class StreamError:
    """The stream cannot go on; it ends after this frame."""

    message: str


Frame = JournalEvent | Preview | Keepalive | StreamError


async def follow(
    backends: Backends,
    caller: Caller,
    project: Project,
    task_id: UUID,
    run_id: UUID,
    *,
    last_event_id: str | None = None,
    from_latest: bool = False,
) -> AsyncIterator[list[Frame]]:
    """The run's events after the cursor, in batches that can be written at once; ends when the run is terminal and drained.

    `last_event_id` wins over `from_latest`; neither: from the beginning. Raises NotFoundError, and InvalidError with
    detail_code `invalid_cursor` for an id that is no number, negative, or beyond the end, before the first batch.
    """
    raise NotImplementedError
