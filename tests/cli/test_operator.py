"""`hedgerow up`, `api`, `worker`, `admin …` and `settings`, run as an operator runs them."""

import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import httpx
import psycopg
import pytest

from hedgerow.db.embedded import EmbeddedPostgres
from hedgerow.db.postmaster import running
from tests.cli.typing_here import Done, type_here
from tests.conftest import fresh_database
from tests.integrations.fake_github import account, serve
from tests.leftovers import end_processes_of

_HEDGEROW = [sys.executable, "-m", "hedgerow"]


def _environment(data_dir: Path, **settings: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEDGEROW_")}
    return {**inherited, "HEDGEROW_DATA_DIR": str(data_dir), **settings}


def _run(data_dir: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_HEDGEROW, *arguments], env=_environment(data_dir, **settings), capture_output=True, text=True, timeout=60, check=False
    )


@dataclass
class Started:
    """A command that serves."""

    process: subprocess.Popen[str]
    line: str  # the one that says that it is ready

    @property
    def url(self) -> str:
        return self.line.rsplit(" ", 1)[-1].strip()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        return self.process.returncode


class Hedgerow(Protocol):
    def __call__(self, data_dir: Path, *arguments: str, **settings: str) -> Done: ...


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hedgerow:
    """Calls a command that ends in this process; how it starts in one of its own is tested with `up` and `admin migrate`."""

    def call(data_dir: Path, *arguments: str, **settings: str) -> Done:
        monkeypatch.setattr(sys, "stdin", io.StringIO())
        return type_here(arguments, {"HEDGEROW_DATA_DIR": str(data_dir), **settings}, monkeypatch, capsys)

    return call


def _start(data_dir: Path, *arguments: str, **settings: str) -> Started:
    errors = data_dir.parent / f"{arguments[0]}.log"
    with errors.open("w") as log:
        process = subprocess.Popen(
            [*_HEDGEROW, *arguments], env=_environment(data_dir, **settings), stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    for line in process.stdout:
        if "ready" in line:
            return Started(process, line)
    raise AssertionError(f"{arguments} ended with {process.wait()}: {errors.read_text()}")


def _data_dir(folder: Path, runtime_tree: Path) -> Path:
    """A new data directory with a runtime tree that stands."""
    folder.mkdir()
    folder.chmod(0o711)
    (folder / "runtime").symlink_to(runtime_tree)
    return folder


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A place for data directories that every account may pass through."""
    folder = Path(tempfile.mkdtemp(prefix="hedgerow-operator-"))
    folder.chmod(0o711)
    yield folder
    end_processes_of(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def house(folder: Path) -> Iterator[Started]:
    """A house that is up, with its first task under way."""
    started = _start(folder / "data", "up", "--port", "0")
    yield started
    assert started.end() == 0


@pytest.fixture
def runtime_tree(house: Started, folder: Path) -> Path:
    """The runtime tree of that house, for others to share: making one takes seconds."""
    return folder / "data" / "runtime"


@pytest.fixture
def data_dir(house: Started, folder: Path) -> Path:
    """The data directory of that house."""
    return folder / "data"


@pytest.fixture(scope="module")
def office(postgres_url: str, template_database: str, folder: Path) -> Iterator[dict[str, str]]:
    """The settings of an operator whose hedgerow is not up, on a database server of its own."""
    (folder / "office").mkdir()
    for url in fresh_database(postgres_url, template_database):
        yield {"HEDGEROW_DATABASE_URL": url, "HEDGEROW_STORAGE_URL": f"file://{folder}/office/objects", "HEDGEROW_SECRET_KEY": "shared"}


@pytest.fixture
def desk(office: dict[str, str], folder: Path, here: Hedgerow) -> Callable[..., Done]:
    """Types a command of that operator."""
    return lambda *arguments, **settings: here(folder / "office", *arguments, **(office | settings))


@pytest.mark.whole
def test_health_needs_no_key(house: Started) -> None:
    answer = httpx.get(f"{house.url}/health", trust_env=False)
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.whole
def test_the_first_start_writes_credentials_that_work_for_the_account_alone(house: Started, data_dir: Path) -> None:
    path = data_dir / "credentials.json"
    credentials = json.loads(path.read_text())
    assert path.stat().st_mode & 0o777 == 0o600
    assert (credentials["url"], credentials["project_id"]) == (house.url, 1)
    headers = {"Authorization": f"Bearer {credentials['api_key']}"}
    assert httpx.get(f"{house.url}/api/projects/1/tasks/", headers=headers, trust_env=False).status_code == 200


@pytest.mark.whole
def test_the_first_task_ends_with_a_commit_and_what_to_type_next_can_be_typed(house: Started, data_dir: Path) -> None:
    assert house.process.stdout is not None
    told = []
    for line in house.process.stdout:
        told.append(line.strip())
        if line.startswith("Ctrl-C stops hedgerow"):
            break
    git = ["git", "-c", f"safe.directory={data_dir}/sample-repository", "-C", str(data_dir / "sample-repository")]
    committed = subprocess.run([*git, "show", "hedgerow/DEF-0-1:greet.sh"], capture_output=True, text=True, check=False)
    assert "everybody" in committed.stdout, told
    command = next(line for line in told if line.endswith("task list"))
    listed = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert "Greet by name" in listed.stdout, listed.stderr


@pytest.mark.whole
def test_what_is_secret_is_readable_for_the_account_alone(house: Started, data_dir: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o077 for path in (data_dir / "secret_key", data_dir / "postgres" / "password")}
    assert set(modes.values()) == {0}


@pytest.mark.whole
def test_a_second_up_on_the_same_folder_says_who_holds_it(house: Started, data_dir: Path) -> None:
    refused = _run(data_dir, "up", "--port", "0")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"hedgerow: hedgerow is up on {data_dir} already, as process {house.process.pid}:")


def test_a_port_in_use_is_named_in_one_sentence(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = _run(folder / "other", "up", "--port", str(taken.getsockname()[1]))
    assert refused.returncode == 1
    assert "is in use" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_bad_setting_is_named_and_ends_with_the_code_of_a_usage_error(folder: Path) -> None:
    refused = _run(folder / "other", "up", HEDGEROW_WORKER_PORT="many")
    assert refused.returncode == 2
    assert refused.stderr.startswith("hedgerow: HEDGEROW_WORKER_PORT is not right")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.whole
def test_an_operator_makes_people_projects_and_keys_while_the_server_runs(house: Started, data_dir: Path, here: Hedgerow) -> None:
    def made(*arguments: str) -> dict[str, object]:
        result = here(data_dir, "admin", *arguments, "--json")
        assert result.returncode == 0, result.stderr
        answer = json.loads(result.stdout)
        assert isinstance(answer, dict)
        return answer

    made("create-user", "--email", "ada@example.org", "--name", "Ada")
    project = made("create-project", "--name", "Analytical Engine")["id"]
    made("add-member", "--email", "ada@example.org", "--project", str(project))
    key = made(
        "create-key",
        "--email",
        "ada@example.org",
        "--scope",
        "task:read",
        "--scope",
        "task:write",
        "--project",
        str(project),
        "--label",
        "x",
    )
    headers = {"Authorization": f"Bearer {key['value']}"}
    answers = [httpx.get(f"{house.url}/api/projects/{number}/tasks/", headers=headers, trust_env=False) for number in (project, 1)]
    assert [answer.status_code for answer in answers] == [200, 403]


def test_what_is_turned_on_in_a_project_is_the_operators_to_say(desk: Callable[..., Done]) -> None:
    turned = desk("admin", "set-project", "--project", "1", "--session-recording", "--json")
    assert json.loads(turned.stdout) == {
        "id": 1,
        "name": "Default project",
        "proactive_tasks": False,
        "session_recording": True,
        "exception_capture": False,
    }
    refused = desk("admin", "set-project", "--project", "99", "--session-recording")
    assert refused.returncode != 0
    assert "There is no project 99." in refused.stderr
    back = desk("admin", "set-project", "--project", "1", "--no-session-recording")
    assert back.stdout.strip() == "Default project: proactive tasks off, session recording off, exception capture off."


def test_an_operator_connects_projects_and_links_people_with_github(tmp_path: Path, desk: Callable[..., Done]) -> None:
    token = "ghp_0123456789abcdef"
    (tmp_path / "token").write_text(f"{token}\n")

    def said(*arguments: str, code: int = 0, **settings: str) -> str:
        result = desk("admin", *arguments, HEDGEROW_GITHUB_API_URL=github.url, **settings)
        assert result.returncode == code, result.stderr
        assert token not in result.stdout + result.stderr
        return result.stdout if code == 0 else result.stderr

    with serve() as github:
        github.people[token] = account(7, "ada")
        connected = json.loads(said("connect-github", "--project", "1", "--token-file", str(tmp_path / "token"), "--json"))
        assert (connected["account"], connected["name"]) == ("ada", "ada")
        number = str(connected["id"])
        assert said("list-integrations", "--project", "1") == f"{number}\tgithub\tada\n"
        assert said("link-github", "--email", "admin@localhost", HEDGEROW_GITHUB_TOKEN=token).endswith("GitHub account ada.\n")
        assert "does not take the token" in said("link-github", "--email", "admin@localhost", code=1, HEDGEROW_GITHUB_TOKEN="ghp_wrong")
        assert "There is no secret" in said("connect-github", "--project", "1", code=2, HEDGEROW_GITHUB_TOKEN="")
        said("unlink-github", "--email", "admin@localhost")
        said("disconnect", "--project", "1", "--integration", number)
        assert json.loads(said("list-integrations", "--project", "1", "--json")) == {"results": []}
        assert "no integration" in said("disconnect", "--project", "1", "--integration", number, code=1)
        assert "belong together" in said("list-integrations", "--project", "1", code=2, HEDGEROW_GITHUB_APP_ID="1")


def within_a_second(holds: Callable[[], bool]) -> None:
    """Wait until something holds that a server which runs may learn of a second late; a slow machine has ten."""
    ends = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.whole
def test_an_operator_sees_which_machines_hold_runs_and_whether_they_are_lost(house: Started, data_dir: Path, here: Hedgerow) -> None:
    (node,) = json.loads(here(data_dir, "admin", "list-nodes", "--json").stdout)["nodes"]
    assert node["id"] == (data_dir / "node_id").read_text().strip()
    assert (node["lost"], node["lease_seconds"]) == (False, 30.0)
    assert node["worker_url"].startswith("http://127.0.0.1:")
    told = here(data_dir, "admin", "list-nodes").stdout
    assert told.startswith(node["id"])
    assert "heard of" in told


@pytest.mark.whole
def test_an_operator_takes_away_keys_and_memberships_while_the_server_runs(house: Started, data_dir: Path, here: Hedgerow) -> None:
    def said(*arguments: str) -> dict[str, Any]:
        result = here(data_dir, "admin", *arguments, "--json")
        assert result.returncode == 0, result.stderr
        answer = json.loads(result.stdout)
        assert isinstance(answer, dict)
        return answer

    email = ("--email", "grace@example.org")
    said("create-user", *email)
    said("add-member", *email, "--project", "1")
    revoked, kept = (said("create-key", *email, "--scope", "*", "--label", "x") for _ in range(2))
    listed = said("list-keys", *email)["keys"]
    assert {key["id"] for key in listed} == {revoked["id"], kept["id"]}
    assert all(key["email"] == "grace@example.org" and "value" not in key for key in listed)
    tasks = f"{house.url}/api/projects/1/tasks/"

    def status(key: dict[str, Any]) -> int:
        return httpx.get(tasks, headers={"Authorization": f"Bearer {key['value']}"}, trust_env=False).status_code

    with httpx.Client(headers={"Authorization": f"Bearer {revoked['value']}"}, trust_env=False, timeout=30) as client:
        task = client.post(tasks, json={"title": "x"}).json()["id"]
        run = client.post(f"{tasks}{task}/runs/", json={"environment": "local"}).json()["id"]
        with client.stream("GET", f"{tasks}{task}/runs/{run}/stream/") as stream:
            lines = stream.iter_lines()
            next(lines)
            assert said("revoke-key", revoked["id"])["id"] == revoked["id"]
            assert not any("event: error" in line for line in lines)  # and it ends
    within_a_second(lambda: status(revoked) == 401)
    assert status(kept) == 200
    assert said("remove-member", *email, "--project", "1")["project"] == 1
    within_a_second(lambda: status(kept) == 403)
    entries = said("audit", "--limit", "4")["entries"]
    assert [entry["action"] for entry in entries] == ["member.remove", "key.revoke", "run.create", "task.create"]
    assert [entry["actor"] for entry in entries] == ["operator", "operator", "user", "user"]
    shown = here(data_dir, "admin", "audit", "--project", "1", "--limit", "1").stdout
    assert "operator  member.remove  project 1" in shown
    assert "grace@example.org" in here(data_dir, "admin", "list-keys").stdout


def test_a_key_that_is_none_is_named_in_one_sentence(desk: Callable[..., Done]) -> None:
    for key, code in (("nonsense", 2), ("01890000-0000-7000-8000-000000000000", 1)):
        refused = desk("admin", "revoke-key", key)
        assert refused.returncode == code
        assert key in refused.stderr
        assert len(refused.stderr.splitlines()) == 1


def test_an_unknown_person_is_named_in_one_sentence(desk: Callable[..., Done]) -> None:
    refused = desk("admin", "create-key", "--email", "nobody@example.org", "--scope", "*")
    assert refused.returncode == 1
    assert "nobody@example.org" in refused.stderr


def test_settings_are_printed_with_their_values_and_secrets_hidden(folder: Path, here: Hedgerow) -> None:
    shown = here(folder / "other", "settings", HEDGEROW_SECRET_KEY="hunter2", HEDGEROW_PORT="9123").stdout
    assert "HEDGEROW_PORT=9123" in shown
    assert "HEDGEROW_SECRET_KEY=(hidden)" in shown
    assert "hunter2" not in shown


@pytest.mark.whole
def test_the_last_to_leave_stops_the_database_and_a_kill_is_survived(runtime_tree: Path, folder: Path) -> None:
    data_dir = _data_dir(folder / "killed", runtime_tree)
    server = data_dir / "postgres" / "data"
    first = _start(data_dir, "up", "--port", "0", "--no-first-task")
    first.process.kill()
    first.process.communicate(timeout=30)
    left = running(server)
    assert left is not None
    os.kill(left.pid, signal.SIGKILL)
    second = _start(data_dir, "up", "--port", "0", "--no-first-task")
    assert json.loads((data_dir / "credentials.json").read_text())["url"] == second.url
    assert second.end(signal.SIGINT) == 0
    assert running(server) is None


@pytest.mark.whole
def test_api_and_worker_stand_alone_on_a_database_server(database_url: str, runtime_tree: Path, folder: Path) -> None:
    settings = {"HEDGEROW_DATABASE_URL": database_url, "HEDGEROW_STORAGE_URL": f"file://{folder}/objects", "HEDGEROW_SECRET_KEY": "shared"}
    api = _start(folder / "one", "api", "--port", "0", **settings)
    worker = _start(_data_dir(folder / "two", runtime_tree), "worker", HEDGEROW_PUBLIC_URL=api.url, **settings)
    done = _run(folder / "one", "run", '[{"say": "Done"}]', "--agent", "scripted", "--json")
    assert (done.returncode, json.loads(done.stdout)["end_reason"]) == (0, "finished")
    assert not (folder / "one" / "postgres").exists()
    assert [worker.end(), api.end()] == [0, 0]


@pytest.mark.whole
def test_a_worker_that_comes_first_leaves_the_first_key_to_the_api(database_url: str, runtime_tree: Path, folder: Path) -> None:
    settings = {"HEDGEROW_DATABASE_URL": database_url, "HEDGEROW_STORAGE_URL": f"file://{folder}/objects", "HEDGEROW_SECRET_KEY": "shared"}
    worker = _start(_data_dir(folder / "first", runtime_tree), "worker", **settings)
    api = _start(folder / "second", "api", "--port", "0", **settings)
    assert not (folder / "first" / "credentials.json").exists()
    assert json.loads((folder / "second" / "credentials.json").read_text())["url"] == api.url
    assert [worker.end(), api.end()] == [0, 0]


@pytest.mark.whole
def test_gc_lists_what_would_go_and_then_removes_it_beside_a_worker(database_url: str, runtime_tree: Path, folder: Path) -> None:
    settings = {"HEDGEROW_DATABASE_URL": database_url, "HEDGEROW_STORAGE_URL": f"file://{folder}/objects", "HEDGEROW_SECRET_KEY": "shared"}
    data_dir = _data_dir(folder / "kept", runtime_tree)
    api = _start(data_dir, "api", "--port", "0", **settings)
    worker = _start(data_dir, "worker", HEDGEROW_PUBLIC_URL=api.url, **settings)
    done = json.loads(_run(data_dir, "run", '[{"say": "Done"}]', "--agent", "scripted", "--json").stdout)
    before = _run(data_dir, "logs", done["run_id"], "--json").stdout
    remains = data_dir / "runs" / ".going-1"
    remains.mkdir()
    aged = {**settings, "HEDGEROW_ARCHIVE_DAYS": "0.0000001"}

    for _ in range(20):  # until the run is tidied up
        answer = _run(data_dir, "gc", "--dry-run", "--json", **aged)
        assert answer.returncode == 0, answer.stderr
        listed = json.loads(answer.stdout)
        if len(listed["removals"]) == 2:
            break
    assert {each["kind"] for each in listed["removals"]} == {"journal_to_archive", "remains"}
    assert listed["total_bytes"] == sum(each["size_bytes"] for each in listed["removals"]) > 0
    assert remains.exists()
    removed = _run(data_dir, "gc", **aged)
    assert removed.returncode == 0
    assert "2 things went" in removed.stdout
    assert not remains.exists()
    assert _run(data_dir, "logs", done["run_id"], "--json").stdout == before != ""
    assert "There is nothing that may go." in _run(data_dir, "gc", **aged).stdout
    assert "free" in _run(data_dir, "admin", "list-nodes", **settings).stdout
    assert [worker.end(), api.end()] == [0, 0]


@pytest.mark.whole
def test_migrations_run_alone_and_a_newer_database_ends_the_start_with_one_sentence(folder: Path) -> None:
    data_dir = folder / "migrated"
    assert _run(data_dir, "admin", "migrate").returncode == 0
    assert running(data_dir / "postgres" / "data") is None
    assert not (data_dir / "credentials.json").exists()
    postgres = EmbeddedPostgres(data_dir)
    with psycopg.connect(postgres.start_or_join()) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    postgres.leave()
    refused = _run(data_dir, "up", "--port", "0")
    assert refused.returncode == 1
    assert "version 9999" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
