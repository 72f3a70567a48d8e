import json
import subprocess
import sys
from pathlib import Path
from typing import Protocol

import pytest

from tests.cli.test_local_repository import git_in
from tests.cli.typing_here import Done, type_here
from tests.client.fake_server import FakeRun, FakeServer, said


class Hedgerow(Protocol):
    def __call__(self, *arguments: str, folder: Path | None = None, **variables: str) -> Done: ...


@pytest.fixture
def hedgerow(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hedgerow:
    """Calls the console script's function in this process, as typed in `folder` with further variables of the environment."""

    def call(*arguments: str, folder: Path | None = None, **variables: str) -> Done:
        if folder is not None:
            monkeypatch.chdir(folder)
        return type_here(arguments, environment | variables, monkeypatch, capsys)

    return call


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    git = git_in(folder)
    git("init", "--quiet", "--initial-branch=trunk")
    git("commit", "--quiet", "--allow-empty", "-m", "first")
    return folder


def test_a_user_command_imports_nothing_of_the_server(environment: dict[str, str]) -> None:
    code = (
        "import sys; sys.argv[1:] = ['run', '--help']\n"
        "from hedgerow.cli import application; application('run')\n"
        "heavy = ('fastapi', 'uvicorn', 'procrastinate', 'psycopg', 'pydantic_settings', 'alembic')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "[]"


def test_the_agent_server_starts_before_anything_of_the_command_line(environment: dict[str, str]) -> None:
    code = (
        "import sys, types; sys.argv[1:] = ['agent-server']\n"
        "module = types.ModuleType('hedgerow.agent_server.__main__'); sys.modules[module.__name__] = module\n"
        "def run():\n print([name for name in ('typer', 'rich', 'httpx') if name in sys.modules]); return 0\n"
        "module.main = run\n"
        "from hedgerow.cli import main; main()"
    )
    assert subprocess.check_output([sys.executable, "-c", code], env=environment, text=True).strip() == "[]"


def test_the_help_names_every_command_without_importing_them(hedgerow: Hedgerow) -> None:
    done = hedgerow("--help")
    assert done.returncode == 0
    for name in ("run", "logs", "send", "answer", "cancel", "task", "up", "api", "worker", "agents", "admin", "settings"):
        assert f" {name} " in done.stdout


def test_a_folder_is_registered_and_its_branch_is_where_the_run_begins(server: FakeServer, hedgerow: Hedgerow, checkout: Path) -> None:
    done = hedgerow("run", "Go", "--repo", ".", "--agent", "scripted", "--detach", folder=checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert server.wait_for("POST", "/repositories/") == {"clone_url": str(checkout)}
    assert server.wait_for("POST", "/tasks/")["repository"] == "local/shop-0a1b2c"
    assert server.wait_for("POST", "/run/") == {"mode": "background", "runtime_adapter": "scripted", "model": "default", "branch": "trunk"}
    assert " logs " in done.stdout


def test_uncommitted_changes_are_said_and_left_out(server: FakeServer, hedgerow: Hedgerow, checkout: Path) -> None:
    (checkout / "new.txt").write_text("new\n")
    done = hedgerow("run", "Go", "--repo", str(checkout), "--detach")
    assert "1 new file" in done.stderr
    assert "--include-changes" in done.stderr
    assert server.wait_for("POST", "/run/")["branch"] == "trunk"


def test_included_changes_are_where_the_run_begins(server: FakeServer, hedgerow: Hedgerow, checkout: Path) -> None:
    (checkout / "new.txt").write_text("new\n")
    done = hedgerow("run", "Go", "--repo", str(checkout), "--include-changes", "--detach")
    assert done.returncode == 0
    assert git_in(checkout)("show", f"{server.wait_for('POST', '/run/')['branch']}:new.txt") == "new\n"


def test_a_url_is_registered_under_the_end_of_its_path(server: FakeServer, hedgerow: Hedgerow) -> None:
    hedgerow("run", "Go", "--repo", "git@git.example:Team/Shop.git", "--branch", "next", "--detach")
    assert server.wait_for("POST", "/repositories/") == {"clone_url": "git@git.example:Team/Shop.git", "name": "team/shop"}
    assert server.wait_for("POST", "/run/")["branch"] == "next"


def test_a_name_goes_to_the_server_as_it_is(server: FakeServer, hedgerow: Hedgerow, tmp_path: Path) -> None:
    hedgerow("run", "Go", "--repo", "Team/Shop", "--detach", folder=tmp_path)
    assert server.wait_for("POST", "/tasks/")["repository"] == "team/shop"
    assert not [path for _, path, _ in server.requests if "repositories" in path]


def test_a_run_may_have_deadlines_of_its_own(server: FakeServer, hedgerow: Hedgerow) -> None:
    hedgerow("run", "Go", "--deadline", "wall_clock=30", "--deadline", "turn_silence=0.5", "--detach")
    body = server.wait_for("POST", "/run/")
    assert {key: value for key, value in body.items() if key.endswith("_minutes")} == {
        "wall_clock_minutes": 30,
        "turn_silence_minutes": 0.5,
    }


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("run", " "), "The prompt is empty."),
        (("run", "Go", "--model", "m"), "--model needs --agent"),
        (("run", "Go", "--branch", "b"), "--branch needs --repo"),
        (("run", "Go", "--deadline", "lunch=5"), "there are wall_clock, inactivity_timeout, turn_silence, sandbox."),
        (("run", "Go", "--deadline", "wall_clock=nan"), "a number of minutes above 0"),
        (("run", "Go", "--deadline", "wall_clock"), "a number of minutes above 0"),
        (("run", "Go", "--repo", "./nowhere"), "There is no folder"),
        (("run", "Go", "--repo", "a/b", "--include-changes"), "--include-changes is for a folder"),
        (("logs", "zz"), "There is no run 'zz'"),
        (("task", "show", "FAK-99"), "There is no task"),
        (("nonsense",), "No such command"),
    ],
)
def test_what_makes_no_sense_is_a_sentence_and_ends_with_two(
    server: FakeServer, hedgerow: Hedgerow, arguments: tuple[str, ...], sentence: str
) -> None:
    done = hedgerow(*arguments)
    assert done.returncode == 2
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr


def test_a_server_that_does_not_answer_is_said_with_how_to_start_it(hedgerow: Hedgerow) -> None:
    done = hedgerow("task", "list", HEDGEROW_URL="http://127.0.0.1:9")
    assert done.returncode == 1
    assert "hedgerow does not answer at http://127.0.0.1:9; start it with `" in done.stderr
    assert done.stderr.rstrip().endswith("-m hedgerow up`.")


def test_what_the_server_says_is_what_is_shown(server: FakeServer, hedgerow: Hedgerow) -> None:
    server.refusals["/run/"] = (400, {"detail": "There is no agent called nobody.", "attr": "runtime_adapter", "code": "invalid_choice"})
    done = hedgerow("run", "Go", "--agent", "nobody")
    assert (done.returncode, done.stdout) == (1, "")
    assert "There is no agent called nobody." in done.stderr
    assert server.tasks == {}


def test_json_is_alone_on_stdout(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.next_run = FakeRun()
    server.happen(run, said("Hello."))
    server.end(run, "completed", state={"mode": "background", "end_reason": "finished"})
    done = hedgerow("run", "Go", "--json")
    assert done.returncode == 0
    told = json.loads(done.stdout)
    assert (told["run_id"], told["status"], told["end_reason"], told["slug"]) == (run.id, "completed", "finished", "FAK-0")
    assert "Hello." in done.stderr


@pytest.mark.parametrize("name", ["whole", "beginning", "end", "slug"])
def test_a_run_is_found_by_as_little_as_names_it(server: FakeServer, hedgerow: Hedgerow, name: str) -> None:
    first = server.add_run(server.add_task())
    server.happen(first, said("The first."))
    server.end(first)
    names = {"whole": first.id, "beginning": first.id[:32], "end": first.id[-6:], "slug": "fak-0"}
    assert "The first." in hedgerow("logs", names[name]).stdout


def test_an_older_run_of_a_task_is_found_by_its_id(server: FakeServer, hedgerow: Hedgerow) -> None:
    task_id = server.add_task()
    older, newer = FakeRun(), FakeRun()
    for run, text in ((older, "The older."), (newer, "The newer.")):
        server.happen(server.add_run(task_id, run), said(text))
        server.end(run)
    assert "The older." in hedgerow("logs", older.id[-8:]).stdout


def test_logs_as_json_are_the_entries_as_they_are_stored(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task())
    server.happen(run, said("A"), said("B"))
    server.end(run)
    done = hedgerow("logs", "FAK-0", "--json")
    assert done.stdout.splitlines() == [text for _, text in run.events]
    assert hedgerow("logs", "FAK-0", "-f", "--json").stdout.splitlines() == [text for _, text in run.events]


def test_a_message_is_sent(server: FakeServer, hedgerow: Hedgerow) -> None:
    server.add_run(server.add_task())
    assert hedgerow("send", "FAK-0", "And now the tests").returncode == 0
    sent = server.wait_for("POST", "/command/")
    assert (sent["method"], sent["params"]) == ("user_message", {"content": "And now the tests"})


def test_a_question_is_answered_by_its_option(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task())
    options = [{"optionId": "ok", "name": "Allow", "kind": "allow_once"}]
    server.happen(run, {"type": "permission_request", "requestId": "q1", "toolCall": {"title": "Write a.py"}, "options": options})
    refused = hedgerow("answer", "FAK-0", "perhaps")
    assert (refused.returncode, "waits for: ok" in refused.stderr) == (2, True)
    assert "Write a.py" in hedgerow("answer", "FAK-0", "ok").stdout
    assert server.wait_for("POST", "/command/")["params"] == {"requestId": "q1", "optionId": "ok"}


def test_a_question_that_hedgerow_keeps_is_answered_by_its_option(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task())
    run.ask("q0", "Write z.py", "ok", state="answered")
    run.ask("q1", "Write a.py", "allow")
    run.ask("q2", "Write b.py", "ok", "no")
    assert "Write b.py" in hedgerow("answer", "FAK-0", "ok").stdout
    assert server.wait_for("POST", "/command/")["params"] == {"requestId": "q2", "optionId": "ok"}
    refused = hedgerow("answer", "FAK-0", "perhaps")
    assert (refused.returncode, "waits for: allow, no, ok" in refused.stderr) == (2, True)


def test_what_waits_for_leave_is_listed_of_one_run_and_of_all(server: FakeServer, hedgerow: Hedgerow) -> None:
    first, second = server.add_run(server.add_task()), server.add_run(server.add_task())
    assert "No agent waits" in hedgerow("approvals").stdout
    first.ask("q1", "Write \x1b[31ma.py", "[red]ok", "no", deadline="2999-01-01T00:00:00Z")
    second.ask("q2", "Run make", "fine")
    second.ask("q3", "Run tests", "fine", state="expired", option_id="no")
    of_all = hedgerow("approvals")
    assert of_all.returncode == 0
    for words in ("Write a.py", "Run make", first.id[-8:], second.id[-8:], " left", f"answer {first.id[-8:]}"):
        assert words in of_all.stdout
    assert "Run tests" not in of_all.stdout
    assert "\x1b" not in of_all.stdout
    of_one = hedgerow("approvals", "FAK-1", "--all").stdout
    assert ("Run make" in of_one, "Run tests" in of_one, "expired no" in of_one, "Write" in of_one) == (True, True, True, False)
    assert [request["id"] for request in json.loads(hedgerow("approvals", "--all", "--json").stdout)] == ["q1", "q2", "q3"]
    assert hedgerow("approvals", "FAK-9").returncode == 2


def test_cancel_ends_an_interactive_run_as_well(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task(), FakeRun(fields={"state": {"mode": "interactive"}}))
    assert "cancelled" in hedgerow("cancel", "FAK-0").stdout
    assert run.document()["status"] == "cancelled"


def test_tasks_are_listed_with_how_they_stand(server: FakeServer, hedgerow: Hedgerow) -> None:
    server.end(server.add_run(server.add_task(title="Greet \x1b[31mall", repository="a/b")), "failed")
    done = hedgerow("task", "list")
    assert "FAK-0" in done.stdout
    assert "Greet all" in done.stdout
    assert "failed" in done.stdout
    assert "\x1b" not in done.stdout
    assert json.loads(hedgerow("task", "list", "--json").stdout)[0]["slug"] == "FAK-0"


def test_a_task_is_shown_with_its_runs(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task(title="Greet", description="Greet everybody\n\nby name"))
    done = hedgerow("task", "show", "fak-0")
    assert "by name" in done.stdout
    assert run.id[-8:] in done.stdout


def test_attached_files_are_staged_and_given_to_the_run(server: FakeServer, hedgerow: Hedgerow, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("one")
    (tmp_path / "b.pdf").write_text("two")
    done = hedgerow("run", "Read them", "--attach", "a.txt", "--attach", "b.pdf", "--detach", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    staged = [server.store.objects[entry["storage_path"]] for entries in server.store.manifests.values() for entry in entries]
    assert staged == [b"one", b"two"]
    ids = [entry["id"] for entries in server.store.manifests.values() for entry in entries]
    assert server.wait_for("POST", "/run/")["pending_user_artifact_ids"] == ids


def test_an_attachment_that_cannot_be_given_leaves_no_task_behind(server: FakeServer, hedgerow: Hedgerow, tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    done = hedgerow("run", "Read it", "--attach", "empty.txt", folder=tmp_path)
    assert done.returncode == 1
    assert "empty.txt is empty" in done.stderr
    (tmp_path / "huge.txt").write_text("x")
    large = {"type": "validation_error", "code": "max_value", "detail": "It is too large.", "attr": "artifacts__0__size"}
    server.refusals["/prepare_upload/"] = (400, large)
    refused = hedgerow("run", "Read it", "--attach", "huge.txt", folder=tmp_path)
    assert (refused.returncode, refused.stderr) == (1, "hedgerow: huge.txt: It is too large.\n")
    server.refusals.clear()
    server.store.refusal = "<Error><Code>AccessDenied</Code><Message>Not from you.</Message></Error>"
    stored = hedgerow("run", "Read it", "--attach", "huge.txt", folder=tmp_path)
    assert (stored.returncode, stored.stderr) == (1, "hedgerow: The store did not take the file: Not from you.\n")
    missing = hedgerow("run", "Read it", "--attach", "missing.txt", folder=tmp_path)
    assert missing.returncode == 2
    assert server.tasks == {}


def test_artifacts_are_listed_and_downloaded_without_replacing_anything(server: FakeServer, hedgerow: Hedgerow, tmp_path: Path) -> None:
    run = server.add_run(server.add_task())
    store = server.store
    store.objects |= {"x/1": b"first", "x/2": b"second" * 1000}
    names = {"x/1": "../notes.txt", "x/2": "notes.txt"}
    run.fields["artifacts"] = [
        {"id": key[-1], "name": name, "type": "output", "storage_path": key, "size": len(store.objects[key])} for key, name in names.items()
    ]
    run.fields["artifacts"].append(
        {"id": "3", "name": "c.pack", "type": "artifact", "source": "hedgerow_checkpoint", "storage_path": "x/3", "size": 1}
    )
    listed = hedgerow("artifacts", run.id).stdout
    assert "notes.txt" in listed
    assert "c.pack" not in listed
    assert "6.0 kB" in listed
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    done = hedgerow("artifacts", run.id, "--download", "out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    written = {path.name: path.read_bytes()[:6] for path in (tmp_path / "out").iterdir()}
    assert written == {"notes.txt": b"mine", "notes-2.txt": b"first", "notes-3.txt": b"second"}
    assert json.loads(hedgerow("artifacts", run.id, "--json").stdout) == run.fields["artifacts"]


def test_a_run_without_artifacts_says_so(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task())
    assert hedgerow("artifacts", run.id).stdout == "The run has no artifacts.\n"


def test_a_run_that_waits_is_shown_with_its_place_in_line(server: FakeServer, hedgerow: Hedgerow) -> None:
    run = server.add_run(server.add_task(title="Patience"))
    run.fields["state"] = {"queue_position": 3}
    done = hedgerow("task", "list", COLUMNS="160")
    assert "waiting, 3rd in line" in done.stdout
