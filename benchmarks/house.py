"""A hedgerow of its own for a benchmark: the real command, an empty data directory, a free port."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.leftovers import end_processes_of

from hedgerow.db.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class House:
    """A running hedgerow, and how to speak to it."""

    pid: int
    data_dir: Path
    url: str
    api_key: str
    project_id: int

    @property
    def tasks(self) -> str:
        """The path of the project's tasks."""
        return f"/api/projects/{self.project_id}/tasks/"

    def client(self) -> httpx.Client:
        """A client with the key of the first user."""
        return httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=60)

    def make_task(self, **fields: Any) -> str:
        """The id of a new task."""
        with self.client() as http:
            return str(http.post(self.tasks, json={"title": "Benchmark", **fields}).raise_for_status().json()["id"])

    def make_run(self, task_id: str) -> str:
        """The id of a new run that nobody drives."""
        with self.client() as http:
            return str(http.post(f"{self.tasks}{task_id}/runs/", json={"environment": "local"}).raise_for_status().json()["id"])


@contextmanager
def running_house(**settings: str) -> Iterator[House]:
    """`hedgerow up` until the end of the block."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o755)
        data_dir = Path(folder) / "data"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_")}
        environment = {**inherited, "HEDGEROW_DATA_DIR": str(data_dir), "HEDGEROW_LOG_LEVEL": "error", **settings}
        command = [str(Path(sys.executable).parent / "hedgerow"), "up", "--port", "0", "--no-first-task"]
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        try:
            _await_ready(process)
            _await_runtime_tree(data_dir)
            credentials = json.loads((data_dir / "credentials.json").read_text())
            yield House(process.pid, data_dir, credentials["url"], credentials["api_key"], credentials["project_id"])
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)


class Served:
    """A hedgerow of an API process and a worker, each of which can be killed and started again."""

    def __init__(self, data_dir: Path, settings: dict[str, str]) -> None:
        self._data_dir = data_dir
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_")}
        self._environment = {**inherited, "HEDGEROW_DATA_DIR": str(data_dir), "HEDGEROW_LOG_LEVEL": "error", **settings}
        self._api = self._start("api", "--port", "0")
        credentials = json.loads((data_dir / "credentials.json").read_text())
        self.house = House(self._api.pid, data_dir, credentials["url"], credentials["api_key"], credentials["project_id"])
        self._environment |= {"HEDGEROW_CONTROL_PLANE_URL": self.house.url, "HEDGEROW_PORT": self.house.url.rpartition(":")[2]}
        self.start_worker()
        _await_runtime_tree(data_dir)

    @property
    def worker_pid(self) -> int:
        """The worker's process."""
        return self._worker.pid

    def database_url(self) -> str:
        """Where the embedded PostgreSQL is reached now. Takes part in it for a moment."""
        postgres = EmbeddedPostgres(self._data_dir)
        try:
            return postgres.start_or_join()
        finally:
            postgres.leave()

    def start_worker(self) -> None:
        """Start the worker, and wait until it is ready."""
        self._worker = self._start("worker")

    def kill_worker(self) -> None:
        """End the worker as a crash would."""
        _kill(self._worker)

    def kill_everything(self) -> None:
        """End API, worker and PostgreSQL as a crash of all would. Sandboxes live on."""
        (pid_file,) = self._data_dir.glob("postgres/**/postmaster.pid")
        server = int(pid_file.read_text().split()[0])
        for process in (self._api, self._worker):
            _kill(process)
        os.kill(server, signal.SIGKILL)

    def start_again(self) -> None:
        """Start API and worker, and wait until both are ready."""
        self._api = self._start("api")
        self.start_worker()

    def stop(self) -> None:
        """End both as an operator would."""
        for process in (self._worker, self._api):
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [str(Path(sys.executable).parent / "hedgerow"), *arguments]
        process = subprocess.Popen(command, env=self._environment, stdout=subprocess.PIPE, text=True)
        _await_ready(process, "ready")
        return process


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


@contextmanager
def running_api(**settings: str) -> Iterator[Served]:
    """`hedgerow api` and `hedgerow worker` until the end of the block, when what still runs in sandboxes ends too."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        Path(folder).chmod(0o755)
        served = Served(Path(folder) / "data", settings)
        try:
            yield served
        finally:
            served.stop()
            end_processes_of(Path(folder))


def _await_runtime_tree(data_dir: Path) -> None:
    """Let the runtime tree be finished, which is laid out beside the first seconds of work and would be measured with it."""
    while not [tree for tree in (data_dir / "runtime").glob("*/python") if not tree.parent.name.startswith(".")]:
        time.sleep(0.1)


def _await_ready(process: subprocess.Popen[str], words: str = "ready at") -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return
    raise RuntimeError(f"hedgerow ended with {process.wait()} before it was ready")
