"""The messenger that needs nothing: it keeps what was sent in memory, and tells nobody."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hedgerow.domain.relays import Thread
from hedgerow.integrations.base import MessengerOptions

_KEPT = 1_000


@dataclass(frozen=True, slots=True)
class Posted:
    """A message as it was posted."""

    thread: Thread
    text: str
    relay_id: UUID
    ts: str


class MemoryMessenger:
    """Keeps the last thousand messages, `posted`, oldest first."""

    needs_token = False

    def __init__(self, options: MessengerOptions | None = None) -> None:
        self.posted: deque[Posted] = deque(maxlen=_KEPT)
        self._count = 0

    async def whose(self, token: str) -> str:
        """The memory's own name, whatever the token."""
        return "memory"

    async def post(self, token: str, thread: Thread, text: str, relay_id: UUID, *, link: bool = False) -> str:
        """Keep the message."""
        self._count += 1
        message = Posted(thread, text, relay_id, f"{self._count}.000000")
        self.posted.append(message)
        return message.ts

    async def find(self, token: str, thread: Thread, relay_id: UUID, since: datetime) -> str | None:
        """Look among the kept messages."""
        return next((message.ts for message in self.posted if (message.thread, message.relay_id) == (thread, relay_id)), None)
