"""The journal of the run as the agent server keeps it: entries go to the spool, previews only to those who listen now."""

import asyncio
from collections import deque

from hedgerow.agent_server.spool import Spool

_PREVIEWS_KEPT = 2000


class Journal:
    """One writer, any number of readers, of which one pushes to the control plane."""

    def __init__(self, spool: Spool) -> None:
        self.spool = spool
        self.previews: deque[tuple[int, bytes]] = deque(maxlen=_PREVIEWS_KEPT)  # numbered apart from the entries
        self._preview_number = 0
        self._watchers: set[asyncio.Event] = set()

    @property
    def preview_head(self) -> int:
        """The number of the latest preview."""
        return self._preview_number

    def write(self, entry: bytes) -> None:
        """Add an entry. It stands for the previews before it, so those are dropped. OSError where the disk refuses it."""
        self.spool.append(entry)
        self.previews.clear()
        self._wake()

    def preview(self, entry: bytes) -> None:
        """Show a piece of a message to those who listen now."""
        self._preview_number += 1
        self.previews.append((self._preview_number, entry))
        self._wake()

    def previews_after(self, number: int) -> list[tuple[int, bytes]]:
        """The previews that are newer than `number` and follow the last entry."""
        return [preview for preview in self.previews if preview[0] > number]

    def watch(self, event: asyncio.Event) -> None:
        """Set `event` at every change from now on."""
        self._watchers.add(event)

    def unwatch(self, event: asyncio.Event) -> None:
        """Leave `event` alone again."""
        self._watchers.discard(event)

    def _wake(self) -> None:
        for event in self._watchers:
            event.set()
