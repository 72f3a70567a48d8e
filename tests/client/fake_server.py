"""A server on loopback that plays as much of the API as a client needs, and breaks where a test wants it to."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from hedgerow.domain.ids import uuid7
from tests.client.fake_artifacts import FakeStore

KEY = "phx_secret"


def notification(method: str, params: dict[str, Any], timestamp: str = "2026-11-22T10:00:00.000Z", **more: Any) -> dict[str, Any]:
    return {"type": "notification", "timestamp": timestamp, "notification": {"jsonrpc": "2.0", "method": method, "params": params, **more}}


def update(session_update: str, /, timestamp: str = "2026-11-22T10:00:00.000Z", **fields: Any) -> dict[str, Any]:
    return notification("session/update", {"sessionId": "s1", "update": {"sessionUpdate": session_update, **fields}}, timestamp)


def said(text: str, kind: str = "agent_message") -> dict[str, Any]:
    return update(kind, content={"type": "text", "text": text})


def prompt(text: str, request_id: int = 2) -> dict[str, Any]:
    return notification("session/prompt", {"sessionId": "s1", "prompt": [{"type": "text", "text": text}]}, id=request_id)


def step(name: str, status: str, label: str = "", **more: Any) -> dict[str, Any]:
    return notification("_posthog/progress", {"group": "setup", "step": name, "label": label or name, "status": status, **more})


def turn_complete(stop_reason: str = "end_turn") -> dict[str, Any]:
    return notification("_posthog/turn_complete", {"sessionId": "s1", "stopReason": stop_reason})


@dataclass
class FakeRun:
    """A run with its journal. `cuts` says after how many events of a connection it is cut, connection by connection; None: never."""

    id: str = field(default_factory=lambda: str(uuid7()))
    task_id: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    events: list[tuple[int | None, str]] = field(default_factory=list)
    cuts: list[int | None] = field(default_factory=list)
    clean_ends: list[int] = field(default_factory=list)  # after how many events of a connection it ends without a cut
    requests: list[dict[str, Any]] = field(default_factory=list)  # what its agent asks leave for
    cursors: list[str | None] = field(default_factory=list)  # what each stream connection asked for

    def ask(self, request_id: str, title: str, *options: str, **fields: Any) -> dict[str, Any]:
        """Have the agent ask leave for something."""
        request = {
            "id": request_id,
            "task": self.task_id,
            "run": self.id,
            "state": "waiting",
            "options": [{"optionId": option, "name": option.title(), "kind": "allow_once"} for option in options],
            "tool_call": {"toolCallId": "t1", "title": title},
            "asked_at": datetime.now(UTC).isoformat(),
            **fields,
        }
        self.requests.append(request)
        return request

    def document(self) -> dict[str, Any]:
        base: dict[str, Any] = {
            "id": self.id,
            "task": self.task_id,
            "stage": None,
            "branch": None,
            "status": "queued",
            "environment": "cloud",
            "error_message": None,
            "output": None,
            "state": {"mode": "background"},
            "artifacts": [],
            "created_at": "2026-11-22T10:00:00.000000Z",
            "updated_at": "2026-11-22T10:00:00.000000Z",
            "completed_at": None,
        }
        return {**base, **self.fields}

    @property
    def terminal(self) -> bool:
        return self.document()["status"] in {"completed", "failed", "cancelled"}


class FakeServer:
    """State of the fake, guarded by `changed`."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self.tasks: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, FakeRun] = {}
        self.repositories: list[dict[str, Any]] = []
        self.requests: list[tuple[str, str, Any]] = []
        self.keys: list[str] = []
        self.refusals: dict[str, tuple[int, dict[str, Any]]] = {}  # end of a path -> status and body
        self.agent_answers = True
        self.next_run: FakeRun | None = None
        self.drop_connections = 0  # how many requests are answered by hanging up
        self.stumbles: list[tuple[int, dict[str, str]]] = []  # status and headers of the next answers, before the server does anything
        self.broken_answers = 0  # how many downloads break off after half of their bytes
        self.store = FakeStore()
        self.url = ""

    def add_task(self, **fields: Any) -> str:
        task_id = str(uuid7())
        number = len(self.tasks)
        self.tasks[task_id] = {
            "id": task_id,
            "task_number": number,
            "slug": f"FAK-{number}",
            "title": f"Task {number}",
            "description": "",
            "repository": None,
            "created_at": datetime.now(UTC).isoformat(),
            **fields,
        }
        return task_id

    def add_run(self, task_id: str, run: FakeRun | None = None) -> FakeRun:
        run = run or FakeRun()
        run.task_id = task_id
        self.runs[run.id] = run
        return run

    def happen(self, run: FakeRun, *events: dict[str, Any]) -> None:
        """Put events into a journal; message chunks are previews without a number."""
        with self.changed:
            for event in events:
                text = json.dumps(event, separators=(",", ":"))
                number = None if "agent_message_chunk" in text else sum(1 for known, _ in run.events if known is not None) + 1
                run.events.append((number, text))
            self.changed.notify_all()

    def end(self, run: FakeRun, status: str = "completed", **fields: Any) -> None:
        with self.changed:
            run.fields |= {"status": status, "completed_at": "2026-11-22T10:00:12.000000Z", **fields}
            self.changed.notify_all()

    def wait_for(self, method: str, ending: str, seconds: float = 10) -> Any:
        """The body of the first request of that kind, once it has come."""
        with self.changed:
            assert self.changed.wait_for(lambda: self._bodies(method, ending), seconds), f"no {method} …{ending} in {self.requests}"
            return self._bodies(method, ending)[0]

    def _bodies(self, method: str, ending: str) -> list[Any]:
        return [body for known, path, body in self.requests if known == method and path.endswith(ending)]

    def task_document(self, task_id: str) -> dict[str, Any]:
        runs = sorted((run for run in self.runs.values() if run.task_id == task_id), key=lambda run: run.id)
        return {**self.tasks[task_id], "latest_run": runs[-1].document() if runs else None}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeServer

    def log_message(self, *_: Any) -> None:
        pass

    def _handle(self) -> None:
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        fake = self.fake
        if parts.path == "/store":
            self._form(length)
            return
        raw = self.rfile.read(length)
        body = json.loads(raw) if raw else None
        with fake.changed:
            fake.requests.append((self.command, parts.path, body))
            fake.keys.append(self.headers.get("Idempotency-Key") or "")
            fake.changed.notify_all()
            if fake.drop_connections:
                fake.drop_connections -= 1
                self.close_connection = True
                return
        if fake.stumbles:
            status, headers = fake.stumbles.pop(0)
            self._answer(status, {}, headers)
            return
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            self._answer(
                401, {"type": "authentication_error", "code": "authentication_failed", "detail": "This key is not known.", "attr": None}
            )
            return
        for ending, (status, refusal) in fake.refusals.items():
            if parts.path.endswith(ending):
                self._answer(status, refusal)
                return
        self._route(parts.path.removeprefix("/api/projects/1").strip("/").split("/"), parse_qs(parts.query), body)

    do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _handle  # noqa: N815 - the names that http.server calls

    def _route(self, path: list[str], query: dict[str, list[str]], body: Any) -> None:  # noqa: C901 - a table
        fake = self.fake
        match (self.command, *path):
            case ("GET", "tasks"):
                offset = int(query.get("offset", ["0"])[0])
                end = offset + int(query.get("limit", ["100"])[0])
                tasks = [fake.task_document(task_id) for task_id in reversed(fake.tasks)]
                following = "http://elsewhere/" if end < len(tasks) else None
                self._answer(200, {"count": len(tasks), "next": following, "previous": None, "results": tasks[offset:end]})
            case ("POST", "tasks"):
                self._answer(201, fake.task_document(fake.add_task(**{"title": body["description"], **body})))
            case ("GET", "tasks", task_id) if task_id in fake.tasks:
                self._answer(200, fake.task_document(task_id))
            case ("DELETE", "tasks", task_id) if task_id in fake.tasks:
                del fake.tasks[task_id]
                self._answer(204, "")
            case ("POST", "tasks", task_id, "run"):
                run = fake.add_run(task_id, fake.next_run)
                run.fields.setdefault("state", {"mode": body.get("mode", "background")})
                self._answer(200, fake.task_document(task_id))
            case ("GET", "tasks", task_id, "runs"):
                runs = [run.document() for run in fake.runs.values() if run.task_id == task_id]
                self._answer(200, {"count": len(runs), "next": None, "previous": None, "results": runs[::-1]})
            case ("GET", "repositories"):
                self._answer(200, {"count": len(fake.repositories), "next": None, "previous": None, "results": fake.repositories})
            case ("POST", "repositories"):
                name = body.get("name") or f"local/{body['clone_url'].rsplit('/', 1)[-1]}-0a1b2c"
                known = {"name": name, "clone_url": body["clone_url"], "setup_command": None}
                fake.repositories.append(known)
                self._answer(201, known)
            case ("POST", "tasks", task_id, "staged_artifacts", *action):
                self._artifacts(f"staged/{task_id}", action, body)
            case ("POST", "tasks", _, "runs", run_id, "artifacts", *action) if run_id in fake.runs:
                self._artifacts(run_id, action, body)
                fake.runs[run_id].fields["artifacts"] = fake.store.manifests.get(run_id, [])
            case ("GET", "permission_requests"):
                self._requests([request for run in fake.runs.values() for request in run.requests], query)
            case (_, "tasks", _, "runs", run_id, *rest) if run_id in fake.runs:
                self._run(fake.runs[run_id], rest, query, body)
            case _:
                self._answer(404, {"type": "invalid_request", "code": "not_found", "detail": "Not found.", "attr": None})

    def _run(self, run: FakeRun, rest: list[str], query: dict[str, list[str]], body: Any) -> None:
        entries = [text for _, text in run.events if '"notification"' in text[:30] and "agent_message_chunk" not in text]
        match (self.command, *rest):
            case ("GET",):
                self._answer(200, run.document())
            case ("PATCH",):
                if "status" in body:
                    self.fake.end(run, body["status"], state={**run.document()["state"], "end_reason": "client"})
                self._answer(200, run.document())
            case ("POST", "command"):
                self._command(body)
            case ("GET", "permission_requests"):
                self._requests(run.requests, query)
            case ("GET", "logs"):
                self._answer(200, "".join(f"{text}\n" for text in entries))
            case ("GET", "session_logs"):
                offset, limit = int(query["offset"][0]), int(query["limit"][0])
                page = entries[offset : offset + limit]
                counts = {f"X-{name}-Count": str(len(entries)) for name in ("Total", "Filtered", "Matching")}
                more = str(offset + limit < len(entries)).lower()
                self._answer(200, [json.loads(text) for text in page], {"X-Has-More": more, **counts})
            case ("GET", "stream"):
                self._stream(run, latest="start" in query)

    def _requests(self, requests: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
        found = [request for request in requests if request["state"] in query.get("state", [request["state"]])]
        self._answer(200, {"count": len(found), "next": None, "previous": None, "results": found})

    def _form(self, length: int) -> None:
        if self.fake.store.keeps:
            self._answer(*self.fake.store.take_form(dict(self.headers), self.rfile.read(length)))
            return
        while length:
            length -= len(self.rfile.read(min(length, 1 << 16)))
        self._answer(204, "")

    def _artifacts(self, owner: str, action: list[str], body: Any) -> None:
        answer = self.fake.store.answer(owner, action, body, self.fake.url)
        if isinstance(answer, tuple):
            self._answer(*answer)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.fake.broken_answers:
            self.fake.broken_answers -= 1
            answer, self.close_connection = answer[: len(answer) // 2], True
        self.wfile.write(answer)

    def _command(self, body: Any) -> None:
        if body["method"] != "user_message" and not self.fake.agent_answers:
            self._answer(400, {"error": "No active sandbox for this run."})
            return
        self._answer(200, {"jsonrpc": "2.0", "id": body["id"], "result": {"done": True}})

    def _answer(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, run: FakeRun, *, latest: bool) -> None:
        cursor = self.headers.get("Last-Event-ID")
        cut = run.cuts[len(run.cursors)] if len(run.cursors) < len(run.cuts) and not latest else None
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(": hello\n\n")
        if latest:
            head = max((number for number, _ in run.events if number is not None), default=0)
            self._chunk(f'event: keepalive\nid: {head}\ndata: {{"type":"keepalive"}}\n\n')
            self.close_connection = True
            return
        run.cursors.append(cursor)
        self._events(run, int(cursor or 0), cut, run.clean_ends.pop(0) if run.clean_ends else None)

    def _events(self, run: FakeRun, after: int, cut: int | None, clean_end: int | None) -> None:
        position = next((index for index, (number, _) in enumerate(run.events) if number is not None and number > after), None)
        position = len(run.events) if position is None else position
        sent = 0
        while True:
            with self.fake.changed:
                self.fake.changed.wait_for(lambda seen=position: seen < len(run.events) or run.terminal, 30)  # type: ignore[misc]
                batch = run.events[position:]
                position += len(batch)
                done = run.terminal and not batch
            for number, text in batch:
                frame = (f"id: {number}\n" if number is not None else "") + f"data: {text}\n\n"
                if cut is not None and sent == cut:
                    self._chunk(frame[: len(frame) // 2])
                    self.close_connection = True
                    return
                self._chunk(frame)
                sent += 1
                if sent == clean_end:
                    self._chunk("")
                    return
            if done:
                self._chunk("")
                return

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass  # a client that went away


@contextmanager
def fake_server() -> Iterator[FakeServer]:
    """A running fake."""
    fake = FakeServer()
    handler = type("Handler", (_Handler,), {"fake": fake})
    server = _Server(("127.0.0.1", 0), handler)
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def unused_id() -> str:
    return str(uuid4())
