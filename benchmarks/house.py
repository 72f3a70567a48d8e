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


def _await_runtime_tree(data_dir: Path) -> None:
    """Let the runtime tree be finished, which is laid out beside the first seconds of work and would be measured with it."""
    while not [tree for tree in (data_dir / "runtime").glob("*/python") if not tree.parent.name.startswith(".")]:
        time.sleep(0.1)


def _await_ready(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if "ready at" in line:
            return
    raise RuntimeError(f"hedgerow ended with {process.wait()} before it was ready")
