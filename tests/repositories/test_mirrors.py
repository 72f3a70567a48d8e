import asyncio
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgerow.domain.errors import HedgerowError, InvalidError, TimedOutError, UnavailableError
from hedgerow.repositories import Checkout, Repositories
from tests.repositories.workbench import GitHost, Run, commit, git, holds, make_repository, names, objects


async def check_out(repositories: Repositories, run: Run, clone_url: str, base: str | None = None) -> Checkout:
    return await repositories.check_out(
        project_id=1, clone_url=clone_url, base=base, branch="hedgerow/TSK-1-1", workspace=run.workspace, owner=None
    )


async def test_a_second_fetch_reads_nothing_new(repositories: Repositories, host: GitHost, new_run: Callable[[], Run]) -> None:
    first = await check_out(repositories, new_run(), f"{host.url}/team/app.git")
    before = objects(first.mirror)
    host.requests.clear()
    second = await check_out(repositories, new_run(), f"{host.url}/team/app.git", "main")
    assert second == first
    assert objects(first.mirror) == before
    assert [method for method, path in host.requests] == ["GET", "POST"]  # what there is; not one object was asked for


async def test_only_what_is_new_is_fetched(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    first = await check_out(repositories, new_run(), str(origin))
    before = objects(first.mirror)
    new = commit(origin, {"new.txt": "new\n"})
    second = await check_out(repositories, new_run(), str(origin))
    assert second.base_commit == new
    assert before < objects(first.mirror)
    assert len(objects(first.mirror) - before) == 3  # a commit, a tree, a file


async def test_projects_do_not_share_a_mirror(repositories: Repositories, origin: Path) -> None:
    one = repositories.mirror(project_id=1, clone_url=str(origin))
    two = repositories.mirror(project_id=2, clone_url=str(origin))
    assert one != two


async def test_the_default_branch_is_that_of_the_origin(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    git(origin, "checkout", "-q", "-b", "develop")
    new = commit(origin, {"x": "y"})
    checkout = await check_out(repositories, new_run(), str(origin))
    assert (checkout.base_branch, checkout.base_commit) == ("develop", new)
    git(origin, "checkout", "-q", "main")
    assert (await check_out(repositories, new_run(), str(origin))).base_branch == "main"


async def test_a_base_may_be_a_branch_a_tag_or_any_ref(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    first = git(origin, "rev-parse", "HEAD")
    git(origin, "tag", "-a", "-m", "one", "v1")
    second = commit(origin, {"x": "y"})
    git(origin, "update-ref", "refs/hedgerow/changes/1", second)
    git(origin, "branch", "feature/one", first)
    git(origin, "reset", "-q", "--hard", first)
    for base, expected, branch in (
        ("feature/one", first, "feature/one"),
        ("refs/heads/main", first, "main"),
        ("refs/tags/v1", first, None),
        ("refs/hedgerow/changes/1", second, None),
    ):
        checkout = await check_out(repositories, new_run(), str(origin), base)
        assert (checkout.base_commit, checkout.base_branch) == (expected, branch)


async def test_a_detached_head_is_a_start_too(repositories: Repositories, origin: Path, run: Run) -> None:
    git(origin, "checkout", "-q", "--detach")
    loose = commit(origin, {"x": "y"})
    checkout = await check_out(repositories, run, str(origin))
    assert (checkout.base_commit, checkout.base_branch) == (loose, None)


async def test_a_branch_that_became_a_folder_is_followed(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    git(origin, "branch", "topic")
    await check_out(repositories, new_run(), str(origin), "topic")
    git(origin, "branch", "-D", "topic")
    git(origin, "branch", "topic/one")
    assert (await check_out(repositories, new_run(), str(origin), "topic/one")).base_branch == "topic/one"
    with pytest.raises(InvalidError, match="no branch topic in"):
        await check_out(repositories, new_run(), str(origin), "topic")


async def test_a_rewritten_branch_is_followed(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    await check_out(repositories, new_run(), str(origin))
    git(origin, "commit", "-q", "--amend", "-m", "Other")
    checkout = await check_out(repositories, new_run(), str(origin))
    assert checkout.base_commit == git(origin, "rev-parse", "HEAD")


async def test_many_branches_and_tags_are_kept_in_one_file(repositories: Repositories, origin: Path, run: Run) -> None:
    name = git(origin, "rev-parse", "HEAD")
    git(origin, "update-ref", "--stdin", stdin="".join(f"create refs/tags/v{number} {name}\n" for number in range(300)))
    checkout = await check_out(repositories, run, str(origin))
    assert not list((checkout.mirror / "refs" / "tags").glob("*"))
    assert len(run.git("tag").splitlines()) == 300


async def test_a_shallow_repository_can_be_worked_on(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    commit(origin, {"x": "y"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")
    checkout = await check_out(repositories, run, str(tmp_path / "shallow"))
    assert checkout.base_commit == git(origin, "rev-parse", "HEAD")
    assert run.git("log", "--oneline").count("\n") == 0
    assert run.git("status", "--porcelain") == ""


async def test_a_repository_with_sha256_can_be_worked_on(repositories: Repositories, new_run: Callable[[], Run], tmp_path: Path) -> None:
    origin = make_repository(tmp_path / "modern", "--object-format=sha256")
    for _ in range(2):
        run = new_run()
        checkout = await check_out(repositories, run, str(origin))
        assert len(checkout.base_commit) == 64
        assert run.git("status", "--porcelain") == ""


async def test_checkouts_of_one_repository_at_once_all_succeed(
    repositories: Repositories, origin: Path, new_run: Callable[[], Run]
) -> None:
    runs = [new_run() for _ in range(6)]
    checkouts = await asyncio.gather(*(check_out(repositories, run, str(origin)) for run in runs))
    assert len(set(checkouts)) == 1
    assert all((run.workspace / "README.md").read_text() == "Hello\n" for run in runs)


async def test_a_mirror_that_is_held_does_not_hold_up_another(
    repositories: Repositories, origin: Path, tmp_path: Path, new_run: Callable[[], Run]
) -> None:
    other = make_repository(tmp_path / "other")
    mirrors = repositories._mirrors
    waiting: asyncio.Task[Checkout]
    async with mirrors.hold(repositories.mirror(project_id=1, clone_url=str(origin))):
        waiting = asyncio.create_task(check_out(repositories, new_run(), str(origin)))
        await check_out(repositories, new_run(), str(other))
        assert not waiting.done()
    assert (await waiting).base_branch == "main"


@pytest.mark.parametrize(
    ("make", "error", "sentence"),
    [
        (lambda path: None, InvalidError, "There is no folder"),
        (lambda path: path.write_text("x"), InvalidError, "is not a folder"),
        (lambda path: path.mkdir(), InvalidError, "is not a git repository"),
        (lambda path: (path / ".git").mkdir(parents=True), InvalidError, "is not a git repository"),
        (lambda path: subprocess.run(["git", "init", "-q", path], check=True), InvalidError, "is empty: it has no commit"),
    ],
)
async def test_a_path_that_cannot_be_worked_on_gives_one_sentence(
    repositories: Repositories, run: Run, tmp_path: Path, make: Callable[[Path], None], error: type[HedgerowError], sentence: str
) -> None:
    make(tmp_path / "place")
    with pytest.raises(error, match=sentence) as caught:
        await check_out(repositories, run, str(tmp_path / "place"))
    assert "\n" not in caught.value.message
    assert names(run.workspace) == []


async def test_a_branch_that_does_not_exist_is_named(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    with pytest.raises(InvalidError, match=f"There is no branch nowhere in {origin}"):
        await check_out(repositories, new_run(), str(origin), "nowhere")
    with pytest.raises(InvalidError, match="There is no refs/pull/7/head in"):
        await check_out(repositories, new_run(), str(origin), "refs/pull/7/head")


async def test_a_default_branch_without_commits_is_named(repositories: Repositories, origin: Path, run: Run) -> None:
    git(origin, "symbolic-ref", "HEAD", "refs/heads/later")
    with pytest.raises(InvalidError, match="name another branch to start from"):
        await check_out(repositories, run, str(origin))


async def test_an_unknown_repository_of_a_host_gives_one_sentence(repositories: Repositories, host: GitHost, run: Run) -> None:
    with pytest.raises(UnavailableError, match="was not found, or the git credentials of hedgerow's operator do not open it"):
        await check_out(repositories, run, f"{host.url}/team/none.git")


async def test_a_host_that_does_not_answer_gives_one_sentence(repositories: Repositories, run: Run, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="could not be reached"):
        await check_out(repositories, run, "http://127.0.0.1:9/team/app.git")
    assert [path.name for path in (tmp_path / "mirrors").glob("*/*") if path.suffix != ".lock"] == []


async def test_a_host_that_asks_for_a_password_never_makes_anybody_wait(repositories: Repositories, host: GitHost, run: Run) -> None:
    host.credentials = ("ada", "right")
    with pytest.raises(UnavailableError, match="do not open it"):
        await check_out(repositories, run, f"{host.url}/team/app.git")


async def test_credentials_of_a_url_open_the_repository_and_stay_secret(
    repositories: Repositories, host: GitHost, new_run: Callable[[], Run]
) -> None:
    host.credentials = ("ada", "right/s3cret")
    place = host.url.removeprefix("http://")
    run = new_run()
    checkout = await check_out(repositories, run, f"http://ada:right%2Fs3cret@{place}/team/app.git")
    assert run.git("remote", "get-url", "origin") == f"{host.url}/team/app.git"
    assert checkout.mirror == repositories.mirror(project_id=1, clone_url=f"{host.url}/team/app.git")
    for folder in (checkout.mirror, run.workspace):
        assert not holds(folder, "s3cret")
    with pytest.raises(UnavailableError) as caught:
        await check_out(repositories, new_run(), f"http://ada:wr0ng-word@{place}/team/app.git")
    assert "wr0ng-word" not in caught.value.message
    assert "wr0ng-word" not in repr(caught.value.__cause__)


async def test_a_token_in_place_of_a_user_name_opens_the_repository(repositories: Repositories, host: GitHost, run: Run) -> None:
    host.credentials = ("t0ken", "")
    place = host.url.removeprefix("http://")
    await check_out(repositories, run, f"http://t0ken@{place}/team/app.git")
    assert run.git("remote", "get-url", "origin") == f"{host.url}/team/app.git"


async def test_the_operators_credential_helper_is_asked(host: GitHost, run: Run, operator: dict[str, str], tmp_path: Path) -> None:
    host.credentials = ("ada", "from-helper")
    helper = '[credential]\n\thelper = "!f() { echo username=ada; echo password=from-helper; }; f"\n'
    (Path(operator["HOME"]) / ".gitconfig").write_text(helper)
    repositories = Repositories(tmp_path / "mirrors", allow_local=False, environment=operator)
    assert (await check_out(repositories, run, f"{host.url}/team/app.git")).base_branch == "main"


async def test_ssh_that_would_ask_fails_instead(run: Run, operator: dict[str, str], tmp_path: Path) -> None:
    ssh = tmp_path / "ssh"
    ssh.write_text(
        '#!/bin/sh\nif read answer </dev/tty; then exit 0; fi 2>/dev/null\necho "git@h: Permission denied (publickey)." >&2\nexit 255\n'
    )
    ssh.chmod(0o755)
    repositories = Repositories(tmp_path / "mirrors", allow_local=False, environment={**operator, "GIT_SSH_COMMAND": str(ssh)})
    with pytest.raises(UnavailableError, match=r"The repository git@example\.com:team/app was not found, or the git credentials"):
        await check_out(repositories, run, "git@example.com:team/app")


@pytest.fixture
def stuck(operator: dict[str, str], tmp_path: Path) -> tuple[dict[str, str], Path]:
    """An operator whose ssh tells its process id through a pipe and then does nothing."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ssh = tmp_path / "ssh"
    ssh.write_text(f"#!/bin/sh\ntrap '' TERM\necho $$ > {pipe}\nsleep 600\n")
    ssh.chmod(0o755)
    return {**operator, "GIT_SSH_COMMAND": str(ssh)}, pipe


async def test_a_cancelled_checkout_ends_every_process_and_leaves_nothing(
    stuck: tuple[dict[str, str], Path], run: Run, tmp_path: Path
) -> None:
    environment, pipe = stuck
    repositories = Repositories(tmp_path / "mirrors", allow_local=False, environment=environment)
    task = asyncio.create_task(check_out(repositories, run, "git@example.com:team/app", "main"))
    process_id = int(await asyncio.to_thread(pipe.read_text))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await _gone(process_id)
    assert [path.name for path in (tmp_path / "mirrors").glob("*/*") if path.suffix != ".lock"] == []
    assert names(run.workspace) == []


async def test_a_fetch_that_takes_too_long_is_ended(stuck: tuple[dict[str, str], Path], run: Run, tmp_path: Path) -> None:
    environment, pipe = stuck
    reading = asyncio.create_task(asyncio.to_thread(pipe.read_text))
    repositories = Repositories(tmp_path / "mirrors", allow_local=False, environment=environment, network_timeout_seconds=0.5)
    with pytest.raises(TimedOutError, match=r"git fetch took longer than 0\.5 seconds"):
        await check_out(repositories, run, "git@example.com:team/app", "main")
    await _gone(int(await reading))


async def _gone(process_id: int) -> None:
    """Return once a process that was killed is gone; its new parent may take a moment to see it off."""
    for _ in range(500):
        if not _lives(process_id):
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"process {process_id} lives on")


def _lives(process_id: int) -> bool:
    try:
        return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


async def test_a_lock_that_a_crash_left_is_removed(repositories: Repositories, origin: Path, new_run: Callable[[], Run]) -> None:
    checkout = await check_out(repositories, new_run(), str(origin))
    lock = checkout.mirror / "refs" / "remotes" / "origin" / "main.lock"
    lock.touch()
    new = commit(origin, {"x": "y"})
    with pytest.raises(UnavailableError):
        await check_out(repositories, new_run(), str(origin))
    os.utime(lock, (1, 1))
    assert (await check_out(repositories, new_run(), str(origin))).base_commit == new


async def test_no_git_on_the_machine_is_said(origin: Path, run: Run, tmp_path: Path, operator: dict[str, str]) -> None:
    repositories = Repositories(tmp_path / "mirrors", allow_local=True, environment={**operator, "PATH": str(tmp_path)})
    with pytest.raises(UnavailableError, match="git is not installed on this machine"):
        await check_out(repositories, run, str(origin))
