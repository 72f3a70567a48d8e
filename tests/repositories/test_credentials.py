import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories import Login, Repositories
from hedgerow.repositories.credentials import with_credentials
from hedgerow.repositories.urls import parse_clone_url
from tests.repositories.desk import BRANCH, RUN_ID
from tests.repositories.workbench import GitHost, Run, git, holds

TOKEN = "ghs_0123456789abcdef"


def collect(command: tuple[str, ...], run: Run) -> None:
    """Run the collecting command, as the one-shot sandbox does."""
    subprocess.run(command, cwd=run.folder, check=True, timeout=60, capture_output=True)


def login(place: str, password: str = TOKEN) -> Login:
    return Login(place=place, username="x-access-token", password=password)


async def test_a_login_opens_and_writes_its_places_repositories_and_stays_secret(
    repositories: Repositories, host: GitHost, new_run: Callable[[], Run], tmp_path: Path
) -> None:
    host.credentials = ("x-access-token", TOKEN)
    run, url, author = new_run(), f"{host.url}/team/app.git", ('Ada "Countess" Lovelace', "7+ada@users.noreply.github.com")

    checkout = await repositories.check_out(
        project_id=1, clone_url=url, base=None, branch=BRANCH, workspace=run.workspace, owner=None, login=login(host.url), author=author
    )

    assert (run.git("config", "user.name"), run.git("config", "user.email")) == author
    assert run.git("remote", "get-url", "origin") == url
    (run.workspace / "new.txt").write_text("new\n")
    command = repositories.collect_command(
        workspace=run.workspace, result=run.result, mirror=checkout.mirror, base_commit=checkout.base_commit, message="Do it", author=author
    )
    assert command[-2:] == author
    await asyncio.to_thread(collect, command, run)
    published = await repositories.publish(
        project_id=1,
        clone_url=url,
        result=run.result,
        branch=BRANCH,
        run_id=RUN_ID,
        base_commit=checkout.base_commit,
        login=login(host.url),
    )
    assert published is not None
    assert published.pushed, published.push_error
    pushed = git(tmp_path / "hosted" / "team" / "app.git", "log", "-1", "--format=%an <%ae> %H", BRANCH)
    assert pushed == f"{author[0]} <{author[1]}> {published.commit}"
    for folder in (checkout.mirror.parent, run.workspace, run.result):
        assert not holds(folder, TOKEN)


async def test_a_push_without_the_login_is_refused_and_kept(repositories: Repositories, host: GitHost, new_run: Callable[[], Run]) -> None:
    run, url = new_run(), f"{host.url}/team/app.git"
    checkout = await repositories.check_out(project_id=1, clone_url=url, base=None, branch=BRANCH, workspace=run.workspace, owner=None)
    (run.workspace / "new.txt").write_text("new\n")
    command = repositories.collect_command(
        workspace=run.workspace, result=run.result, mirror=checkout.mirror, base_commit=checkout.base_commit, message="Do it"
    )
    await asyncio.to_thread(collect, command, run)
    host.credentials = ("x-access-token", TOKEN)

    published = await repositories.publish(
        project_id=1,
        clone_url=url,
        result=run.result,
        branch=BRANCH,
        run_id=RUN_ID,
        base_commit=checkout.base_commit,
        login=login(host.url, "ghs_wrong_wrong"),
    )

    assert published is not None
    assert not published.pushed
    assert "ghs_wrong_wrong" not in (published.push_error or "")


@pytest.mark.parametrize("place", ["http://127.0.0.1:1", "https://{host}", "http://{host}0", "http://localhost"])
async def test_a_login_is_not_shown_to_another_place(repositories: Repositories, host: GitHost, run: Run, place: str) -> None:
    host.credentials = ("x-access-token", TOKEN)
    elsewhere = login(place.replace("{host}", host.url.removeprefix("http://")))
    with pytest.raises(UnavailableError, match="do not open it"):
        await repositories.check_out(
            project_id=1,
            clone_url=f"{host.url}/team/app.git",
            base=None,
            branch=BRANCH,
            workspace=run.workspace,
            owner=None,
            login=elsewhere,
        )


async def test_a_login_that_is_refused_is_not_told(repositories: Repositories, host: GitHost, run: Run) -> None:
    host.credentials = ("x-access-token", "another")
    with pytest.raises(UnavailableError) as failure:
        await repositories.check_out(
            project_id=1,
            clone_url=f"{host.url}/team/app.git",
            base=None,
            branch=BRANCH,
            workspace=run.workspace,
            owner=None,
            login=login(host.url),
        )
    assert TOKEN not in f"{failure.value!r} {failure.value.__cause__!r}"


@pytest.mark.parametrize(
    "url",
    [
        "https://ada:pw@github.com/a/b",
        "https://t0ken@github.com/a/b",
        "git@github.com:a/b",
        "ssh://git@github.com/a/b",
        "https://github.com.evil.example/a/b",
    ],
)
def test_a_url_with_its_own_credentials_or_of_another_kind_or_host_gets_no_login(url: str) -> None:
    parsed = parse_clone_url(url, allow_local=False)
    assert login("https://github.com").lent_to(parsed) is parsed


def test_a_login_reaches_git_through_its_environment() -> None:
    lent = login("https://github.com").lent_to(parse_clone_url("https://github.com/a/b", allow_local=False))
    environment = with_credentials({}, lent)
    assert environment["HEDGEROW_GIT_PASSWORD"] == TOKEN
    assert {name for name, value in environment.items() if TOKEN in value} == {"HEDGEROW_GIT_PASSWORD"}
    assert TOKEN not in f"{lent!r} {login('https://github.com')!r}"
