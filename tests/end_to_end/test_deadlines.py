"""Runs that wait in line, take too long, fall silent or hang: each ends in time, and says why."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run
from tests.leftovers import processes_of

ENDLESS: list[dict[str, Any]] = [{"write": {"path": "before.txt", "content": "before\n"}}, {"say": "I go on."}, {"sleep": 600}]


def stop_reasons(run: Run) -> list[str]:
    """How the run's turns ended."""
    told = (entry.get("notification", {}) for entry in run.logs())
    return [each["params"].get("stopReason", "") for each in told if each.get("method") == "_posthog/turn_complete"]


def test_a_run_whose_time_is_over_lets_its_agent_stop_and_keeps_what_it_did(house: House, repository: Path) -> None:
    began = time.monotonic()
    run = house.run(ENDLESS, repository=house.register(repository), wall_clock_minutes=0.25)
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "wall_clock")
    assert ended["error_message"] == "The run took longer than 0.25 minutes, the most it may."
    assert stop_reasons(run) == ["cancelled"]
    assert git(repository, "show", f"{ended['branch']}:before.txt") == "before"
    assert time.monotonic() - began < 60


def test_a_deadline_that_is_set_while_the_agent_works_holds_as_well(house: House) -> None:
    run = house.run(ENDLESS)
    run.await_event("_posthog/run_started")
    run.patch(state={"turn_silence_minutes": 0.03})
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "agent_lost")
    assert ended["error_message"] == "Nothing was heard from the agent for 0.03 minutes in the middle of its turn."
    assert stop_reasons(run) == ["cancelled"]


def test_an_agent_server_that_hangs_in_a_living_sandbox_is_given_up(make_house: Callable[..., House]) -> None:
    house = make_house(HEDGEROW_AGENT_PROBE_SECONDS="0.5", HEDGEROW_AGENT_SERVER_SILENCE_SECONDS="2", HEDGEROW_SANDBOX="process")
    house.up()
    run = house.run(ENDLESS)
    run.await_event("_posthog/run_started")
    run.await_event("session/update")
    for process in processes_of(house.data_dir / "runs" / run.id):
        os.kill(process, signal.SIGSTOP)
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "agent_lost")
    assert ended["error_message"] == "The agent server did not answer for 2 seconds, though its sandbox lives."
    assert house.leaves_nothing()


def test_a_run_waits_in_line_until_the_one_before_it_has_ended(make_house: Callable[..., House]) -> None:
    house = make_house(HEDGEROW_MAX_RUNS_PER_PROJECT="1")
    house.up()
    first = house.run(ENDLESS)
    first.await_event("_posthog/run_started")
    second = house.run([{"say": "At last."}])
    while second.get()["state"].get("queue_position") != 1:
        time.sleep(0.05)
    assert "waiting, 1st in line" in house.command("task", "list", COLUMNS="160").stdout
    house.processes[0].kill()
    house.up()
    assert second.get()["state"]["queue_position"] == 1
    first.patch(status="cancelled")
    ended = second.ended()
    assert (ended["status"], ended["state"].get("queue_position")) == ("completed", None)
    places = [event.get("queue_position") for _, event in second.events() if event.get("type") == "task_run_state"]
    assert places[:2] == [None, 1]
    assert set(places[2:]) == {None}


@contextmanager
def silent_host() -> Iterator[tuple[str, threading.Event]]:
    """A git host that takes connections and never says a word; its address, and whether somebody has come."""
    came = threading.Event()
    taken = []

    def take() -> None:
        with suppress(OSError):
            while True:
                taken.append(listening.accept()[0])
                came.set()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=take)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/org/slow", came
        listening.shutdown(socket.SHUT_RDWR)
        thread.join()
    for connection in taken:
        connection.close()


def test_a_cancel_while_a_clone_hangs_is_seen_within_a_second_and_leaves_nothing(house: House) -> None:
    with silent_host() as (address, came), house.client() as http:
        name = http.post("repositories/", json={"clone_url": address, "name": "org/slow"}).raise_for_status().json()["name"]
        run = house.run(ENDLESS, repository=name)
        assert came.wait(30)
        assert run.command("user_message", content="While you prepare").status_code == 200
        waiting = http.get(f"{run.path}messages/").raise_for_status().json()["results"]
        assert [message["status"] for message in waiting] == ["queued", "queued"]
        began = time.monotonic()
        assert run.patch(status="cancelled")["status"] == "cancelled"
        assert run.get()["status"] == "cancelled"
        assert time.monotonic() - began < 1
        assert house.leaves_nothing()
        left = http.get(f"{run.path}messages/").raise_for_status().json()["results"]
        assert [message["status"] for message in left] == ["failed", "failed"]
        refused = run.command("user_message", content="After the end")
        assert (refused.status_code, "No active sandbox" in refused.json()["error"]) == (400, True)
        assert http.get(f"{run.path}messages/").json()["count"] == 2
