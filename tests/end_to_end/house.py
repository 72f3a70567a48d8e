"""A hedgerow of a test's own: the real commands in processes of their own, which a test may kill."""

import json
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx

_HEDGEROW = str(Path(sys.executable).parent / "hedgerow")
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # nothing here is called over TLS, and reading certificates for each client takes long


class Process:
    """One hedgerow command that serves."""

    def __init__(self, arguments: list[str], environment: dict[str, str]) -> None:
        self.arguments = arguments
        self._lines: Queue[str | None] = Queue()
        self.popen = subprocess.Popen(
            [_HEDGEROW, *arguments], env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
        )
        self.said: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.popen.stdout is not None
        with self.popen.stdout as lines:
            for line in lines:
                self.said.append(line)
                self._lines.put(line)
        self._lines.put(None)

    def await_line(self, words: str, timeout_seconds: float = 60) -> str:
        """The first line that contains `words`; fails with all that was said where it ends before, or does not say them in time."""
        try:
            while (line := self._lines.get(timeout=timeout_seconds)) is not None:
                if words in line:
                    return line
        except Empty:
            raise AssertionError(f"for {timeout_seconds:g} seconds it did not say {words!r}:\n{''.join(self.said)}") from None
        raise AssertionError(f"it ended with {self.popen.wait()} before it said {words!r}:\n{''.join(self.said)}")

    def kill(self) -> None:
        """End it as a crash would."""
        self.popen.kill()
        self.popen.wait()
        self._reader.join(timeout=10)

    def stop(self) -> int:
        """End it as an operator would; its exit code. One that does not end within 30 seconds is killed, and that fails."""
        if self.popen.poll() is None:
            self.popen.send_signal(signal.SIGTERM)
        try:
            code = self.popen.wait(timeout=30)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"for 30 seconds it did not end:\n{''.join(self.said)}") from None
        self._reader.join(timeout=10)
        return code


@dataclass
class House:
    """A data directory with the processes on it, and a client of its API."""

    data_dir: Path
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)

    def start(self, *arguments: str, until: str = "ready") -> Process:
        """Start a command and wait until it says that it is ready."""
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith(("HEDGEROW_", "ANTHROPIC_", "OPENAI_", "CLAUDE_"))
        }
        environment = {**inherited, "HEDGEROW_DATA_DIR": str(self.data_dir), "HEDGEROW_LOG_LEVEL": "warning", **self.settings}
        process = Process(list(arguments), environment)
        self.processes.append(process)
        try:
            process.await_line(until)
        except AssertionError:
            process.kill()
            raise
        return process

    def up(self) -> Process:
        """Start everything in one process."""
        return self.start("up", "--port", "0", "--no-first-task")

    def command(self, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a user command to its end."""
        environment = {**os.environ, "HEDGEROW_DATA_DIR": str(self.data_dir), "NO_COLOR": "1", **settings}
        return subprocess.run([_HEDGEROW, *arguments], env=environment, capture_output=True, text=True, timeout=90)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client with the first user's key, at the project's tasks."""
        credentials = json.loads((self.data_dir / "credentials.json").read_text())
        base = f"{credentials['url']}/api/projects/{credentials['project_id']}/"
        with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {credentials['api_key']}"}, timeout=60, verify=_NO_TLS) as http:
            yield http

    def register(self, repository: Path) -> str:
        """The name under which a local repository is known from now on."""
        with self.client() as http:
            return str(http.post("repositories/", json={"clone_url": str(repository)}).raise_for_status().json()["name"])

    def run(self, script: list[dict[str, Any]] | str, *, repository: str | None = None, **wishes: Any) -> "Run":
        """Have the scripted agent play a script."""
        description = script if isinstance(script, str) else json.dumps({"steps": script})
        with self.client() as http:
            draft = {"title": "A scripted task", "description": description, "repository": repository}
            task = http.post("tasks/", json=draft).raise_for_status().json()
            wishes = {"runtime_adapter": "scripted", "model": "default", **wishes}
            answer = http.post(f"tasks/{task['id']}/run/", json=wishes).raise_for_status().json()
        return Run(self, task["id"], answer["latest_run"]["id"], task["slug"])

    def leaves_nothing(self) -> bool:
        """Whether no run's files are left. A stream ends before they are removed, so this waits for a while."""
        deadline = time.monotonic() + 20
        while any((self.data_dir / "runs").glob("*")) and time.monotonic() < deadline:
            time.sleep(0.02)
        return not any((self.data_dir / "runs").glob("*"))

    def kill(self) -> None:
        """End every process as a crash would: whoever waits for one of them is let go."""
        for process in self.processes:
            process.kill()

    def stop(self) -> None:
        """End every process that is still there."""
        for process in self.processes:
            process.stop()


@dataclass(frozen=True)
class Run:
    """A run of a house, as its client sees it."""

    house: House
    task_id: str
    id: str
    task_slug: str

    @property
    def path(self) -> str:
        """Its URL below the project."""
        return f"tasks/{self.task_id}/runs/{self.id}/"

    def get(self) -> dict[str, Any]:
        """The run as it stands."""
        with self.house.client() as http:
            answer: dict[str, Any] = http.get(self.path).raise_for_status().json()
            return answer

    def patch(self, **fields: Any) -> dict[str, Any]:
        """The run after a change."""
        with self.house.client() as http:
            answer: dict[str, Any] = http.patch(self.path, json=fields).raise_for_status().json()
            return answer

    def command(self, method: str, **params: Any) -> httpx.Response:
        """What a command to its agent answers."""
        with self.house.client() as http:
            return http.post(f"{self.path}command/", json={"jsonrpc": "2.0", "id": 1, "method": method, "params": params})

    def logs(self) -> list[dict[str, Any]]:
        """Its log entries."""
        with self.house.client() as http:
            return [json.loads(line) for line in http.get(f"{self.path}logs/").raise_for_status().text.splitlines()]

    def messages(self) -> list[dict[str, Any]]:
        """Its inbox."""
        with self.house.client() as http:
            found: list[dict[str, Any]] = http.get(f"{self.path}messages/").raise_for_status().json()["results"]
            return found

    def events(self, after: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
        """The numbered events of its stream, from `after` to the end of the stream."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": str(after)} if after else {})
        number = 0
        with self.house.client() as http, http.stream("GET", f"{self.path}stream/", headers=headers) as answer:
            answer.raise_for_status()
            for line in answer.iter_lines():
                if line.startswith("id:"):
                    number = int(line[3:])
                elif line.startswith("data:") and number:
                    yield number, json.loads(line[5:])
                    number = 0

    def await_event(self, method: str) -> dict[str, Any]:
        """The first notification of that method."""
        for _, event in self.events():
            if event.get("notification", {}).get("method") == method:
                return event
        raise AssertionError(f"the stream ended without {method}: {self.get()}")

    def ended(self) -> dict[str, Any]:
        """The run once its stream has ended."""
        for _ in self.events():
            pass
        run = self.get()
        assert run["status"] in {"completed", "failed", "cancelled"}, run
        return run


def methods(entries: list[dict[str, Any]]) -> list[str]:
    """The methods of log entries, in order."""
    return [entry.get("notification", {}).get("method", "") for entry in entries]


def progress(entries: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The steps of log entries, each with its status."""
    found = (entry["notification"]["params"] for entry in entries if entry.get("notification", {}).get("method") == "_posthog/progress")
    return [(params["step"], params["status"]) for params in found]
