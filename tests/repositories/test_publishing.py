import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from hedgerow.repositories import Published, Repositories
from hedgerow.repositories.mirrors import Mirrors
from tests.repositories.desk import BRANCH, RUN_ID, Desk
from tests.repositories.workbench import GitHost, Run, collect, commit, git, make_repository

DISTINCT = f"{BRANCH}-0abcde"
OTHER_RUN = UUID("01900000-0000-7000-8000-000000099999")


async def at_host(repositories: Repositories, host: GitHost, run: Run, run_id: UUID = RUN_ID) -> Desk:
    return await Desk(repositories, host.root / "team" / "app.git", run, f"{host.url}/team/app.git", run_id).begin()


async def test_a_result_is_pushed_to_the_host_it_came_from(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    desk.write("work")
    published = await desk.land()
    assert git(desk.origin, "rev-parse", BRANCH) == published.commit
    assert git(desk.checkout.mirror, "rev-parse", f"refs/heads/{BRANCH}") == published.commit


async def test_publishing_again_gives_the_same_branch(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    desk.write("work")
    first = await desk.land()
    assert await desk.publish() == first
    assert git(desk.origin, "branch", "--format=%(refname:short)").split() == [BRANCH, "main"]


async def test_work_that_is_collected_again_later_is_no_second_result(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    desk.write("work")
    first = await desk.land()
    assert await collected_an_hour_later(desk) == first


async def test_what_a_machine_had_pushed_before_it_was_lost_is_not_pushed_twice_by_another_one(
    repositories: Repositories, operator: dict[str, str], tmp_path: Path, host: GitHost, new_run: Callable[[], Run]
) -> None:
    elsewhere = [Repositories(tmp_path / f"mirrors-{n}", allow_local=True, environment=operator) for n in range(2)]
    first, early = [await at_host(machine, host, new_run()) for machine in (repositories, elsewhere[0])]
    first.write("work")
    pushed = await first.land()
    late = await at_host(elsewhere[1], host, new_run())  # its clone has seen the branch, the early one's has not
    for desk in (early, late):
        desk.write("work")
        found = await collected_an_hour_later(desk)
        assert found is not None
        assert (found.branch, found.commit, found.pushed) == (BRANCH, pushed.commit, True)
    assert git(first.origin, "branch", "--format=%(refname:short)").split() == [BRANCH, "main"]


class TakenAwayError(Exception):
    """The run is another machine's by now."""


@pytest.mark.parametrize("pushes", [0, 1])
async def test_nothing_is_pushed_any_more_once_the_run_is_another_machines(
    repositories: Repositories, host: GitHost, run: Run, pushes: int
) -> None:
    desk = await at_host(repositories, host, run)
    git(desk.origin, "branch", BRANCH, "main")  # so that a second push would be made, under another name
    desk.write("work")
    desk.collect()
    asked = 0

    async def allowed() -> None:
        nonlocal asked
        asked += 1
        if asked > pushes:
            raise TakenAwayError

    with pytest.raises(TakenAwayError):
        await repositories.publish(
            project_id=1,
            clone_url=desk.clone_url,
            result=run.result,
            branch=BRANCH,
            run_id=RUN_ID,
            base_commit=desk.checkout.base_commit,
            allowed=allowed,
        )
    assert git(desk.origin, "branch", "--format=%(refname:short)").split() == [BRANCH, "main"]
    assert git(desk.origin, "rev-parse", BRANCH) == git(desk.origin, "rev-parse", "main")


async def collected_an_hour_later(desk: Desk) -> Published | None:
    message = "Do the task, collected at another time"
    collect(desk.repositories, desk.run, desk.checkout, message)
    return await desk.publish()


async def test_a_run_that_went_on_moves_its_branch_forward(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    commit(run.workspace, {"one": "1\n"}, "One")
    first = await desk.land()
    commit(run.workspace, {"two": "2\n"}, "Two")
    second = await desk.land()
    assert (first.branch, second.branch) == (BRANCH, BRANCH)
    assert git(desk.origin, "rev-parse", f"{BRANCH}^") == first.commit


async def test_a_run_that_rewrote_its_history_takes_nothing_away(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    commit(run.workspace, {"one": "1\n"}, "One")
    first = await desk.land()
    commit(run.workspace, {"one": "2\n"}, "Two")
    run.git("reset", "-q", "--soft", desk.checkout.base_commit)
    second = await desk.land()
    assert (first.branch, second.branch) == (BRANCH, DISTINCT)
    assert git(desk.origin, "rev-parse", BRANCH) == first.commit


async def test_publishing_again_after_somebody_went_on_gives_the_same_branch(repositories: Repositories, origin: Path, run: Run) -> None:
    desk = await Desk(repositories, origin, run).begin()
    desk.write("work")
    first = await desk.land()
    git(origin, "checkout", "-q", BRANCH)
    commit(origin, {"more": "x\n"})
    assert await desk.publish() == first


async def test_a_crash_before_the_push_is_made_good(
    repositories: Repositories, host: GitHost, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await at_host(repositories, host, run)
    desk.write("work")
    desk.collect()
    publisher = repositories._publisher

    async def crash(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(publisher), "_push", crash)
        with pytest.raises(KeyboardInterrupt):
            await publisher.publish(desk.checkout.mirror, repositories._url(desk.clone_url), _wanted(desk))
    published = await desk.publish()
    assert published is not None
    assert (published.branch, published.pushed) == (BRANCH, True)


def _wanted(desk: Desk):  # type: ignore[no-untyped-def]
    from hedgerow.repositories.publishing import Result

    return Result(folder=desk.run.result, branch=BRANCH, run_id=RUN_ID, base_commit=desk.checkout.base_commit, max_bytes=2**30)


async def test_a_branch_that_exists_at_the_origin_is_left_alone(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    git(desk.origin, "branch", BRANCH, "main")  # after the fetch: only the push sees it
    desk.write("work")
    for _ in range(2):
        published = await desk.land()
        assert published.branch == DISTINCT
    assert git(desk.origin, "rev-parse", BRANCH) == git(desk.origin, "rev-parse", "main")
    assert git(desk.origin, "branch", "--format=%(refname:short)").split() == [BRANCH, DISTINCT, "main"]
    assert git(desk.checkout.mirror, "for-each-ref", "--format=%(refname)", "refs/heads").split() == [f"refs/heads/{DISTINCT}"]


async def test_two_runs_that_want_one_name_get_two(repositories: Repositories, host: GitHost, new_run: Callable[[], Run]) -> None:
    desks = [await at_host(repositories, host, new_run(), run_id) for run_id in (RUN_ID, OTHER_RUN)]
    for number, desk in enumerate(desks):
        desk.write("work", f"{number}\n")
    assert [(await desk.land()).branch for desk in desks] == [BRANCH, f"{BRANCH}-099999"]


async def test_a_result_that_may_not_be_pushed_stays_in_the_mirror(
    repositories: Repositories, host: GitHost, new_run: Callable[[], Run]
) -> None:
    desk = await at_host(repositories, host, new_run())
    git(desk.origin, "config", "http.receivepack", "false")
    desk.write("work")
    published = await desk.deliver()
    assert not published.pushed
    assert published.push_error is not None
    assert "do not open it" in published.push_error
    assert "\n" not in published.push_error
    assert git(desk.checkout.mirror, "show", f"{BRANCH}:work") == "new"
    next_run = new_run()
    checkout = await repositories.check_out(  # and somebody can go on from there
        project_id=1, clone_url=desk.clone_url, base=BRANCH, branch="hedgerow/TSK-1-2", workspace=next_run.workspace, owner=None
    )
    assert checkout.base_commit == published.commit
    git(desk.origin, "config", "http.receivepack", "true")
    assert await desk.publish() is not None
    assert git(desk.origin, "rev-parse", BRANCH) == published.commit


async def test_a_branch_that_the_host_protects_gives_its_reason(repositories: Repositories, host: GitHost, run: Run) -> None:
    desk = await at_host(repositories, host, run)
    hook = desk.origin / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho 'Protected by \033[31mrule 7\033[0m.' >&2\nexit 1\n")
    hook.chmod(0o755)
    desk.write("work")
    published = await desk.deliver()
    sentence = f"{desk.clone_url} refused the branch {BRANCH}: pre-receive hook declined. Protected by rule 7."
    assert (published.pushed, published.push_error) == (False, sentence)


async def test_a_host_that_is_gone_is_a_sentence_and_no_failure(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    desk = await Desk(repositories, origin, run).begin()
    desk.write("work")
    shutil.move(origin, tmp_path / "moved")
    published = await desk.deliver()
    assert (published.pushed, published.push_error) == (False, f"There is no folder {origin}.")


async def test_a_password_never_reaches_a_push_error(repositories: Repositories, host: GitHost, run: Run) -> None:
    host.credentials = ("ada", "first-w0rd")
    place = host.url.removeprefix("http://")
    desk = await Desk(repositories, host.root / "team/app.git", run, f"http://ada:first-w0rd@{place}/team/app.git").begin()
    host.credentials = ("ada", "second")
    desk.write("work")
    published = await desk.deliver()
    assert not published.pushed
    assert "first-w0rd" not in str(published)


async def test_the_work_tree_and_index_of_a_local_repository_are_not_touched(desk: Desk) -> None:
    (desk.origin / "README.md").write_text("a person's own work\n")
    (desk.origin / "staged").write_text("x\n")
    git(desk.origin, "add", "staged")
    before = git(desk.origin, "status", "--porcelain=v2", "--branch"), (desk.origin / ".git" / "index").read_bytes()
    desk.write("work")
    await desk.land()
    assert (git(desk.origin, "status", "--porcelain=v2", "--branch"), (desk.origin / ".git" / "index").read_bytes()) == before
    assert git(desk.origin, "branch", "--show-current") == "main"


async def test_bare_repositories_and_linked_work_trees_get_the_branch(
    repositories: Repositories, origin: Path, new_run: Callable[[], Run], tmp_path: Path
) -> None:
    git(tmp_path, "clone", "-q", "--bare", str(origin), "bare.git")
    git(origin, "worktree", "add", "-q", "-b", "topic", str(tmp_path / "linked"))
    for place, base in ((tmp_path / "bare.git", "main"), (tmp_path / "linked", "topic")):
        desk = await Desk(repositories, place, new_run()).begin()
        assert desk.checkout.base_branch == base
        desk.write("work")
        published = await desk.land()
        assert git(place, "rev-parse", BRANCH) == published.commit
        assert git(place, "status", "--porcelain") == "" if place.name == "linked" else True


async def test_a_file_url_is_a_local_repository_too(repositories: Repositories, origin: Path, run: Run) -> None:
    desk = await Desk(repositories, origin, run, f"file://{origin}").begin()
    desk.write("work")
    await desk.land()
    assert run.git("remote", "get-url", "origin") == str(origin)


async def test_a_mirror_that_was_deleted_is_made_again(repositories: Repositories, origin: Path, run: Run) -> None:
    desk = await Desk(repositories, origin, run).begin()
    desk.write("work")
    desk.collect()
    shutil.rmtree(desk.checkout.mirror)
    published = await desk.publish()
    assert published is not None
    assert published.pushed


@pytest.mark.parametrize("shape", ["checkout", "bare", "linked"], ids=str)
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_as_root_the_branch_is_written_as_the_owner_of_the_repository(
    repositories: Repositories, run: Run, shared: Path, shape: str
) -> None:
    origin = make_repository(shared / "origin")
    place = {"checkout": origin, "bare": shared / "bare.git", "linked": shared / "linked"}[shape]
    git(shared, "clone", "-q", "--bare", str(origin), "bare.git")
    git(origin, "worktree", "add", "-q", str(shared / "linked"))
    folders = (origin, shared / "bare.git", shared / "linked")
    _give_away(*folders)
    hook = (shared / "bare.git" if shape == "bare" else origin / ".git") / "hooks" / "post-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text('#!/bin/sh\nid -u >"$GIT_DIR/who"; env >"$GIT_DIR/environment"\n')
    hook.chmod(0o755)
    desk = await Desk(repositories, place, run).begin()
    desk.write("work")
    await desk.land()
    owners = {(path.lstat().st_uid, path.lstat().st_gid) for folder in folders for path in folder.rglob("*") if path != hook}
    assert owners == {(54321, 54322)}
    git_directory = Path(git(place, "rev-parse", "--path-format=absolute", "--git-dir"))
    assert (git_directory / "who").read_text() == "54321\n"
    assert f"HOME={repositories._plumbing.environment['HOME']}" not in (git_directory / "environment").read_text()


def _give_away(*folders: Path) -> None:
    subprocess.run(["chown", "-R", "54321:54322", *folders], check=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_a_plain_user_works_on_a_repository_of_its_own(shared: Path) -> None:
    folder = shared / "plain"
    folder.mkdir()
    os.chown(folder, 65534, 65534)
    script = Path(__file__).with_name("as_plain_user.py")
    as_nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--", sys.executable]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": os.pathsep.join(_paths()), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run([*as_nobody, str(script), str(folder)], env=environment, capture_output=True, text=True, timeout=60)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.split() == [BRANCH, "True"]


def _paths() -> list[str]:
    return [path for path in sys.path if path]


def test_a_mirror_is_named_by_the_repository_and_not_by_who_asks(repositories: Repositories) -> None:
    assert isinstance(repositories._mirrors, Mirrors)
    mirrors = {
        repositories.mirror(project_id=1, clone_url=url)
        for url in ("https://Example.com/a", "https://ada:pw@example.com/a/", "https://token@example.com:443/a")
    }
    assert len(mirrors) == 1
