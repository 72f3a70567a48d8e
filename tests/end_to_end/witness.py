"""A client of a run that records what it sends and reads, whatever is killed meanwhile, so that the checker can judge it."""

import hashlib
import json
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any
from uuid import UUID

import httpx

from hedgerow.checker import Bounds, Recorder, Report, check
from hedgerow.checker.records import (
    Answered,
    ArtifactRead,
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
from hedgerow.domain import run_tokens
from hedgerow.local_files import secret_key
from tests.end_to_end.house import Run
from tests.end_to_end.patience import Patience

_PATIENCE_SECONDS = 90.0
_PAUSE_SECONDS = 0.05
_CONTINUING = "Go on with this task."
_TERMINAL = {"completed", "failed", "cancelled"}
_calls = count(1)


@dataclass(frozen=True, slots=True)
class Manner:
    """How a reader reads: whether it hangs up by itself after so many events, and how long it dawdles at each."""

    cut_after: int | None = None
    pause_seconds: float = 0.0


_USUAL = Manner()


class Witness:
    """Watches one run. Its methods may be called from several threads, each under a client's name of its own."""

    def __init__(self, run: Run, recorder: Recorder, *, entries: bool = False, patience: Patience | None = None) -> None:
        """`entries`: whether nobody writes to the journal but through this."""
        self.run = run
        self._recorder = recorder
        self._patience = patience or Patience(_PATIENCE_SECONDS)
        self._seen: dict[str, float] = {}  # every event that any reader has got, and when it came first
        recorder.add(Scope(at=time.monotonic(), client="witness", run=run.id, entries=entries, agent=True))

    def start(self, words: str) -> None:
        """Note that the run was started with these words."""
        for kind, items in ((Kind.MESSAGE, [words]), (Kind.START, [])):
            self._accept("witness", self._sent("witness", kind, items))

    def start_again(self, client: str) -> bool | None:
        """Have an ended run go on in the cloud; None where it is not known whether it does."""
        return self._call(client, Kind.START, [], "POST", "resume_in_cloud/")

    def end(self, client: str, status: str) -> None:
        """Set a terminal status, until that is answered."""
        self._until_answered(lambda: self._call(client, Kind.END, [], "PATCH", "", json={"status": status}))

    def cancel(self, client: str) -> bool | None:
        """Ask for the end of a background run's turn; whether that was accepted."""
        return self._command(client, Kind.END, [], "cancel")

    def answer(self, client: str, request: str, option: str) -> bool | None:
        """Answer a permission request; whether this answer is the one that counts, and None where that is not known."""
        return self._command(client, Kind.ANSWER, [request, option], "permission_response", requestId=request, optionId=option)

    def upload(self, client: str, name: str, content: str) -> None:
        """Add an artifact to the run, under one Idempotency-Key until it is answered."""
        digest = hashlib.sha256(content.encode()).hexdigest()
        body = {"artifacts": [{"name": name, "type": "artifact", "content": content}]}
        headers = {"Idempotency-Key": f"{client}-{next(_calls)}"}
        self._until_answered(lambda: self._call(client, Kind.ARTIFACT, [name, digest], "POST", "artifacts/", json=body, headers=headers))

    def read_state(self, client: str) -> str:
        """Where the run stands."""
        state: dict[str, Any] = {}

        def attempt() -> bool:
            since = time.monotonic()
            state.update(self.run.get())
            self._note_state(client, since, state)
            return True

        self._until_answered(attempt)
        return str(state["status"])

    def _note_state(self, client: str, since: float, state: dict[str, Any]) -> None:
        now, reason = time.monotonic(), state["state"].get("end_reason")
        self._recorder.add(StateRead(since=since, at=now, client=client, run=self.run.id, status=state["status"], end_reason=reason))

    def asked(self) -> str | None:
        """The permission request of the agent, where a reader has seen one."""
        events = (json.loads(text) for text in list(self._seen) if '"permission_request"' in text)
        return next((str(event["requestId"]) for event in events if event.get("type") == "permission_request"), None)

    def _command(self, client: str, kind: Kind, items: Sequence[str], method: str, **params: Any) -> bool | None:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self._call(client, kind, items, "POST", "command/", json=body)

    def _call(
        self, client: str, kind: Kind, items: Sequence[str], verb: str, path: str, *, epoch: int | None = None, **request: Any
    ) -> bool | None:
        """Make a call once, and note it; whether it was accepted, and None where that is not known."""
        call = self._sent(client, kind, items, request.get("headers", {}).get("Idempotency-Key"), epoch)
        try:
            with self.run.house.client() as http:
                answer = http.request(verb, f"{self.run.path}{path}", **request)
        except httpx.HTTPError:
            return None
        return self._answered(client, call, answer)

    def append(self, client: str, texts: list[str]) -> None:
        """Append entries, under one Idempotency-Key until it is answered."""
        key = f"{client}-{next(_calls)}"
        body = f'{{"entries":[{",".join(texts)}]}}'.encode()
        headers = {"Content-Type": "application/json", "Idempotency-Key": key}

        self._until_answered(lambda: self._call(client, Kind.ENTRIES, texts, "POST", "append_log/", content=body, headers=headers))

    def append_for(self, client: str, epoch: int, text: str) -> bool | None:
        """Append an entry with the token of one start of the run, as its agent server does; whether that was accepted."""
        secret = secret_key(self.run.house.data_dir).encode()
        headers = {"Authorization": f"Bearer {run_tokens.mint(secret, UUID(self.run.id), epoch)}", "Content-Type": "application/json"}
        return self._call(
            client, Kind.ENTRIES, [text], "POST", "append_log/", epoch=epoch, content=f'{{"entries":[{text}]}}'.encode(), headers=headers
        )

    def say(self, client: str, text: str) -> bool | None:
        """Send a message once; whether it is known to be accepted."""
        return self._command(client, Kind.MESSAGE, [text], "user_message", content=text)

    def _until_answered(self, attempt: Callable[[], bool | None]) -> None:
        """Try a call until it is answered with success; servers that are away are waited for."""
        for _ in self._patience.tries(_PAUSE_SECONDS):
            with suppress(httpx.HTTPError):
                if attempt():
                    return
        raise AssertionError(f"no call for run {self.run.id} was answered")

    def _sent(self, client: str, kind: Kind, items: Sequence[str], key: str | None = None, epoch: int | None = None) -> str:
        call, now = f"{kind}-{next(_calls)}", time.monotonic()
        sent = Sent(at=now, client=client, run=self.run.id, call=call, kind=kind, items=tuple(items), key=key, epoch=epoch)
        self._recorder.add(sent)
        return call

    def _accept(self, client: str, call: str, *, accepted: bool = True, name: str | None = None) -> None:
        self._recorder.add(Answered(at=time.monotonic(), client=client, call=call, accepted=accepted, name=name))

    def asked_again(self, text: str) -> None:
        """Note a message that the server itself has put first into the inbox."""
        for kind in (Kind.MESSAGE, Kind.MOVE):
            self._accept("server", self._sent("server", kind, [text]))

    def _answered(self, client: str, call: str, answer: httpx.Response) -> bool | None:
        """What the server knows of a call, which is nothing where it broke in the middle."""
        if answer.status_code >= 500:
            return None
        accepted = answer.is_success and "error" not in answer.json()
        self._accept(client, call, accepted=accepted, name=_message_id(answer))
        return accepted

    def follow(self, client: str, manner: Manner = _USUAL) -> None:
        """Read the stream until the run has ended, from where it was cut each time."""
        after = 0
        for _ in self._patience.tries(_PAUSE_SECONDS):
            after, drained = self._read(client, f"reading-{next(_calls)}", after, manner)
            if drained:
                return
        raise AssertionError(f"{client} saw no end of run {self.run.id} after event {after}")

    def _read(self, client: str, reading: str, after: int, manner: Manner) -> tuple[int, bool]:
        """The number of the last event that came, and whether the server had no more to tell."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        self._recorder.add(Opened(at=time.monotonic(), client=client, run=self.run.id, reading=reading, after=after))
        number, status, orderly = 0, "", False
        try:
            with self.run.house.client() as http, http.stream("GET", f"{self.run.path}stream/", headers=headers) as answer:
                answer.raise_for_status()
                for line in answer.iter_lines():
                    if line == "event: error":
                        raise httpx.ReadError("the server could not go on")
                    if line.startswith("id:"):
                        number = int(line[3:])
                    elif line.startswith("data:") and number:
                        text = line[5:].removeprefix(" ")
                        now = time.monotonic()
                        self._recorder.add(Frame(at=now, client=client, reading=reading, number=number, text=text))
                        self._seen.setdefault(text, now)
                        after, number, status = number, 0, _status(text) or status
                        if manner.cut_after is not None and after % manner.cut_after == 0:
                            raise httpx.ReadError("the reader has hung up")
                        time.sleep(manner.pause_seconds)
            orderly = (status or self.run.get()["status"]) in _TERMINAL
        except httpx.HTTPError:
            pass  # it was cut
        self._recorder.add(Closed(at=time.monotonic(), client=client, reading=reading, drained=orderly))
        return after, orderly

    def conclude(self) -> Report:
        """Look at everything once more, and have it judged."""
        self._recorder.add(Settled(at=time.monotonic(), client="witness"))
        self.look_again()
        if not self.run.house.leaves_nothing():
            self.note_leftover("a folder")
        return check(self._recorder.history, Bounds(end_seconds=_PATIENCE_SECONDS, leave_seconds=10.0))

    def note_leftover(self, what: str) -> None:
        """Note that something of the run is there now."""
        self._recorder.add(Leftover(at=time.monotonic(), client="witness", run=self.run.id, what=what))

    def look_again(self) -> None:
        """Read everything of the run once more: its whole stream, its rows, its log, its artifacts, and what its agent has heard."""
        self.follow("last")
        run, recorder = self.run, self._recorder
        with run.house.client() as http:
            since = time.monotonic()
            state = http.get(run.path).raise_for_status().json()
            self._note_state("last", since, state)
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
            for artifact in state["artifacts"]:
                self._fetch(http, artifact)
        self._note_own_words(inbox)
        self._note_turns(texts, {message["id"]: message["content"] for message in inbox})
        self._note_answers()

    def _fetch(self, http: httpx.Client, artifact: dict[str, Any]) -> None:
        since = time.monotonic()
        answer = http.post(f"{self.run.path}artifacts/download/", json={"storage_path": artifact["storage_path"]})
        digest = hashlib.sha256(answer.content).hexdigest() if answer.is_success else None
        now = time.monotonic()
        self._recorder.add(ArtifactRead(since=since, at=now, client="last", run=self.run.id, name=artifact["name"], digest=digest))

    def _note_turns(self, texts: tuple[str, ...], contents: dict[str, str]) -> None:
        """A turn that has ended was of a message that the agent has heard."""
        for text in texts:
            notification = json.loads(text).get("notification", {})
            if notification.get("method") == "_posthog/turn_complete":
                item = contents.get(notification["params"].get("messageId"), "a message that the inbox does not know")
                self._note_heard(text, Kind.MESSAGE, item)

    def _note_own_words(self, inbox: list[dict[str, Any]]) -> None:
        """What the server itself says to the agent of a run that goes on is a message as well."""
        known = {record.items[0] for record in self._recorder.history if isinstance(record, Sent) and record.kind is Kind.MESSAGE}
        for text in {message["content"] for message in inbox if message["content"].startswith(_CONTINUING)} - known:
            self.asked_again(text)

    def _note_answers(self) -> None:
        """What the agent was told by somebody; an agent that is told that its session is over has heard nobody's answer."""
        for text in self._seen:
            event = json.loads(text)
            if event.get("type") == "permission_resolved" and "reason" not in event["notification"]["params"]:
                told = event["notification"]["params"]
                self._note_heard(text, Kind.ANSWER, told["requestId"], told["optionId"])

    def _note_heard(self, text: str, kind: Kind, item: str, option: str | None = None) -> None:
        at = min(self._seen.get(text, math.inf), _written_at(text))  # readers leave once a run has ended, and an event may come later
        self._recorder.add(Heard(at=at, client="last", run=self.run.id, kind=kind, item=item, option=option))


def _message_id(answer: httpx.Response) -> str | None:
    """How the server calls the message that it has accepted; None where it has accepted something else, or nothing."""
    result = answer.json().get("result") if answer.is_success else None
    return result.get("messageId") if isinstance(result, dict) else None


def _written_at(text: str) -> float:
    """When an event was written, by the clock of the records: everything here is on one machine."""
    written = datetime.fromisoformat(json.loads(text)["timestamp"]).timestamp()
    return time.monotonic() - (time.time() - written)


def _status(text: str) -> str | None:
    document: dict[str, Any] = json.loads(text)
    return document.get("status") if document.get("type") == "task_run_state" else None
