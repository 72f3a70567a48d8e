"""The calls that the command line makes."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Self
from uuid import uuid4

import httpx
import orjson

from hedgerow.client.answers import Repository, Run, Task, repository_from, run_from, task_from
from hedgerow.client.credentials import Credentials
from hedgerow.client.errors import ClientError, UnreachableError, refusal
from hedgerow.client.following import Ended, Received, Update, follow, read_head

_TIMEOUT = httpx.Timeout(60, connect=10)
_COMMAND_TIMEOUT_SECONDS = 630.0  # a forwarded command may take ten minutes
_PAGE = 1000


class Client:
    """hedgerow at one address, in one project. Calls raise ClientError; one client may be used from several threads."""

    def __init__(self, credentials: Credentials, *, pause: Callable[[float], None] = time.sleep) -> None:
        """`pause` waits between two tries."""
        self.credentials = credentials
        self._pause = pause
        self._base = f"/api/projects/{credentials.project}"
        headers = {"Authorization": f"Bearer {credentials.api_key}", "User-Agent": "hedgerow-cli"}
        self._http = httpx.Client(base_url=credentials.url, headers=headers, timeout=_TIMEOUT, trust_env=not _is_loopback(credentials.url))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def create_task(self, *, description: str, title: str | None = None, repository: str | None = None) -> Task:
        """A new task; the server makes a title where none is given."""
        body = {"description": description, "title": title, "repository": repository, "origin_product": "user_created"}
        given = {name: value for name, value in body.items() if value is not None}
        return task_from(self._json("POST", "/tasks/", body=given))

    def retrieve_task(self, task_id: str) -> Task:
        """The task with that id."""
        return task_from(self._json("GET", f"/tasks/{task_id}/"))

    def list_tasks(self, *, limit: int = _PAGE, offset: int = 0, search: str | None = None) -> list[Task]:
        """Tasks with their latest runs, newest first: one page."""
        query: dict[str, str | int] = {"limit": limit, "offset": offset} | ({"search": search} if search else {})
        return [task_from(item) for item in self._json("GET", "/tasks/", query=query)["results"]]

    def delete_task(self, task_id: str) -> None:
        """Delete a task; its runs can no longer be reached."""
        self._send("DELETE", f"/tasks/{task_id}/")

    def run_task(self, task_id: str, draft: Mapping[str, Any]) -> Task:
        """Start a run (fields of contract 3.6); the answered task has it as its latest run."""
        return task_from(self._json("POST", f"/tasks/{task_id}/run/", body=draft))

    def list_runs(self, task_id: str) -> list[Run]:
        """The runs of a task, newest first."""
        return [run_from(item) for item in self._json("GET", f"/tasks/{task_id}/runs/", query={"limit": _PAGE})["results"]]

    def retrieve_run(self, task_id: str, run_id: str) -> Run:
        """The run as it stands now."""
        return run_from(self._json("GET", _run(task_id, run_id)))

    def update_run(self, task_id: str, run_id: str, patch: Mapping[str, Any]) -> Run:
        """Change fields of a run (contract 5.2)."""
        return run_from(self._json("PATCH", _run(task_id, run_id), body=patch))

    def send_command(self, task_id: str, run_id: str, method: str, params: Mapping[str, Any] | None = None) -> Any:
        """Ask the agent of a run for something (contract 9.1) and wait for its answer: the result of the JSON-RPC call."""
        body = {"jsonrpc": "2.0", "method": method, "params": params or {}, "id": uuid4().hex}
        answer = self._json("POST", f"{_run(task_id, run_id)}command/", body=body, timeout_seconds=_COMMAND_TIMEOUT_SECONDS)
        error = answer.get("error") if isinstance(answer, dict) else None
        if error is not None:
            message = error.get("message") if isinstance(error, dict) else error
            raise ClientError(str(message), status=200, code="agent_refused")
        return answer.get("result") if isinstance(answer, dict) else None

    def register_repository(self, *, clone_url: str, name: str | None = None) -> Repository:
        """Make a repository known to the project; the answer says under which name tasks call it."""
        return repository_from(self._json("POST", "/repositories/", body={"clone_url": clone_url} | ({"name": name} if name else {})))

    def list_repositories(self) -> list[Repository]:
        """The project's registered repositories."""
        return [repository_from(item) for item in self._json("GET", "/repositories/", query={"limit": _PAGE})["results"]]

    def read_logs(self, task_id: str, run_id: str) -> Iterator[str]:
        """The log of a run and of those it resumes, oldest first: one JSON text per entry, as it was stored."""
        try:
            with self._http.stream("GET", f"{self._base}{_run(task_id, run_id)}logs/") as response:
                if not response.is_success:
                    response.read()
                    raise refusal(response)
                yield from (line for line in _lines(response) if line.strip())
        except httpx.TransportError as error:
            raise UnreachableError(self.credentials.url, error) from error

    def session_logs(self, task_id: str, run_id: str, *, page: int = 5000) -> Iterator[dict[str, Any]]:
        """Every log entry of one run, page by page."""
        offset = 0
        while True:
            response = self._send("GET", f"{_run(task_id, run_id)}session_logs/", query={"limit": page, "offset": offset})
            entries = orjson.loads(response.content)
            yield from entries
            offset += len(entries)
            if response.headers.get("X-Has-More") != "true" or not entries:
                return

    def follow(self, task_id: str, run_id: str, *, cursor: str | None = None, patience_seconds: float = 300) -> Iterator[Update]:
        """Everything that happens in a run, from its beginning or strictly after `cursor`, until it has ended.

        Cuts are survived: each durable event comes once, in order. Raises UnreachableError once nothing has come for
        `patience_seconds`, and ClientError where the server refuses for good.
        """
        return follow(
            open_stream=lambda headers: self._open_stream(task_id, run_id, headers),
            retrieve_run=lambda: self.retrieve_run(task_id, run_id),
            url=self.credentials.url,
            pause=self._pause,
            cursor=cursor,
            patience_seconds=patience_seconds,
        )

    def read_stream_so_far(self, task_id: str, run_id: str) -> Iterator[dict[str, Any]]:
        """Every event of a run up to the present, questions of the agent included, which no log holds."""
        head = read_head(self._open_stream(task_id, run_id, {}, start="latest"))
        if head == 0:
            return
        for update in self.follow(task_id, run_id):
            if isinstance(update, Received):
                yield update.data
            if isinstance(update, Ended) or (isinstance(update, Received) and int(update.cursor or 0) >= head):
                return

    def _open_stream(
        self, task_id: str, run_id: str, headers: Mapping[str, str], *, start: str | None = None
    ) -> AbstractContextManager[httpx.Response]:
        path = f"{self._base}{_run(task_id, run_id)}stream/"
        query = {"start": start} if start else None
        return self._http.stream("GET", path, headers=dict(headers), params=query, timeout=httpx.Timeout(65, connect=10))

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        timeout_seconds: float | None = None,
    ) -> Any:
        response = self._send(method, path, body=body, query=query, timeout_seconds=timeout_seconds)
        try:
            return orjson.loads(response.content)
        except orjson.JSONDecodeError as error:
            raise ClientError(f"What answers at {self.credentials.url} is not hedgerow.", status=response.status_code) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        query: Mapping[str, str | int] | None = None,
        timeout_seconds: float | None = None,
    ) -> httpx.Response:
        """One call, made a second time where the connection broke under it: its Idempotency-Key makes that safe."""
        headers = {"Idempotency-Key": uuid4().hex} if method == "POST" else {}
        timeout = _TIMEOUT if timeout_seconds is None else httpx.Timeout(timeout_seconds, connect=10)
        request = self._http.build_request(method, f"{self._base}{path}", json=body, params=query, headers=headers, timeout=timeout)
        try:
            try:
                response = self._http.send(request)
            except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                response = self._http.send(request)
        except httpx.TimeoutException as error:
            if isinstance(error, httpx.ConnectTimeout):
                raise UnreachableError(self.credentials.url, error) from error
            raise ClientError(f"hedgerow at {self.credentials.url} did not answer in time.", code="timed_out") from error
        except httpx.TransportError as error:
            raise UnreachableError(self.credentials.url, error) from error
        if not response.is_success:
            raise refusal(response)
        return response


def _run(task_id: str, run_id: str) -> str:
    return f"/tasks/{task_id}/runs/{run_id}/"


def _is_loopback(url: str) -> bool:
    return httpx.URL(url).host in {"127.0.0.1", "localhost", "::1"}


def _lines(response: httpx.Response) -> Iterator[str]:
    """Lines that end with a line feed and nothing else: an entry may hold other characters that Unicode calls line ends."""
    rest = ""
    for text in response.iter_text():
        *whole, rest = (rest + text).split("\n")
        yield from whole
    yield rest
