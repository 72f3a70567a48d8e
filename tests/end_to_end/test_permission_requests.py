"""An agent asks, a person or the operator's policy answers, and whatever dies meanwhile, the agent gets one answer."""

import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.end_to_end.conftest import houses_on
from tests.end_to_end.house import House, Run
from tests.leftovers import end_processes_of, processes_of

ASKS: list[dict[str, Any]] = [{"ask": "Delete everything"}, {"say": "It is gone."}]


@pytest.fixture(scope="module")
def house(runtime_folder: Path) -> Iterator[House]:
    """A hedgerow that runs, in which a person may take a while to answer."""
    with houses_on(runtime_folder) as make:
        house = make()
        house.up()
        yield house


def asking(house: House, script: list[dict[str, Any]] | None = None, **wishes: Any) -> tuple[Run, str]:
    """A run whose agent waits for an answer, and the id of its request."""
    run = house.run(script or ASKS, initial_permission_mode="default", **wishes)
    for _, event in run.events():
        if event.get("type") == "permission_request":
            return run, event["requestId"]
    raise AssertionError(f"nobody was asked: {run.get()}")


def requests(run: Run) -> list[dict[str, Any]]:
    """The permission requests of a run."""
    with run.house.client() as http:
        found: list[dict[str, Any]] = http.get(f"{run.path}permission_requests/").raise_for_status().json()["results"]
        return found


def told(run: Run) -> list[str]:
    """What the journal of an ended run tells of its permission requests, in order."""
    events = [event for _, event in run.events()]
    methods = [event.get("notification", {}).get("method", "") for event in events]
    return [method.removeprefix("_posthog/permission_") for method in methods if method.startswith("_posthog/permission_")]


def said(run: Run) -> list[str]:
    """What the agent has said."""
    updates = [entry["notification"].get("params", {}).get("update", {}) for entry in run.logs()]
    return [update["content"]["text"] for update in updates if update.get("sessionUpdate") == "agent_message"]


def test_a_person_answers_from_the_list_of_what_waits(house: House) -> None:
    run, request_id = asking(house, mode="interactive")
    assert "Delete everything" in house.command("approvals").stdout
    waiting = json.loads(house.command("approvals", run.id[-8:], "--json").stdout)
    assert [(request["id"], request["state"]) for request in waiting] == [(request_id, "waiting")]
    assert house.command("answer", run.id[-8:], "allow").returncode == 0
    run.await_event("_posthog/turn_complete")
    assert said(run) == ["It is gone."]
    (request,) = requests(run)
    assert (request["state"], request["option_id"], request["delivered_at"] is None) == ("answered", "allow", False)
    late = run.command("permission_response", requestId=request_id, optionId="reject")
    assert (late.status_code, late.json()["error"]["code"], request_id in late.json()["error"]["message"]) == (200, -32000, True)
    run.patch(status="completed")
    assert [what for what in told(run) if what != "resolved"] == ["answered", "delivered"]


def test_fifty_people_answer_at_once_and_the_agent_gets_one_answer(house: House) -> None:
    run, request_id = asking(house, mode="interactive")
    options = ["allow", "reject"] * 25
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda option: run.command("permission_response", requestId=request_id, optionId=option).json(), options))
    assert sorted(answer.get("error", {}).get("code", 0) for answer in answers) == [-32000] * 49 + [0]
    chosen = options[next(index for index, answer in enumerate(answers) if "result" in answer)]
    run.await_event("_posthog/turn_complete")
    outcomes = [entry["notification"].get("result", {}).get("outcome") for entry in run.logs()]
    assert [outcome for outcome in outcomes if outcome] == [{"outcome": "selected", "optionId": chosen}]
    run.patch(status="completed")
    assert told(run).count("resolved") == told(run).count("delivered") == told(run).count("answered") == 1


def test_a_background_run_that_asks_never_hangs(make_house: Callable[..., House]) -> None:
    house = make_house(HEDGEROW_BACKGROUND_PERMISSIONS="ask", HEDGEROW_PERMISSION_TIMEOUT_MINUTES="0.02")
    house.up()
    run, _ = asking(house)
    ended = run.ended()
    assert (ended["status"], said(run)) == ("completed", [])
    (request,) = requests(run)
    assert (request["state"], request["option_id"], request["answered_by"]) == ("expired", "reject", None)
    assert request["reason"] == "Nobody answered within 0.02 minutes."
    assert request["delivered_at"] is not None


@pytest.mark.parametrize(("policy", "words"), [("allow", ["It is gone."]), ("reject", []), ("", ["It is gone."])])
def test_a_policy_answers_for_background_runs(make_house: Callable[..., House], policy: str, words: list[str]) -> None:
    house = make_house(HEDGEROW_BACKGROUND_PERMISSIONS=policy)
    house.up()
    run = house.run(ASKS, initial_permission_mode="default")
    assert (run.ended()["status"], said(run), requests(run)) == ("completed", words, [])


def test_a_run_that_ends_leaves_no_request_that_waits(house: House) -> None:
    run, request_id = asking(house, mode="interactive")
    run.patch(status="cancelled")
    run.ended()
    (request,) = requests(run)
    assert (request["state"], request["delivered_at"]) == ("void", None)
    late = run.command("permission_response", requestId=request_id, optionId="allow")
    assert (late.status_code, late.json()["error"]) == (400, "No active sandbox for this run.")
    assert "No agent waits" in house.command("approvals").stdout


@pytest.mark.chaos
def test_an_answer_that_was_accepted_reaches_the_agent_through_the_next_worker(make_house: Callable[..., House]) -> None:
    house = make_house(HEDGEROW_CONTROL_PLANE_URL="")
    api = house.start("api", "--port", "0")
    house.settings["HEDGEROW_CONTROL_PLANE_URL"] = api.said[-1].split()[-1]
    worker = house.start("worker")
    run, request_id = asking(house, mode="interactive")
    worker.kill()
    assert run.command("permission_response", requestId=request_id, optionId="allow").json()["result"] == {"resolved": True}
    assert requests(run)[0]["delivered_at"] is None
    api.kill()
    house.settings["HEDGEROW_PORT"] = house.settings["HEDGEROW_CONTROL_PLANE_URL"].rsplit(":", 1)[-1]
    house.start("api")
    house.start("worker")
    run.await_event("_posthog/permission_delivered")
    run.await_event("_posthog/turn_complete")
    assert said(run) == ["It is gone."]
    assert requests(run)[0]["delivered_at"] is not None


@pytest.mark.chaos
def test_an_answer_whose_agent_died_before_it_heard_it_is_told_as_void(make_house: Callable[..., House]) -> None:
    house = make_house()
    first = house.up()
    run, request_id = asking(house, mode="interactive")
    for process in processes_of(house.data_dir / "runs"):
        os.kill(process, signal.SIGSTOP)
    assert run.command("permission_response", requestId=request_id, optionId="allow").json()["result"] == {"resolved": True}
    first.kill()
    end_processes_of(house.data_dir / "runs")
    house.up()
    assert run.ended()["state"]["end_reason"] == "sandbox_lost"
    (request,) = requests(run)
    assert (request["state"], request["option_id"], request["delivered_at"]) == ("void", "allow", None)
    assert request["reason"] == "The agent did not wait any more when the answer came."
    assert told(run) == ["answered", "void"]


@pytest.mark.chaos
def test_a_deadline_that_passed_while_nobody_was_there_is_kept_by_the_next_worker(make_house: Callable[..., House]) -> None:
    house = make_house(HEDGEROW_BACKGROUND_PERMISSIONS="ask", HEDGEROW_PERMISSION_TIMEOUT_MINUTES="0.05")
    first = house.up()
    run, _ = asking(house)
    deadline = datetime.fromisoformat(requests(run)[0]["deadline"])
    first.kill()
    time.sleep(max(0.0, (deadline - datetime.now(UTC)).total_seconds()))
    house.up()
    assert run.ended()["status"] == "completed"
    assert requests(run)[0]["state"] == "expired"
