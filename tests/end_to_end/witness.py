"""A client of a run that records what it sends and reads, whatever is killed meanwhile, so that the checker can judge it."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx

from hedgerow.checker import Bounds, Recorder, Report, check
from hedgerow.checker.records import (
    Answered,
    Closed,
    Frame,
    Heard,
    InboxRead,
    Kind,
    Leftover,
    LogRead,
    MessageSeen,
    Opened,
    PageRead,
    Scope,
    Sent,
    Settled,
    StateRead,
)
from tests.end_to_end.house import Run

_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.05
_TERMINAL = {"completed", "failed", "cancelled"}


class Witness:
    """Watches one run. Its methods may be called from several threads, each under a client's name of its own."""

    def __init__(self, run: Run, recorder: Recorder) -> None:
        self._run = run
        self._recorder = recorder
        recorder.add(Scope(at=time.monotonic(), client="witness", run=run.id, agent=True))

    def start(self, words: str) -> None:
        """Note that the run was started with these words."""
        now = time.monotonic()
        self._recorder.add(Sent(at=now, client="witness", run=self._run.id, call="words", kind=Kind.MESSAGE, items=(words,)))
        self._recorder.add(Answered(at=now, client="witness", call="words", accepted=True))
        self._recorder.add(Sent(at=now, client="witness", run=self._run.id, call="start", kind=Kind.START))
        self._recorder.add(Answered(at=now, client="witness", call="start", accepted=True))

    def append(self, client: str, texts: list[str]) -> None:
        """Append entries, under one Idempotency-Key until it is answered."""
        key = f"{client}-{time.monotonic_ns()}"
        body = f'{{"entries":[{",".join(texts)}]}}'.encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}

        def attempt() -> bool:
            call = self._sent(client, Kind.ENTRIES, texts, key)
            with self._run.house.client() as http:
                answer = http.post(f"{self._run.path}append_log/", content=body, headers=headers)
            return self._answered(client, call, answer)

        _until_answered(attempt)

    def say(self, client: str, text: str) -> bool:
        """Send a message once; whether it is known to be accepted."""
        call = self._sent(client, Kind.MESSAGE, [text])
        try:
            return self._answered(client, call, self._run.command("user_message", content=text))
        except httpx.HTTPError:
            return False

    def asked_again(self, text: str) -> None:
        """Note a message that the server itself has put first into the inbox."""
        now, call = time.monotonic(), f"again-{time.monotonic_ns()}"
        for kind in (Kind.MESSAGE, Kind.MOVE):
            self._recorder.add(Sent(at=now, client="server", run=self._run.id, call=f"{call}-{kind}", kind=kind, items=(text,)))
            self._recorder.add(Answered(at=now, client="server", call=f"{call}-{kind}", accepted=True))

    def _sent(self, client: str, kind: Kind, items: list[str], key: str | None = None) -> str:
        call = f"{kind}-{time.monotonic_ns()}"
        self._recorder.add(Sent(at=time.monotonic(), client=client, run=self._run.id, call=call, kind=kind, items=tuple(items), key=key))
        return call

    def _answered(self, client: str, call: str, answer: httpx.Response) -> bool:
        if answer.status_code < 500:
            name = _message_id(answer)
            self._recorder.add(Answered(at=time.monotonic(), client=client, call=call, accepted=answer.is_success, name=name))
        return answer.is_success

    def follow(self, client: str) -> None:
        """Read the stream until the run has ended, from where it was cut each time."""
        after, piece, deadline = 0, 0, time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < deadline:
            piece += 1
            after, drained = self._read(client, f"reading-{piece}", after)
            if drained:
                return
            time.sleep(_PAUSE_SECONDS)
        raise AssertionError(f"{client} saw no end of the run after event {after}")

    def _read(self, client: str, reading: str, after: int) -> tuple[int, bool]:
        """The number of the last event that came, and whether the server had no more to tell."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        self._recorder.add(Opened(at=time.monotonic(), client=client, run=self._run.id, reading=reading, after=after))
        number, status, orderly = 0, "", False
        try:
            with self._run.house.client() as http, http.stream("GET", f"{self._run.path}stream/", headers=headers) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line.startswith("id:"):
                        number = int(line[3:])
                    elif line.startswith("data:") and number:
                        text = line[5:].removeprefix(" ")
                        self._recorder.add(Frame(at=time.monotonic(), client=client, reading=reading, number=number, text=text))
                        after, number, status = number, 0, _status(text) or status
                orderly = True
        except httpx.HTTPError:
            pass  # it was cut
        drained = orderly and (status or self._run.get()["status"]) in _TERMINAL
        self._recorder.add(Closed(at=time.monotonic(), client=client, reading=reading, drained=drained))
        return after, drained

    def conclude(self) -> Report:
        """Look at everything once more, and have it judged."""
        self._recorder.add(Settled(at=time.monotonic(), client="witness"))
        self.follow("last")
        self._read_rows()
        if not self._run.house.leaves_nothing():
            self._recorder.add(Leftover(at=time.monotonic(), client="witness", run=self._run.id, what="a folder"))
        return check(self._recorder.history, Bounds(end_seconds=_PATIENCE_SECONDS, leave_seconds=10.0))

    def _read_rows(self) -> None:
        run, recorder = self._run, self._recorder
        with run.house.client() as http:
            since = time.monotonic()
            state = http.get(run.path).raise_for_status().json()
            recorder.add(
                StateRead(
                    since=since,
                    at=time.monotonic(),
                    client="last",
                    run=run.id,
                    status=state["status"],
                    end_reason=state["state"].get("end_reason"),
                )
            )
            since = time.monotonic()
            inbox = http.get(f"{run.path}messages/").raise_for_status().json()["results"]
            seen = tuple(MessageSeen(text=m["content"], status=m["status"], error=m["error"], id=m["id"]) for m in inbox)
            recorder.add(InboxRead(since=since, at=time.monotonic(), client="last", run=run.id, messages=seen))
            since = time.monotonic()
            texts = tuple(http.get(f"{run.path}logs/").raise_for_status().text.splitlines())
            recorder.add(LogRead(since=since, at=time.monotonic(), client="last", run=run.id, texts=texts))
            since, offset = time.monotonic(), len(texts) // 2
            page = http.get(f"{run.path}session_logs/", params={"offset": offset}).raise_for_status().json()
            shown = tuple(
                text if json.loads(text) == entry else json.dumps(entry) for text, entry in zip(texts[offset:], page, strict=True)
            )
            recorder.add(PageRead(since=since, at=time.monotonic(), client="last", run=run.id, offset=offset, texts=shown))
        self._note_turns(texts, {message["id"]: message["content"] for message in inbox})

    def _note_turns(self, texts: tuple[str, ...], contents: dict[str, str]) -> None:
        """A turn that has ended was of a message that the agent has heard."""
        for text in texts:
            notification = json.loads(text).get("notification", {})
            if notification.get("method") == "_posthog/turn_complete":
                item = contents.get(notification["params"].get("messageId"), "a message that the inbox does not know")
                self._recorder.add(Heard(at=time.monotonic(), client="last", run=self._run.id, kind=Kind.MESSAGE, item=item))


def _message_id(answer: httpx.Response) -> str | None:
    """How the server calls the message that it has accepted; None where it has accepted something else, or nothing."""
    result = answer.json().get("result") if answer.is_success else None
    return result.get("messageId") if isinstance(result, dict) else None


def _status(text: str) -> str | None:
    document: dict[str, Any] = json.loads(text)
    return document.get("status") if document.get("type") == "task_run_state" else None


def _until_answered(attempt: Callable[[], bool]) -> None:
    """Try a call until it is answered with success; servers that are away are waited for."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if attempt():
                return
        except httpx.HTTPError:
            pass
        time.sleep(_PAUSE_SECONDS)
    raise AssertionError("no call was answered")
