"""A run from its task to its commit, through every floor, as a client and a developer see it."""

import json
from pathlib import Path

import pytest

from tests.end_to_end.conftest import git
from tests.end_to_end.house import House, methods, progress

WRITE = {"write": {"path": "greeting.txt", "content": "Hello.\n"}}


def test_a_run_ends_with_a_commit_on_a_branch_and_leaves_the_work_tree_alone(house: House, repository: Path) -> None:
    (repository / "README.md").write_text("# Being edited\n")
    run = house.run([{"say": "I write a file."}, WRITE, {"run": "cat greeting.txt"}], repository=house.register(repository))
    ended = run.ended()
    branch = f"hedgerow/{run.task_slug}-1"
    assert (ended["status"], ended["state"]["end_reason"], ended["branch"]) == ("completed", "finished", branch)
    assert ended["output"]["head_branch"] == branch
    assert ended["output"]["commit"] == git(repository, "rev-parse", branch)
    assert ended["output"]["diff_stat"] == {"files_changed": 1, "insertions": 1, "deletions": 0}
    assert git(repository, "show", f"{branch}:greeting.txt") == "Hello."
    assert git(repository, "status", "--porcelain") == "M README.md"
    assert git(repository, "branch", "--show-current") == "main"
    assert house.leaves_nothing()


def test_the_journal_shows_every_step_and_every_reader_gets_the_same(house: House, repository: Path) -> None:
    run = house.run([{"say": "Hello."}, WRITE], repository=house.register(repository))
    live = list(run.events())
    again = list(run.events())
    assert live == again
    assert [number for number, _ in live] == list(range(1, len(live) + 1))
    half = len(live) // 2
    assert list(run.events(after=half)) == live[half:]
    entries = run.logs()
    assert [event for _, event in live if "type" not in event or event["type"] == "notification"] == entries
    for step in ("sandbox", "checkout", "agent", "result"):
        assert [status for name, status in progress(entries) if name == step] == ["in_progress", "completed"]
    assert methods(entries).count("_posthog/run_started") == methods(entries).count("_posthog/turn_complete") == 1
    assert live[-1][1]["type"] == "task_run_state"
    assert live[-1][1]["status"] == "completed"


def test_an_agent_that_changes_nothing_leaves_no_branch(house: House, repository: Path) -> None:
    ended = house.run([{"say": "Nothing to do."}], repository=house.register(repository)).ended()
    assert ended["status"] == "completed"
    assert ended["output"] is None
    assert git(repository, "branch", "--list", "hedgerow/*") == ""


@pytest.mark.parametrize(
    ("script", "reason", "words"),
    [
        ([{"fail": "The model said no."}], "agent_failed", "The model said no."),
        ([{"exit": 7}], "agent_lost", "7"),
        ('{"steps": [{"sing": "la"}]}', "agent_failed", "sing"),
    ],
)
def test_an_agent_that_fails_ends_the_run_with_one_clear_sentence(
    house: House, repository: Path, script: list[dict[str, object]] | str, reason: str, words: str
) -> None:
    ended = house.run(script, repository=house.register(repository)).ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", reason)
    assert words in ended["error_message"]
    assert house.leaves_nothing()


def test_what_an_agent_did_before_it_failed_is_kept_on_the_branch(house: House, repository: Path) -> None:
    run = house.run([WRITE, {"fail": "Too hard."}], repository=house.register(repository))
    ended = run.ended()
    assert ended["status"] == "failed"
    assert git(repository, "show", f"{ended['output']['head_branch']}:greeting.txt") == "Hello."


def test_an_agent_that_closes_its_own_workspace_keeps_its_work(house: House, repository: Path) -> None:
    ended = house.run([WRITE, {"run": "chmod 0 ."}], repository=house.register(repository)).ended()
    assert ended["status"] == "completed"
    assert git(repository, "show", f"{ended['branch']}:greeting.txt") == "Hello."


def test_a_repository_that_is_not_there_is_named(house: House) -> None:
    ended = house.run("hello", repository="nobody/nothing").ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "start_failed")
    assert "nobody/nothing" in ended["error_message"]
    assert house.leaves_nothing()


def test_a_branch_that_is_not_there_is_named(house: House, repository: Path) -> None:
    ended = house.run("hello", repository=house.register(repository), branch="no-such-branch").ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "start_failed")
    assert "no-such-branch" in ended["error_message"]


def test_a_cancelled_agent_stops_and_the_run_says_so(house: House, repository: Path) -> None:
    run = house.run([WRITE, {"run": "sleep 300"}], repository=house.register(repository))
    run.await_event("_posthog/run_started")
    while "tool_call" not in json.dumps(run.logs()):
        pass
    assert run.command("cancel").json()["result"] == {"cancelled": True}
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("cancelled", "cancelled")


def test_a_person_may_end_a_run_while_its_agent_works(house: House, repository: Path) -> None:
    run = house.run([{"sleep": 300}], repository=house.register(repository))
    run.await_event("_posthog/run_started")
    assert run.patch(status="cancelled")["status"] == "cancelled"
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("cancelled", "client")
    assert house.leaves_nothing()


def test_an_interactive_run_answers_message_after_message(house: House, repository: Path) -> None:
    run = house.run([{"say": "First."}], repository=house.register(repository), mode="interactive")
    run.await_event("_posthog/turn_complete")
    message = json.dumps({"steps": [{"say": "Second."}, WRITE]})
    assert run.command("user_message", content=message).json()["result"]["queued"] is True
    turns = 0
    for _, event in run.events():
        turns += event.get("notification", {}).get("method") == "_posthog/turn_complete"
        if turns == 2:
            break
    run.patch(status="completed")
    ended = run.ended()
    assert ended["status"] == "completed"
    assert git(repository, "show", f"{ended['branch']}:greeting.txt") == "Hello."
    refused = run.command("user_message", content="Are you still there?")
    assert refused.status_code == 400
    assert "No active sandbox" in refused.json()["error"]


def test_an_interactive_run_that_nobody_speaks_to_ends_as_completed(house: House, repository: Path) -> None:
    ended = house.run([{"say": "Hello."}], repository=house.register(repository), mode="interactive").ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("completed", "inactivity")


def test_the_command_line_runs_a_task_to_its_commit(house: House, repository: Path) -> None:
    finished = house.command("run", json.dumps({"steps": [WRITE]}), "--repo", str(repository), "--agent", "scripted")
    assert finished.returncode == 0, finished.stdout + finished.stderr
    branch = git(repository, "branch", "--list", "--format=%(refname:short)", "hedgerow/*")
    assert branch in finished.stdout
    assert git(repository, "rev-parse", branch)[:12] in finished.stdout


def test_a_sandbox_environment_reaches_the_agent_and_none_of_its_values_the_journal(house: House) -> None:
    value = "an ordinary looking value"
    with house.client() as http:
        fields = {"name": "Build", "environment_variables": {"GREETING": value, "HOME": "/nowhere"}, "network_access_level": "trusted"}
        environment = http.post("sandbox_environments/", json=fields).raise_for_status().json()
    check = f'test "$GREETING" = "{value}" && test "$HOME" != /nowhere && echo it is $GREETING'
    run = house.run([{"run": check}], sandbox_environment_id=environment["id"])
    ended = run.ended()
    assert ended["status"] == "completed"
    journal = json.dumps(run.logs())
    assert "it is ***" in journal
    assert value not in journal
    with house.client() as http:
        audit = http.get("audit/", params={"run": run.id}).raise_for_status().json()["results"]
    moved = [entry["detail"] for entry in audit if entry["action"] == "run.move"]
    assert moved == [{"from": "in_progress", "to": "completed"}, {"from": "queued", "to": "in_progress"}]
    assert value not in json.dumps(audit)
