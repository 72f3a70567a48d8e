"""The live stream of a run: what is stored after a cursor, then what comes (contract 8 and 13.1)."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from uuid import UUID

from hedgerow.db import journal, keys, runs
from hedgerow.db.channels import Watcher
from hedgerow.db.database import Transaction
from hedgerow.db.journal import Extent
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.errors import InvalidError
from hedgerow.domain.journal import EventKind, JournalEvent, Preview
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access, journal_events
from hedgerow.operations.backends import Backends

_DRAIN_LOOK_SECONDS = 1.0  # how often a run that has ended is looked at until its last entries are in


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

    It ends as well once the caller's key is revoked, or leads into the project no more, and once a run token was replaced.

    `last_event_id` wins over `from_latest`; neither: from the beginning. Raises NotFoundError, and InvalidError with
    detail_code `invalid_cursor` for an id that is no number, negative, or beyond the end, and with `journal_removed` for one after
    which events were removed, before the first batch. Raises UnavailableError where the archive of an old run cannot be read.
    """
    async with backends.database.statement() as tx:
        run = await access.readable_run(tx, caller, project, task_id, run_id)
        extent = await journal.extent(tx, run_id)
    if last_event_id:
        return _Reader(backends, caller, run, _cursor(last_event_id, extent)).batches([])
    if from_latest:
        return _Reader(backends, caller, run, extent.head).batches([Keepalive(extent.head)])
    return _Reader(backends, caller, run, extent.removed_to).batches([])


def _cursor(text: str, extent: Extent) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
    if number is None or number > extent.head:
        raise InvalidError(f"Last-Event-ID is no event of this run, which has {extent.head}.", attr=None, detail_code="invalid_cursor")
    if 0 < number < extent.removed_to:
        message = f"The events of this run up to {extent.removed_to} were removed: their time was over. Read again without Last-Event-ID."
        raise InvalidError(message, attr=None, detail_code="journal_removed")
    return number


class _Reader:
    """One reader of a run's stream. It holds one page at most, whatever the journal's length and the reader's pace."""

    def __init__(self, backends: Backends, caller: Caller, run: TaskRun, position: int) -> None:
        self._backends = backends
        self._caller = caller
        self._project_id = run.project_id
        self._rules = backends.rules
        self._run_id = run.id
        self._page = partial(journal_events.page, backends, run.id)
        self._position = position
        self._caught_up = False  # whether everything up to the watcher's head was read
        self._must_look = True  # whether something was heard that may mean that the run has ended
        self._ended = False
        self._ended_since: float | None = None  # when this reader first saw that; whatever the wall clock says, it waits no longer
        self._shut_out = False  # whether what the reader came with opens the run no more
        self._changes = 0  # how many changes of the run the last look knew of
        self._time = asyncio.get_running_loop().time
        self._begun = self._spoke = self._time()

    async def batches(self, first: list[Frame]) -> AsyncIterator[list[Frame]]:
        """Everything there is to say, until the end."""
        key_id = self._caller.key_id if isinstance(self._caller, PersonalCaller) else None
        async with self._backends.hub.subscribe(self._run_id, key_id) as watcher:
            if first:
                yield first
            while True:
                drained = await self._look(watcher)
                if self._shut_out:
                    return
                async for batch in self._stored(watcher):
                    self._spoke = self._time()
                    yield batch
                if drained or self._shut_out or self._left(self._begun, self._rules.stream_limit_seconds) <= 0:
                    return
                if self._must_look:
                    continue
                if self._waits_in_vain():
                    yield [StreamError("Nothing has happened in this run.")]
                    return
                if self._left(self._spoke, self._rules.keepalive_seconds) <= 0:
                    self._spoke = self._time()
                    self._must_look = True  # now and then also without a word: it may have been lost
                    yield [Keepalive()]
                await watcher.wait(self._patience())

    async def _look(self, watcher: Watcher) -> bool:
        """Whether the run is terminal and drained. Looks at its row only where something was heard, or it has ended already."""
        if not (self._must_look or self._ended or watcher.changes != self._changes):
            return False
        self._must_look, self._changes = False, watcher.changes
        async with self._backends.database.statement() as tx:
            run = await runs.load(tx, self._run_id)
            self._shut_out = not await self._is_let_in(tx, run)
        self._ended = run is None or run.status.terminal
        self._ended_since = self._ended_since if self._ended else None
        drained = run is None or (self._ended and (_is_drained(run, self._backends) or self._has_waited()))
        if drained:
            self._caught_up = False  # the last entries may be in without having been heard of
        return drained

    def _has_waited(self) -> bool:
        """Whether this reader has waited for last entries for as long as anybody does: the wall clock may have been put back meanwhile."""
        if self._ended_since is None:
            self._ended_since = self._time()
        return self._left(self._ended_since, self._rules.drain_seconds) <= 0

    async def _is_let_in(self, tx: Transaction, run: TaskRun | None) -> bool:
        caller = self._caller
        if isinstance(caller, PersonalCaller):
            return await keys.opens(tx, caller.key_id, self._project_id)
        own = run if caller.run_id == self._run_id else await runs.load(tx, caller.run_id)
        return own is not None and own.execution.epoch == caller.epoch

    async def _stored(self, watcher: Watcher) -> AsyncIterator[list[Frame]]:
        """What the journal holds after the position, page by page, with each chunk after the event that it follows."""
        while not self._caught_up or watcher.head > self._position:
            events = await watcher.read(self._page, self._position)
            self._caught_up = not events
            if not events:
                break
            batch: list[Frame] = [*watcher.take_previews(self._position)]
            for event in events:
                batch.append(event)
                batch.extend(watcher.take_previews(event.number))
                self._must_look = self._must_look or event.kind is EventKind.STATE
            self._position = events[-1].number
            changes = watcher.changes
            yield batch
            if watcher.changes != changes:  # a long history may be read slowly, and the key go meanwhile
                async with self._backends.database.statement() as tx:
                    self._shut_out = not await self._is_let_in(tx, await runs.load(tx, self._run_id))
                if self._shut_out:
                    return
        chunks = watcher.take_previews(self._position)
        if chunks:
            yield [*chunks]

    def _waits_in_vain(self) -> bool:
        return self._position == 0 and self._left(self._begun, self._rules.stream_wait_seconds) <= 0

    def _patience(self) -> float:
        """How long to wait for the next sign of life."""
        waits = [self._left(self._spoke, self._rules.keepalive_seconds), self._left(self._begun, self._rules.stream_limit_seconds)]
        if self._ended:
            waits.append(_DRAIN_LOOK_SECONDS)
        if self._position == 0:
            waits.append(self._left(self._begun, self._rules.stream_wait_seconds))
        return max(min(waits), 0)

    def _left(self, since: float, seconds: float) -> float:
        return since + seconds - self._time()


def _is_drained(run: TaskRun, backends: Backends) -> bool:
    """Whether nothing more is to be expected of a run that has ended: nobody drove it, all of it is in, or long enough has passed."""
    execution = run.execution
    if execution.started_at is None or execution.cleaned_at is not None or run.completed_at is None:
        return True
    if execution.landed_at is not None and execution.sandbox is None:
        return True
    return backends.clock.now() - run.completed_at >= timedelta(seconds=backends.rules.drain_seconds)
