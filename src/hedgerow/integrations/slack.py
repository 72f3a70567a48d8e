"""Slack, through its Web API. A message carries its relay's id in its metadata, so that one that was posted is found again."""

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from math import ceil
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass
from uuid import UUID

from hedgerow.domain.relays import Thread
from hedgerow.integrations.base import MessengerError, MessengerOptions

if TYPE_CHECKING:
    from slack_sdk.errors import SlackApiError
    from slack_sdk.web.async_client import AsyncWebClient

_EVENT_TYPE = "hedgerow_relay"
_LONGEST_TEXT = 40_000  # Slack cuts what is longer
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_URL = re.compile(r"https?://[^\s<>|\x00-\x1f]+")
_PAGE = 200
_PAGES = 50
_CLOCK_DIFFERENCE = timedelta(minutes=10)  # between Slack and us, at most
_TRANSIENT = frozenset(
    {"ratelimited", "rate_limited", "message_limit_exceeded", "service_unavailable", "team_added_to_org", "org_login_required"}
)
_DOUBTFUL = frozenset({"internal_error", "fatal_error", "request_timeout"})  # what was asked may have been done before they arose

_log = logging.getLogger("hedgerow.slack")
_log.setLevel(logging.WARNING)  # at the level debug the library would log what people write


class SlackMessenger:
    """Speaks to one Slack API."""

    needs_token = True

    def __init__(self, options: MessengerOptions) -> None:
        self._url = options.slack_api_url
        self._timeout_seconds = options.timeout_seconds

    async def whose(self, token: str) -> str:
        """The name of the token's workspace."""
        answer = await self._ask(lambda client: client.auth_test(), token)
        return str(answer.get("team") or answer.get("team_id") or "Slack")

    async def post(self, token: str, thread: Thread, text: str, relay_id: UUID, *, link: bool = False) -> str:
        """Post into the thread, and into nothing else."""
        answer = await self._ask(
            lambda client: client.chat_postMessage(
                channel=thread.channel,
                thread_ts=thread.ts,
                text=_pull_request(text) if link else escaped(text),
                metadata={"event_type": _EVENT_TYPE, "event_payload": {"relay_id": str(relay_id)}},
                link_names=False,
                unfurl_links=False,
                unfurl_media=False,
            ),
            token,
        )
        return str(answer.get("ts", ""))

    async def find(self, token: str, thread: Thread, relay_id: UUID, since: datetime) -> str | None:
        """Look through what was posted in the thread since then."""
        cursor: str | None = None
        for _ in range(_PAGES):
            answer = await self._ask(self._replies(thread, since, cursor), token)
            for message in answer.get("messages") or []:
                if _relay_id(message) == str(relay_id):
                    return str(message.get("ts", ""))
            cursor = (answer.get("response_metadata") or {}).get("next_cursor") or None
            if cursor is None:
                return None
        raise MessengerError("The thread has grown too long to see whether the message was posted.", permanent=True)

    @staticmethod
    def _replies(thread: Thread, since: datetime, cursor: str | None) -> "Callable[[AsyncWebClient], Awaitable[Any]]":
        oldest = f"{(since - _CLOCK_DIFFERENCE).timestamp():.6f}"
        return lambda client: client.conversations_replies(
            channel=thread.channel, ts=thread.ts, oldest=oldest, cursor=cursor, limit=_PAGE, include_all_metadata=True
        )

    async def _ask(self, call: "Callable[[AsyncWebClient], Awaitable[Any]]", token: str) -> dict[str, Any]:
        import aiohttp
        from slack_sdk.errors import SlackApiError, SlackRequestError
        from slack_sdk.web.async_client import AsyncWebClient

        limit = ceil(self._timeout_seconds) + 1  # ours comes first
        client = AsyncWebClient(token=token, base_url=self._url, timeout=limit, logger=_log, retry_handlers=[])
        client.proxy = _proxy(self._url)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = (await call(client)).data
        except SlackApiError as problem:
            raise _refusal(problem) from problem
        except TimeoutError as problem:
            message = f"Slack did not answer within {self._timeout_seconds:g} seconds."
            raise MessengerError(message, doubtful=True) from problem
        except aiohttp.ClientConnectorError as problem:
            raise MessengerError(f"Slack cannot be reached: {problem.strerror or 'no connection'}.") from problem
        except (aiohttp.ClientError, OSError) as problem:
            raise MessengerError(f"The connection to Slack broke ({type(problem).__name__}).", doubtful=True) from problem
        except SlackRequestError as problem:
            raise MessengerError("The request to Slack is not well-formed.", permanent=True) from problem
        except (AttributeError, ValueError) as problem:  # the library on an answer that is text instead of JSON
            raise MessengerError("Slack's answer cannot be understood.", doubtful=True) from problem
        return answer if isinstance(answer, dict) else {}


def escaped(text: str) -> str:
    """Text that Slack shows as it is, so that nobody is alarmed by an `@channel` in it, cut where it would be too long."""
    pieces = [_ESCAPES.get(character, character) for character in text]
    size = 0
    for index, piece in enumerate(pieces):
        size += len(piece)
        if size > _LONGEST_TEXT - 1:
            return "".join(pieces[:index]) + "…"
    return "".join(pieces)


def _pull_request(url: str) -> str:
    return f"Pull request: <{escaped(url)}>" if _URL.fullmatch(url) else f"Pull request: {escaped(url)}"


def _relay_id(message: Any) -> Any:
    metadata = message.get("metadata") if isinstance(message, dict) else None
    if not isinstance(metadata, dict) or metadata.get("event_type") != _EVENT_TYPE:
        return None
    payload = metadata.get("event_payload")
    return payload.get("relay_id") if isinstance(payload, dict) else None


def _proxy(url: str) -> str | None:
    """The proxy that the environment wants for an address. The library itself would not hear of NO_PROXY."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)


def _refusal(problem: "SlackApiError") -> MessengerError:
    """What an answer means that is no success."""
    response = problem.response
    status: int = getattr(response, "status_code", 0) or getattr(response, "status", 0)
    data = getattr(response, "data", None)
    code = data.get("error") if isinstance(data, dict) else None
    headers = getattr(response, "headers", {})
    if status == 429 or code in {"ratelimited", "rate_limited"}:
        return MessengerError("Slack wants fewer messages (ratelimited).", retry_after_seconds=_seconds(headers.get("Retry-After")))
    if status >= 500 or code in _DOUBTFUL:
        return MessengerError(f"Slack has a problem of its own ({code or f'status {status}'}).", doubtful=True)
    if not isinstance(code, str):
        if status == 200:
            return MessengerError("Slack's answer cannot be understood.", doubtful=True)
        return MessengerError(f"Slack refuses with status {status}.", permanent=True)
    needed = f", needs the scope {data['needed']}" if isinstance(data, dict) and code == "missing_scope" and data.get("needed") else ""
    return MessengerError(f"Slack refuses: {code}{needed}.", permanent=code not in _TRANSIENT)


def _seconds(header: Any) -> float | None:
    try:
        return max(0.0, float(header))
    except (TypeError, ValueError):
        return None
