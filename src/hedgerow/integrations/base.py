"""What every messenger promises. It knows threads and texts: no run, no task."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol
from uuid import UUID

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.relays import Thread


class MessengerError(UnavailableError):
    """A messenger did not do what it was asked.

    `permanent`: asking again is of no use. `doubtful`: it may have been done all the same. `retry_after_seconds`: not before.
    """

    def __init__(self, message: str, *, permanent: bool = False, doubtful: bool = False, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.permanent = permanent
        self.doubtful = doubtful
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class MessengerOptions:
    """What the operator has decided about messengers."""

    slack_api_url: str = "https://slack.com/api/"
    timeout_seconds: float = 15.0  # of one call


class Messenger(Protocol):
    """Posts into threads. Every method raises MessengerError, with the cause kept, and none tries anything twice."""

    needs_token: bool

    async def whose(self, token: str) -> str:
        """How the workspace is called that a token opens."""
        ...

    async def post(self, token: str, thread: Thread, text: str, relay_id: UUID, *, link: bool = False) -> str:
        """Post a text that nobody is to be alarmed by, marked with its relay's id; the timestamp of the message.

        `link`: the text is the URL of a pull request, to be shown as one.
        """
        ...

    async def find(self, token: str, thread: Thread, relay_id: UUID, since: datetime) -> str | None:
        """The timestamp of the message of a relay that was queued at `since`; None where the thread has none."""
        ...


MessengerMaker = Callable[[MessengerOptions], Messenger]
