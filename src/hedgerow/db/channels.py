"""Those who watch one run inside this process, and the last events that they share, so that many readers cost one query."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

from hedgerow.domain.journal import JournalEvent, Preview

_PREVIEWS_KEPT = 500  # per watcher; a reader that is slower loses the oldest
_SHARED_EVENTS = 500
_SHARED_CHARACTERS = 1024 * 1024

ReadPage = Callable[[int], Awaitable[list[JournalEvent]]]
"""The next page of a journal after a number; empty at its end."""


class Channel:
    """A watched run: its watchers, and the latest stretch of its journal that passed through this process."""

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self.watchers: set[Watcher] = set()
        self.reading = asyncio.Lock()
        self._shared: deque[JournalEvent] = deque()
        self._characters = 0

    def share(self, events: Sequence[JournalEvent]) -> None:
        """Keep events that continue the shared stretch; a gap begins it anew, older ones are left out."""
        last = self._shared[-1].number if self._shared else 0
        fresh = [event for event in events if event.number > last]
        if fresh and fresh[0].number != last + 1:
            self._shared.clear()
            self._characters = 0
        self._shared.extend(fresh)
        self._characters += sum(len(event.text) for event in fresh)
        while self._shared and (len(self._shared) > _SHARED_EVENTS or self._characters > _SHARED_CHARACTERS):
            self._characters -= len(self._shared.popleft().text)

    def shared_after(self, number: int) -> list[JournalEvent]:
        """The shared events after a number; none where the stretch does not reach back to it, or ends there."""
        if not self._shared or number + 1 < self._shared[0].number:
            return []
        return [event for event in self._shared if event.number > number]

    def beyond(self, number: int) -> bool:
        """Whether the event after `number` lies past the shared stretch, where the next read will extend it."""
        return not self._shared or number >= self._shared[-1].number


class Watcher:
    """One who waits for a run."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self.head = 0  # the highest number that was heard of
        self.changes = 0  # how often the run's row or inbox was said to have changed
        self._woken = asyncio.Event()
        self._previews: deque[Preview] = deque(maxlen=_PREVIEWS_KEPT)

    async def wait(self, timeout_seconds: float) -> bool:
        """Return at the next sign of life since the last wait; False where none came in time."""
        try:
            async with asyncio.timeout(max(timeout_seconds, 0)):
                await self._woken.wait()
        except TimeoutError:
            return False
        self._woken.clear()
        return True

    async def read(self, page: ReadPage, after: int) -> list[JournalEvent]:
        """A page of the journal after a number, from what the watchers share where that reaches, else `page`'s. Empty at the end."""
        channel = self._channel
        if not channel.beyond(after):
            return channel.shared_after(after) or await page(after)
        async with channel.reading:
            events = channel.shared_after(after)
            if not events:
                events = await page(after)
                channel.share(events)
            return events

    def take_previews(self, position: int) -> list[Preview]:
        """The chunks that belong right after the event `position`. Earlier ones came too late and are dropped; later ones wait."""
        due: list[Preview] = []
        while self._previews and self._previews[0].follows <= position:
            preview = self._previews.popleft()
            if preview.follows == position:
                due.append(preview)
        return due

    def wake(self, *, head: int | None = None, preview: Preview | None = None) -> None:
        """Tell the one who waits what happened; neither head nor preview: the run has changed."""
        if head is not None:
            self.head = max(self.head, head)
        elif preview is not None:
            self._previews.append(preview)
        else:
            self.changes += 1
        self._woken.set()
