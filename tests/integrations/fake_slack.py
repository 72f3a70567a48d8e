"""Slack's Web API, as far as hedgerow speaks it: checks tokens, keeps threads, and can fail, limit, hang, or cut a connection."""

import asyncio
import threading
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

TOKEN = "xoxb-the-token-of-the-tests"
CHANNEL = "C0123456789"
THREAD_TS = "1700000000.000100"
PERMALINK = f"https://team.slack.com/archives/{CHANNEL}/p1700000000000100"

Fault = Callable[["FakeSlack", web.Request], Awaitable[web.StreamResponse | None]]
"""What befalls one call: an answer in the place of the real one, or None where that comes after all."""


@dataclass
class FakeSlack:
    """One workspace. `faults` befall the next posts, one each; `look_faults` the next looks into a thread."""

    tokens: dict[str, str] = field(default_factory=lambda: {TOKEN: "Gardeners"})
    channels: set[str] = field(default_factory=lambda: {CHANNEL})
    messages: list[dict[str, Any]] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    faults: deque[Fault] = field(default_factory=deque)
    look_faults: deque[Fault] = field(default_factory=deque)
    page: int = 200
    changed: threading.Condition = field(default_factory=threading.Condition)  # for tests that live beside its loop
    called: asyncio.Event = field(default_factory=asyncio.Event)
    posted: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)  # lets hanging calls go
    url: str = ""
    _runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/api/auth.test", self._whose)
        app.router.add_post("/api/chat.postMessage", self._post)
        app.router.add_get("/api/conversations.replies", self._replies)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/api"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.release.set()
        assert self._runner is not None
        await self._runner.cleanup()

    def texts(self, channel: str = CHANNEL) -> list[str]:
        """What was posted into a channel, in order."""
        return [message["text"] for message in self.messages if message["channel"] == channel]

    def came(self, number: int, timeout_seconds: float) -> bool:
        """Whether so many messages are there, now or within that time. For tests in another thread."""
        with self.changed:
            return self.changed.wait_for(lambda: len(self.messages) >= number, timeout_seconds)

    async def _whose(self, request: web.Request) -> web.StreamResponse:
        self.calls.append("auth.test")
        refusal = self._unknown_token(request)
        return refusal or web.json_response({"ok": True, "team": self.tokens[self._token(request)], "team_id": "T1"})

    async def _post(self, request: web.Request) -> web.StreamResponse:
        self.calls.append("chat.postMessage")
        self.called.set()
        fault = self.faults.popleft() if self.faults else None
        replaced = None if fault is None else await fault(self, request)
        return replaced or await self.accept(request)

    async def accept(self, request: web.Request) -> web.StreamResponse:
        """Post the message of a request."""
        refusal = self._unknown_token(request)
        if refusal is not None:
            return refusal
        given = await request.json()
        if given["channel"] not in self.channels:
            return _no("channel_not_found")
        ts = f"{1_700_000_001 + len(self.messages)}.000000"
        kept = {name: given.get(name) for name in ("channel", "thread_ts", "text", "metadata", "link_names", "unfurl_links")}
        with self.changed:
            self.messages.append({**kept, "ts": ts})
            self.changed.notify_all()
        self.posted.set()
        return web.json_response({"ok": True, "channel": given["channel"], "ts": ts, "message": {"text": given["text"]}})

    async def _replies(self, request: web.Request) -> web.StreamResponse:
        self.calls.append("conversations.replies")
        fault = self.look_faults.popleft() if self.look_faults else None
        replaced = None if fault is None else await fault(self, request)
        refusal = replaced or self._unknown_token(request)
        if refusal is not None:
            return refusal
        query = request.query
        thread = [message for message in self.messages if (message["channel"], message["thread_ts"]) == (query["channel"], query["ts"])]
        start = int(query.get("cursor") or 0)
        part = [message if query.get("include_all_metadata") == "1" else {**message, "metadata": None} for message in thread]
        following = str(start + self.page) if start + self.page < len(part) else ""
        answer = {"ok": True, "messages": part[start : start + self.page], "response_metadata": {"next_cursor": following}}
        return web.json_response(answer)

    @staticmethod
    def _token(request: web.Request) -> str:
        return request.headers.get("Authorization", "").removeprefix("Bearer ")

    def _unknown_token(self, request: web.Request) -> web.StreamResponse | None:
        token = self._token(request)
        return None if token in self.tokens else _no("invalid_auth" if token else "not_authed")


def _no(code: str, **more: str) -> web.StreamResponse:
    return web.json_response({"ok": False, "error": code, **more})


def status(number: int, text: str = "<html>not now</html>", content_type: str = "text/html") -> Fault:
    """An answer that is not Slack's own."""

    async def fault(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=number, text=text, content_type=content_type)

    return fault


def refusal(code: str, **more: str) -> Fault:
    """An answer with ok: false."""

    async def fault(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
        return _no(code, **more)

    return fault


def limited(seconds: str) -> Fault:
    """A 429 with Retry-After."""

    async def fault(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
        return web.json_response({"ok": False, "error": "ratelimited"}, status=429, headers={"Retry-After": seconds})

    return fault


async def accept_and_cut(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
    """The message is posted, and its sender never hears of it: the connection breaks."""
    answer = await slack.accept(request)
    assert request.transport is not None
    request.transport.abort()
    return answer


async def accept_and_hang(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
    """The message is posted, and its sender hears of it when the test says so."""
    answer = await slack.accept(request)
    await slack.release.wait()
    return answer


async def hang(slack: FakeSlack, request: web.Request) -> web.StreamResponse | None:
    """Nothing happens until the test ends, and then the answer is an error."""
    await slack.release.wait()
    return _no("request_timeout")
