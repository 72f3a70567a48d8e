"""Runs that are started later, or once more, through every floor."""

import json
from pathlib import Path

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, Run, methods

WRITE = {"write": {"path": "greeting.txt", "content": "Hello.\n"}}


def await_turns(run: Run, wanted: int) -> None:
    """Read the run's stream until that many turns have ended."""
    found = 0
    for _, event in run.events():
        found += methods([event]) == ["_posthog/turn_complete"]
        if found == wanted:
            return
    raise AssertionError(f"the stream ended after {found} turns: {run.get()}")


def test_a_run_that_has_ended_goes_on_upon_its_own_commit(house: House, repository: Path) -> None:
    run = house.run([WRITE], repository=house.register(repository))
    first = run.ended()
    with house.client() as http:
        resumed = http.post(f"{run.path}resume_in_cloud/").raise_for_status().json()
    assert (resumed["status"], resumed["branch"]) == ("queued", first["branch"])
    await_turns(run, 2)
    assert run.get()["status"] == "in_progress"
    assert run.command("user_message", content=json.dumps({"steps": [{"run": "cat greeting.txt"}]})).status_code == 200
    await_turns(run, 3)
    run.patch(status="completed")
    last = run.ended()
    assert (last["branch"], last["status"]) == (first["branch"], "completed")
    assert last["output"]["commit"] == git(repository, "rev-parse", first["branch"])
    assert git(repository, "rev-parse", f"{first['branch']}^") == first["output"]["commit"]
    assert git(repository, "show", f"{first['branch']}:greeting.txt") == "Hello."
    numbers = [number for number, _ in run.events()]
    assert numbers == list(range(1, len(numbers) + 1))
    assert house.leaves_nothing()


def test_a_run_that_is_resumed_while_it_is_still_at_work_loses_nothing(house: House, repository: Path) -> None:
    run = house.run([WRITE], repository=house.register(repository), mode="interactive")
    await_turns(run, 1)
    run.patch(status="cancelled")
    with house.client() as http:
        http.post(f"{run.path}resume_in_cloud/").raise_for_status()
    await_turns(run, 2)
    branch = run.get()["branch"]
    assert git(repository, "show", f"{branch}:greeting.txt") == "Hello."
    run.patch(status="completed")
    assert run.ended()["output"]["commit"] == git(repository, "rev-parse", branch)


def test_a_created_run_is_started_later_and_ends_once_its_output_is_accepted(house: House) -> None:
    with house.client() as http:
        task = http.post("tasks/", json={"title": "t", "description": "d", "json_schema": {"type": "array"}}).raise_for_status().json()
        wishes = {"environment": "cloud", "runtime_adapter": "scripted", "model": "default", "mode": "interactive"}
        created = http.post(f"tasks/{task['id']}/runs/", json=wishes).raise_for_status().json()
        run = Run(house, task["id"], created["id"], task["slug"])
        http.post(f"{run.path}start/", json={"pending_user_message": json.dumps({"steps": [{"say": "Hello."}]})}).raise_for_status()
        await_turns(run, 1)
        assert http.patch(f"{run.path}set_output/", json={"output": {}}).status_code == 400
        http.patch(f"{run.path}set_output/", json={"output": ["done"]}).raise_for_status()
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"], ended["output"]) == ("completed", "output_accepted", ["done"])
    assert "pending_user_message" not in ended["state"]
