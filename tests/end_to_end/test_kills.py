"""kill -9 of whatever may die while a run is on its way."""

import json
import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from hedgerow.checker import Guarantee, Recorder, Verdict, check, read_history
from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run, methods
from tests.end_to_end.witness import Witness
from tests.leftovers import end_processes_of, processes_of

PATIENT: list[dict[str, Any]] = [
    {"write": {"path": "before.txt", "content": "before\n"}},
    {"sleep": 2},
    {"write": {"path": "after.txt", "content": "after\n"}},
]


def assert_told_once(run: Run) -> None:
    """The journal has no gap, the agent was started once, and its work is one commit."""
    numbers = [number for number, _ in run.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    told = methods(run.logs())
    assert told.count("_posthog/run_started") == told.count("_posthog/turn_complete") == 1


pytestmark = pytest.mark.chaos


@pytest.fixture
def house(make_house: Callable[..., House]) -> House:
    """A hedgerow of the test's own, that runs."""
    house = make_house()
    house.up()
    return house


def test_a_run_goes_on_where_everything_but_its_sandbox_was_killed(house: House, repository: Path) -> None:
    run = house.run(PATIENT, repository=house.register(repository))
    run.await_event("_posthog/run_started")
    house.processes[0].kill()
    house.up()
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("completed", "finished")
    assert git(repository, "log", "--format=%s", f"main..{ended['branch']}").count("\n") == 0
    assert git(repository, "show", f"{ended['branch']}:after.txt") == "after"
    assert_told_once(run)


def agents_of(house: House, module: bytes = b"scripted_agent") -> set[int]:
    """The processes of scripted agents in a house's sandboxes, or those of another module."""
    return {pid for pid in processes_of(house.data_dir / "runs") if module in Path(f"/proc/{pid}/cmdline").read_bytes()}


def await_turns(run: Run, wanted: int) -> None:
    """Read the run's stream until that many turns have ended."""
    found = 0
    for _, event in run.events():
        found += methods([event]) == ["_posthog/turn_complete"]
        if found == wanted:
            return
    raise AssertionError(f"the stream ended after {found} turns: {run.get()}")


@pytest.mark.parametrize(
    ("victim", "reason", "sentence"),
    [
        (b"scripted_agent", "agent_lost", "The agent ended unexpectedly with signal SIGKILL"),
        (b"agent_server", "sandbox_lost", "The sandbox ended unexpectedly: killed (signal 9), as the system does when memory runs out."),
    ],
)
def test_whatever_died_between_turns_is_told_of_truthfully_though_the_next_message_finds_it_first(
    house: House, victim: bytes, reason: str, sentence: str
) -> None:
    run = house.run([{"say": "Hello."}], mode="interactive")
    await_turns(run, 1)
    for pid in agents_of(house, victim):
        os.kill(pid, signal.SIGKILL)
    run.command("user_message", content="Are you there?")
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"], ended["error_message"]) == ("failed", reason, sentence)
    assert [message["status"] for message in run.messages()] == ["acknowledged", "failed"]


def test_runs_that_wait_are_all_taken_up_again_by_the_agents_that_they_had(house: House) -> None:
    runs = [house.run([{"say": "Hello."}], mode="interactive") for _ in range(3)]
    for run in runs:
        await_turns(run, 1)
    agents = agents_of(house)
    house.processes[0].kill()
    (server,) = house.data_dir.glob("postgres/**/postmaster.pid")
    os.kill(int(server.read_text().split()[0]), signal.SIGKILL)
    house.up()
    for run in runs:
        assert run.command("user_message", content=json.dumps({"steps": [{"say": "Still here."}]})).status_code == 200
        await_turns(run, 2)
        assert methods(run.logs()).count("_posthog/run_started") == 1
    assert agents_of(house) == agents
    assert len(agents) == 3
    for run in runs:
        run.patch(status="completed")
        assert run.ended()["status"] == "completed"
    assert house.leaves_nothing()


def test_a_second_worker_of_the_data_directory_goes_on_within_ten_seconds(make_house: Callable[..., House], repository: Path) -> None:
    house = make_house(HEDGEROW_ALLOW_LOCAL_REPOSITORIES="1", HEDGEROW_CONTROL_PLANE_URL="")
    api = house.start("api", "--port", "0")
    house.settings["HEDGEROW_CONTROL_PLANE_URL"] = api.said[-1].split()[-1]
    first = house.start("worker")
    run = house.run(PATIENT, repository=house.register(repository))
    run.await_event("_posthog/run_started")
    second = house.start("worker")
    first.kill()
    second.await_line("ready", timeout_seconds=10)
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("completed", "finished")
    assert_told_once(run)


def test_a_run_whose_sandbox_died_with_everything_ends_truthfully_and_keeps_its_work(house: House, repository: Path) -> None:
    run = house.run([PATIENT[0], {"sleep": 300}], repository=house.register(repository))
    run.await_event("_posthog/run_started")
    while not list((house.data_dir / "runs").glob("*/workspace/before.txt")):
        pass
    house.processes[0].kill()
    end_processes_of(house.data_dir)
    house.up()
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "sandbox_lost")
    assert git(repository, "show", f"{ended['output']['head_branch']}:before.txt") == "before"


def test_nothing_is_lost_while_the_api_is_away(make_house: Callable[..., House], repository: Path) -> None:
    house = make_house(HEDGEROW_ALLOW_LOCAL_REPOSITORIES="1")
    api = house.start("api", "--port", "0")
    url = api.said[-1].split()[-1]
    house.settings["HEDGEROW_CONTROL_PLANE_URL"] = url
    house.start("worker")
    run = house.run([{"burst": {"count": 200, "text": "line"}}, {"sleep": 1}, {"say": "Done."}], repository=house.register(repository))
    run.await_event("_posthog/run_started")
    api.kill()
    house.start("api", "--port", url.rpartition(":")[2])
    assert run.ended()["status"] == "completed"
    assert_told_once(run)


def test_the_checker_refutes_nothing_of_what_clients_saw_while_everything_was_killed(
    house: House, repository: Path, tmp_path: Path
) -> None:
    script = [{"burst": {"count": 100, "text": "line"}}, *PATIENT, {"burst": {"count": 100, "text": "more"}}]
    run = house.run(script, repository=house.register(repository))
    witness = Witness(run, Recorder(tmp_path / "history.jsonl"))
    witness.start(json.dumps({"steps": script}))
    with ThreadPoolExecutor() as threads:
        clients = [threads.submit(witness.follow, f"reader-{n}") for n in range(2)]
        clients += [threads.submit(write, witness, f"writer-{n}") for n in range(2)]
        run.await_event("_posthog/run_started")
        assert witness.say("person", "Add a note on the tests")
        for _ in range(2):  # the first time right after a message was accepted
            house.processes[-1].kill()
            house.up()
        for client in clients:
            client.result()
    report = witness.conclude()
    assert report.held, "\n".join(report.lines())
    shown = {guarantee for guarantee in Guarantee if report.verdict(guarantee) is Verdict.HELD}
    assert shown >= {Guarantee.KEPT, Guarantee.READ_ONCE, Guarantee.DELIVERED_ONCE, Guarantee.ENDS, Guarantee.LEAVES_NOTHING}
    assert check(read_history(tmp_path / "history.jsonl")).held


def test_accepted_input_is_delivered_once_or_ends_in_a_named_state(house: House, repository: Path, tmp_path: Path) -> None:
    run = house.run([{"say": "Hello."}], repository=house.register(repository), mode="interactive")
    witness = Witness(run, Recorder(tmp_path / "history.jsonl"))
    witness.start(json.dumps({"steps": [{"say": "Hello."}]}))
    run.await_event("_posthog/turn_complete")
    texts = [f"Note {number}" for number in range(3)]
    for text in texts:
        assert witness.say("person", text)
        house.processes[-1].kill()  # right after the 200
        house.up()
    await_over(run, messages=1 + len(texts))
    run.patch(status="completed")
    run.ended()
    report = witness.conclude()
    assert report.held, "\n".join(report.lines())
    assert report.verdict(Guarantee.DELIVERED_ONCE) is Verdict.HELD
    with house.client() as http:
        kept = http.get(f"{run.path}messages/").raise_for_status().json()["results"]
    assert [message["content"] for message in kept][1:] == texts
    assert all(message["status"] == "acknowledged" or (message["status"], bool(message["error"])) == ("failed", True) for message in kept)


def await_over(run: Run, messages: int) -> None:
    """Follow the run's stream until events have told the end of so many messages."""
    over: set[str] = set()
    for _, event in run.events():
        if event.get("type") == "message_status" and event["notification"]["params"]["status"] in {"acknowledged", "failed"}:
            over.add(event["notification"]["params"]["messageId"])
        if len(over) == messages:
            return
    raise AssertionError(f"the stream ended after {len(over)} of {messages} messages: {run.get()}")


def write(witness: Witness, client: str) -> None:
    for number in range(30):
        texts = [json.dumps({"type": "notification", "of": client, "number": number, "part": part}) for part in range(3)]
        witness.append(client, texts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(house: House, number: signal.Signals) -> None:
    process = house.processes[0].popen
    process.send_signal(number)
    assert process.wait(timeout=15) == 0
    assert processes_of(house.data_dir) == []
