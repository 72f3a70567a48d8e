"""Relays: what is to be posted into the thread of a messenger, once at most."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

LONGEST_RELAY = 10_000  # characters (contract 5.8)

_HOSTS = (".slack.com", ".slack-gov.com")
_CHANNEL = re.compile(r"[CDG][A-Z0-9]{2,30}")
_TIMESTAMP = re.compile(r"\d{1,12}\.\d{6}")
_MESSAGE = re.compile(r"p(\d{1,12})(\d{6})")
_LONGEST_URL = 2_000
_KEPT_IDS = 200
_FIRST_PAUSE = timedelta(seconds=1)
_LONGEST_PAUSE = timedelta(minutes=5)


class RelayKind(StrEnum):
    """What a relay tells."""

    MESSAGE = "message"  # words of the agent
    PULL_REQUEST = "pull_request"  # its text is the URL


class RelayStatus(StrEnum):
    """Where a relay stands."""

    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread: its channel, and the timestamp of its first message, by which Slack names it."""

    channel: str
    ts: str


@dataclass(frozen=True, slots=True)
class MappedThread:
    """The thread that the runs of a task are told in, and the permalink that named it."""

    thread: Thread
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """Something to post, and how far that has come."""

    id: UUID
    run_id: UUID
    project_id: int
    kind: RelayKind
    thread: Thread
    text: str
    attempt_at: datetime  # the next attempt; while one is under way, when it counts as lost
    created_at: datetime
    status: RelayStatus = RelayStatus.QUEUED
    attempts: int = 0
    doubtful: bool = False  # an earlier attempt may have gone through without our having heard of it
    message_ts: str | None = None  # of the posted message
    error: str | None = None  # what the last attempt met


def thread_of(url: Any) -> Thread | None:
    """The thread that a permalink of Slack leads to; None for anything else.

    `https://team.slack.com/archives/C0123/p1700000000000100?thread_ts=1700000000.000100`: without `thread_ts` the message itself
    begins the thread.
    """
    if not isinstance(url, str) or len(url) > _LONGEST_URL:
        return None
    try:
        parts = urlsplit(url.strip())
        host = parts.hostname or ""
    except ValueError:
        return None
    folders = parts.path.strip("/").split("/")
    if parts.scheme != "https" or not host.endswith(_HOSTS) or len(folders) != 3 or folders[0] != "archives":
        return None
    message = _MESSAGE.fullmatch(folders[2])
    if message is None or not _CHANNEL.fullmatch(folders[1]):
        return None
    ts = parse_qs(parts.query).get("thread_ts", [f"{message[1]}.{message[2]}"])[0]
    return Thread(folders[1], ts) if _TIMESTAMP.fullmatch(ts) else None


def new_pull_request(before: Any, after: Any, state: Mapping[str, Any]) -> str | None:
    """The URL of a pull request that an output newly names, unless its thread was told of it; None where there is none."""
    url = _pull_request(after)
    return None if url is None or url in {_pull_request(before), state.get("slack_notified_pr_url")} else url


def _pull_request(output: Any) -> str | None:
    url = output.get("pr_url") if isinstance(output, dict) else None
    return url.strip() if isinstance(url, str) and url.strip() and len(url) <= _LONGEST_URL else None


def with_sent(state: Mapping[str, Any], relay_id: UUID) -> dict[str, Any]:
    """A run's `state` that names one more relay as sent; only the latest two hundred stay named."""
    known = state.get("slack_sent_relay_ids")
    earlier = known if isinstance(known, list) else []
    return {**state, "slack_sent_relay_ids": [*earlier, str(relay_id)][-_KEPT_IDS:]}


def pause_after(attempts: int, asked_seconds: float | None = None) -> timedelta:
    """How long to wait after so many attempts: doubling from one second to five minutes, but never shorter than we were asked to."""
    doublings = min(max(attempts - 1, 0), 20)
    pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << doublings))
    return max(pause, timedelta(seconds=min(asked_seconds or 0.0, 86_400.0)))


_CUT = "[…]\n\n"
_UNPOSTABLE = re.compile("[\x00\ud800-\udfff]")


def shortened(text: str) -> str:
    """A text that fits into one relay. What is left out is its beginning: an agent says last what it has come to."""
    text = _UNPOSTABLE.sub("\N{REPLACEMENT CHARACTER}", text).strip()
    return text if len(text) <= LONGEST_RELAY else _CUT + text[len(_CUT) - LONGEST_RELAY :]
