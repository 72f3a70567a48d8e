"""Private repositories of a GitHub on loopback, from the operator's token to the pushed branch."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.end_to_end.conftest import git, make_repository
from tests.end_to_end.house import House
from tests.integrations import fake_github
from tests.integrations.fake_github import FakeGitHub, account, repository
from tests.repositories import workbench
from tests.repositories.workbench import GitHost

BOTS, CALLERS = "ghp_of_the_project_0123", "ghu_of_the_caller_0123"
LOOK = {"run": "echo token=$GITHUB_TOKEN=$GH_TOKEN; git config user.name; env | grep -c '^GITHUB_TOKEN='"}
WRITE = {"write": {"path": "greeting.txt", "content": "Hello.\n"}}


@pytest.fixture
def fake() -> Iterator[FakeGitHub]:
    with fake_github.serve() as served:
        served.people[BOTS] = account(1, "acme-bot")
        served.people[CALLERS] = account(8, "ada", name="Ada Lovelace")
        served.repositories[BOTS] = [repository(1, "acme/web")]
        yield served


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GitHost]:
    """Where the private repository acme/web lies."""
    make_repository(tmp_path / "plain")
    bare = tmp_path / "hosted" / "acme" / "web"
    bare.parent.mkdir(parents=True)
    git(tmp_path, "clone", "-q", "--bare", "plain", str(bare))
    git(bare, "config", "http.receivepack", "true")
    with workbench.serve(tmp_path / "hosted") as served:
        served.credentials = ("x-access-token", BOTS)
        yield served
    shutil.rmtree(tmp_path / "hosted")


@pytest.fixture
def connected(make_house: Callable[..., House], fake: FakeGitHub, host: GitHost) -> House:
    """A hedgerow whose first project is connected with the fake GitHub."""
    house = make_house(HEDGEROW_GITHUB_API_URL=fake.url, HEDGEROW_GITHUB_URL=host.url, HEDGEROW_GIT_BASE_URL=host.url)
    house.up()
    done = admin(house, "connect-github", "--project", "1", token=BOTS)
    assert done["account"] == "acme-bot"
    return house


def admin(house: House, *arguments: str, token: str) -> dict[str, object]:
    finished = house.command("admin", *arguments, "--json", HEDGEROW_GITHUB_TOKEN=token, **house.settings)
    assert finished.returncode == 0, finished.stderr
    assert token not in finished.stdout + finished.stderr
    answer = json.loads(finished.stdout)
    assert isinstance(answer, dict)
    return answer


def leaks(house: House, token: str) -> list[str]:
    """The files of a data directory that hold a token, and the lines that its processes said."""
    found = subprocess.run(["grep", "-rlF", "--binary-files=text", token, str(house.data_dir)], capture_output=True, text=True)
    return found.stdout.split() + [line for process in house.processes for line in process.said if token in line]


def test_a_private_repository_is_cloned_and_pushed_with_the_projects_token(connected: House, host: GitHost) -> None:
    run = connected.run([LOOK, WRITE], repository="acme/web", pr_authorship_mode="bot")
    ended = run.ended()

    assert (ended["status"], ended["output"]["pushed"]) == ("completed", True), ended
    assert git(host.root / "acme" / "web", "show", f"{ended['branch']}:greeting.txt") == "Hello."
    told = json.dumps(run.logs())
    assert "token=***=***" in told
    assert BOTS not in told
    assert connected.leaves_nothing()
    assert leaks(connected, BOTS) == []


def test_a_run_that_is_a_persons_outlives_a_kill_with_their_token(connected: House, host: GitHost) -> None:
    host.credentials = ("x-access-token", CALLERS)
    (process,) = connected.processes
    run = connected.run([LOOK, WRITE, {"sleep": 2}], repository="acme/web", pr_authorship_mode="user", github_user_token=CALLERS)
    process.kill()
    connected.up()
    ended = run.ended()

    assert (ended["status"], ended["state"]["github_credential_source"]) == ("completed", "caller_token"), ended
    assert ended["output"]["pushed"], ended
    author = git(host.root / "acme" / "web", "log", "-1", "--format=%an <%ae>", ended["branch"])
    assert author == "Ada Lovelace <8+ada@users.noreply.github.com>"
    told = json.dumps(run.logs())
    assert "token=***=***" in told
    assert "Ada Lovelace" in told
    assert connected.leaves_nothing()
    assert leaks(connected, CALLERS) == []
