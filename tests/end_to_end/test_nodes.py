"""Two machines on one PostgreSQL: one of them is lost, or only seems to be."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest

from hedgerow.checker import Guarantee, Recorder, Verdict
from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run, methods
from tests.end_to_end.witness import Witness
from tests.leftovers import end_processes_of, processes_of

pytestmark = pytest.mark.chaos

LEASE_SECONDS = 2.0
TAKEN_OVER = "This run was taken over from a machine that is lost."


@dataclass
class Machines:
    """Two houses on one database, each with an API and a worker, and the repository that their runs work in."""

    first: House
    second: House
    database_url: str

    def row(self, run: Run) -> dict[str, Any]:
        """What the database knows of a run's execution."""
        with psycopg.connect(self.database_url) as connection:
            cursor = connection.execute("SELECT node_id::text, epoch, status, cleaned_at, checkpoint FROM runs WHERE id = %s", [run.id])
            found = cursor.fetchone()
            assert found is not None
            assert cursor.description is not None
            return {column.name: value for column, value in zip(cursor.description, found, strict=True)}

    def owner(self, run: Run) -> House:
        """The house that holds a run."""
        return self.first if self.row(run)["node_id"] == (self.first.data_dir / "node_id").read_text().strip() else self.second

    def other(self, house: House) -> House:
        """The other one."""
        return self.second if house is self.first else self.first

    def seen_from(self, house: House, run: Run) -> Run:
        """The same run, read through the API of one house."""
        return Run(house, run.task_id, run.id, run.task_slug)


def kill(house: House) -> None:
    """The machine is gone, with every process on it."""
    for process in house.processes:
        os.killpg(process.popen.pid, signal.SIGKILL)
    end_processes_of(house.data_dir)
    for process in house.processes:
        process.popen.wait()


@contextmanager
def stopped(house: House, *, sandboxes: bool) -> Iterator[None]:
    """The machine stands still; only its hedgerow, or its sandboxes as well."""
    pids = [process.popen.pid for process in house.processes] if not sandboxes else processes_of(house.data_dir)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def until(holds: Callable[[], Any], seconds: float = 30.0) -> float:
    """Wait until something holds; how long it took."""
    began = time.monotonic()
    while not holds():
        assert time.monotonic() - began < seconds, "it never came to be"
        time.sleep(0.02)
    return time.monotonic() - began


@pytest.fixture
def machines(database_url: str, make_house: Callable[..., House], tmp_path: Path) -> Iterator[Machines]:
    objects = tmp_path / "objects"
    shared = {
        "HEDGEROW_DATABASE_URL": database_url,
        "HEDGEROW_STORAGE_URL": objects.as_uri(),
        "HEDGEROW_SECRET_KEY": "a secret of the tests, long enough for HMAC",
        "HEDGEROW_ALLOW_LOCAL_REPOSITORIES": "1",
        "HEDGEROW_NODE_LEASE_SECONDS": f"{LEASE_SECONDS:g}",
        "HEDGEROW_SANDBOX": "process",
    }
    houses = make_house(**shared), make_house(**shared)
    for house in houses:
        api = house.start("api", "--port", "0")
        house.settings["HEDGEROW_CONTROL_PLANE_URL"] = api.said[-1].split()[-1]
        house.start("worker")
    first, second = houses
    credentials = json.loads((first.data_dir / "credentials.json").read_text())
    here = credentials | {"url": second.settings["HEDGEROW_CONTROL_PLANE_URL"]}
    (second.data_dir / "credentials.json").write_text(json.dumps(here))
    yield Machines(first, second, database_url)
    for house in houses:
        house.stop()  # while the database is still there


@contextmanager
def hanging_repository() -> Iterator[str]:
    """A git server that takes connections and says nothing."""
    with closing(socket.create_server(("127.0.0.1", 0), backlog=16)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/org/project.git"


def test_two_owners_race_for_a_run_and_the_other_one_has_it_in_under_five_seconds_once_the_first_is_killed(machines: Machines) -> None:
    with hanging_repository() as url:
        with machines.first.client() as http:
            http.post("repositories/", json={"name": "org/project", "clone_url": url}).raise_for_status()
        run = machines.first.run([{"say": "Hello."}], repository="org/project")
        until(lambda: machines.row(run)["node_id"] is not None)
        before, owner = machines.row(run), machines.owner(run)
        heir = machines.other(owner)
        worker = owner.processes[1].popen
        os.killpg(worker.pid, signal.SIGKILL)
        assert until(lambda: machines.row(run)["node_id"] not in {None, before["node_id"]}) < 5.0
        assert machines.owner(run) is heir
        assert machines.row(run)["epoch"] == before["epoch"] + 2
        machines.seen_from(heir, run).patch(status="cancelled")
        until(lambda: machines.row(run)["cleaned_at"] is not None)


def test_a_run_without_a_checkpoint_ends_truthfully_once_its_machine_is_lost(machines: Machines) -> None:
    run = machines.first.run([{"say": "Hello."}, {"sleep": 300}])
    run.await_event("_posthog/run_started")
    until(lambda: "session/prompt" in methods(run.logs()))
    owner = machines.owner(run)
    kill(owner)
    run = machines.seen_from(machines.other(owner), run)
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "sandbox_lost")
    assert "no checkpoint" in ended["error_message"]
    assert any(TAKEN_OVER in json.dumps(entry) for entry in run.logs())


def test_a_run_goes_on_from_its_last_checkpoint_once_its_machine_is_lost(machines: Machines, repository: Path, tmp_path: Path) -> None:
    first = [{"write": {"path": "before.txt", "content": "before\n"}}]
    run = machines.first.run(first, repository=machines.first.register(repository), mode="interactive")
    recorder = Recorder(tmp_path / "history.jsonl")
    witness = Witness(run, recorder)
    witness.start(json.dumps({"steps": first}))
    until(lambda: machines.row(run)["checkpoint"] is not None)
    script = json.dumps({"steps": [{"sleep": 3}, {"write": {"path": "after.txt", "content": "after\n"}}]})
    assert witness.say("person", f"```json\n{script}\n```")  # so that it is found where the message is quoted in another one
    until(lambda: methods(run.logs()).count("session/prompt") == 2)
    owner = machines.owner(run)
    kill(owner)
    run = machines.seen_from(machines.other(owner), run)
    until(lambda: methods(run.logs()).count("_posthog/turn_complete") == 2)
    inbox = run.messages()
    assert [message["status"] for message in inbox] == ["acknowledged", "failed", "acknowledged"]
    assert "machine" in inbox[1]["error"]
    assert inbox[2]["content"].endswith(inbox[1]["content"])
    told = methods(run.logs())
    assert told.count("_posthog/run_started") == 2, "each machine started one agent"
    run.patch(status="completed")
    until(lambda: machines.row(run)["cleaned_at"] is not None)
    branch = run.get()["output"]["head_branch"]
    assert git(repository, "show", f"{branch}:before.txt") == "before"
    assert git(repository, "show", f"{branch}:after.txt") == "after"
    assert git(repository, "branch", "--format=%(refname:short)").split() == sorted([branch, "main"])
    witness = Witness(run, recorder)
    witness.asked_again(inbox[2]["content"])
    report = witness.conclude()
    assert report.held, "\n".join(report.lines())
    assert report.verdict(Guarantee.DELIVERED_ONCE) is Verdict.HELD


def agents_of(house: House, run: Run) -> list[int]:
    """The processes of a run's sandbox on a house."""
    folder = str(house.data_dir / "runs" / run.id)
    return [
        pid for pid in processes_of(house.data_dir) if f"HEDGEROW_SPOOL={folder}" in environment_of(pid) or folder in environment_of(pid)
    ]


def environment_of(pid: int) -> str:
    """What a process was started with."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/environ").read_text()
    return ""


@pytest.mark.parametrize("sandboxes", [False, True], ids=["its sandboxes go on", "everything stands still"])
def test_a_machine_that_only_seemed_to_be_lost_does_nothing_twice(machines: Machines, tmp_path: Path, sandboxes: bool) -> None:
    script: list[dict[str, Any]] = [{"say": "One."}, {"sleep": 8}, {"say": "Two."}]
    run = machines.first.run(script)
    run.await_event("_posthog/run_started")
    until(lambda: "session/prompt" in methods(run.logs()))
    owner = machines.owner(run)
    run = machines.seen_from(machines.other(owner), run)
    witness = Witness(run, Recorder(tmp_path / "history.jsonl"))
    witness.start(json.dumps({"steps": script}))
    with stopped(owner, sandboxes=sandboxes):
        if not sandboxes:
            until(lambda: not any("scripted_agent" in Path(f"/proc/{pid}/cmdline").read_text() for pid in agents_of(owner, run)), 4.0)
        assert run.ended()["state"]["end_reason"] == "sandbox_lost"
        before = len(run.logs())
    until(lambda: agents_of(owner, run) == [])
    assert owner.leaves_nothing()
    assert len(run.logs()) == before
    report = witness.conclude()
    assert report.held, "\n".join(report.lines())
    told = methods(run.logs())
    assert told.count("_posthog/run_started") == 1
    assert "_posthog/turn_complete" not in told
    assert not any('"agent_message' in entry and "Two." in entry for entry in map(json.dumps, run.logs()))
    later = machines.first.run([{"say": "Hello."}])
    assert later.ended()["status"] == "completed", "both machines are as good as before"
