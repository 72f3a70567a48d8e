"""When a call that went wrong is made again, and after what pause."""

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from hedgerow.client.calls import Call, Repeat

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError)
_TOO_MANY_REQUESTS = 429


@dataclass(frozen=True, slots=True, kw_only=True)
class Retries:
    """How often a call is made again, and how long is waited before. Pauses double from the first to the longest."""

    most: int = 4
    first_pause_seconds: float = 0.2
    longest_pause_seconds: float = 5.0
    longest_wish_seconds: float = 60.0
    """A server that wishes (Retry-After) for a longer pause than this is not asked again."""

    def pause(self, tries: int) -> float:
        """Seconds to wait after so many tries that went wrong before this one."""
        return min(self.first_pause_seconds * 2.0 ** min(tries, 30), self.longest_pause_seconds)

    def after_failure(self, call: Call, tries: int, error: httpx.TransportError) -> float | None:
        """Seconds to wait before a call is made again whose connection failed; None where it is not made again."""
        sent_twice = call.repeat is not Repeat.UNSENT and isinstance(error, _BROKEN)
        return self.pause(tries) if tries < self.most and (sent_twice or isinstance(error, _NEVER_SENT)) else None

    def after_refusal(self, call: Call, tries: int, response: httpx.Response) -> float | None:
        """The same after an answer outside 2xx."""
        passes = response.status_code in call.passing and call.repeat is not Repeat.UNSENT
        if tries >= self.most or not (passes or response.status_code == _TOO_MANY_REQUESTS):
            return None
        wish = _wish(response.headers.get("Retry-After"))
        if wish is None:
            return self.pause(tries)
        return wish if wish <= self.longest_wish_seconds else None


NEVER = Retries(most=0)
"""Each call is made once."""


def _wish(header: str | None) -> float | None:
    """The seconds that a Retry-After asks for, as a number or as a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    return max(0.0, (moment.astimezone(UTC) - datetime.now(UTC)).total_seconds())
