"""POST run/ to the agent's first entry of the journal, minus the bare start of the same agent to its first message."""

import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.house import House
from benchmarks.report import Figure

ROUNDS = 7
GOALS_MILLISECONDS = {"process": 500, "bubblewrap": 600}
_SCRIPT = json.dumps({"steps": [{"say": "Hello."}]})


def make_repository(folder: Path) -> Path:
    """A small repository with one commit."""
    folder.mkdir()
    (folder / "README.md").write_text("# A small repository\n")
    identity = ["-c", "user.name=Benchmark", "-c", "user.email=benchmark@localhost"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "Begin"]):
        subprocess.run(["git", "-C", str(folder), *command], check=True)
    return folder


def _our_milliseconds(house: House, task_id: str) -> float:
    with house.client() as http:
        began = time.monotonic()
        run = http.post(f"{house.tasks}{task_id}/run/", json={}).raise_for_status().json()["latest_run"]
        with http.stream("GET", f"{house.tasks}{task_id}/runs/{run['id']}/stream/", headers={"Accept": "text/event-stream"}) as answer:
            elapsed = None
            for line in answer.iter_lines():
                if elapsed is None and line.startswith("data:") and _is_agents(json.loads(line[5:])):
                    elapsed = (time.monotonic() - began) * 1000
            assert elapsed is not None
            return elapsed


def _is_agents(event: dict[str, object]) -> bool:
    """Whether an event is the agent's own: an answer to a request, or an update of its session."""
    notification = event.get("notification")
    return isinstance(notification, dict) and ("result" in notification or notification.get("method") == "session/update")


def bare_milliseconds(house: House) -> float:
    """From the spawn of the same agent, with the same Python, to its answer to `initialize`."""
    python = next((house.data_dir / "runtime").glob("*/python/bin/python3"))
    request = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {"protocolVersion": 1, "clientCapabilities": {}}}
    began = time.monotonic()
    agent = subprocess.Popen([str(python), "-I", "-B", "-m", "hedgerow.scripted_agent"], stdin=-1, stdout=-1, stderr=sys.stderr)
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(json.dumps(request).encode() + b"\n")
    agent.stdin.flush()
    agent.stdout.readline()
    elapsed = (time.monotonic() - began) * 1000
    agent.communicate()
    return elapsed


def measure(house: House, sandbox: str, repository_name: str) -> list[Figure]:
    """Medians of interleaved rounds; the first round, which makes the mirror, is not counted."""
    task_id = house.make_task(description=_SCRIPT, repository=repository_name)
    _our_milliseconds(house, task_id)
    ours, bare = [], []
    for _ in range(ROUNDS):
        bare.append(bare_milliseconds(house))
        ours.append(_our_milliseconds(house, task_id))
    ours_median, bare_median = median(ours), median(bare)
    over, goal = ours_median - bare_median, GOALS_MILLISECONDS[sandbox]
    name, value = f"run/ to the agent's first entry, {sandbox}", f"{over:.0f} ms over the agent's own start"
    return [
        Figure(name, value, f"the bare agent {bare_median:.0f} ms", f"{ours_median / bare_median:.1f}", f"at most {goal} ms", over <= goal)
    ]
