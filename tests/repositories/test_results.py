import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories import Repositories
from tests.repositories.desk import BRANCH, Desk
from tests.repositories.workbench import Run, commit, git, make_repository, names


async def test_what_is_uncommitted_becomes_one_commit_of_hedgerow(desk: Desk) -> None:
    desk.write("README.md", "Changed\nmore\n")
    desk.write("docs/new.md")
    (desk.run.workspace / "src" / "app.py").unlink()
    published = await desk.land()
    assert published.branch == BRANCH
    assert git(desk.origin, "rev-parse", BRANCH) == published.commit
    assert (
        git(desk.origin, "log", "-1", "--format=%an <%ae> %cn %s", published.commit) == "hedgerow <hedgerow@localhost> hedgerow Do the task"
    )
    assert git(desk.origin, "rev-parse", f"{published.commit}^") == desk.checkout.base_commit
    assert desk.files(published) == {"README.md", "docs/new.md"}
    assert published.diff_stat == {"files_changed": 3, "insertions": 3, "deletions": 2}


async def test_nothing_changed_is_no_result(desk: Desk) -> None:
    desk.collect()
    assert names(desk.run.result) == ["none"]
    assert await desk.publish() is None
    assert git(desk.origin, "branch", "--format=%(refname:short)") == "main"


async def test_the_commits_of_the_agent_are_kept(desk: Desk) -> None:
    commit(desk.run.workspace, {"one": "1\n"}, "One")
    commit(desk.run.workspace, {"two": "2\n"}, "Two")
    desk.write("three")
    published = await desk.land()
    assert git(desk.origin, "log", "--format=%s", f"{desk.checkout.base_commit}..{published.commit}").splitlines() == [
        "Do the task",
        "Two",
        "One",
    ]
    assert git(desk.origin, "log", "-1", "--format=%an", f"{published.commit}^") == "Ada"


async def test_a_clean_workspace_with_commits_gets_no_commit_of_hedgerow(desk: Desk) -> None:
    made = commit(desk.run.workspace, {"one": "1\n"}, "One")
    assert (await desk.land()).commit == made


async def test_an_edit_of_the_same_size_within_a_second_is_seen(desk: Desk) -> None:
    before = (desk.run.workspace / "README.md").stat()
    desk.write("README.md", "Jello\n")
    os.utime(desk.run.workspace / "README.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert desk.show(await desk.land(), "README.md") == "Jello"


async def test_ignored_files_stay_out_unless_the_agent_added_them(desk: Desk) -> None:
    desk.write(".gitignore", "*.log\n")
    desk.write("noise.log")
    desk.write("wanted.log")
    desk.run.git("add", "-f", "wanted.log")
    with (desk.run.workspace / ".git" / "info" / "exclude").open("a") as exclude:
        exclude.write("private\n")
    desk.write("private")
    assert desk.files(await desk.land()) == {"README.md", "src/app.py", ".gitignore", "wanted.log"}


async def test_odd_file_names_arrive(desk: Desk) -> None:
    names = ["-rf", "a b", "tab\there", "ünïcode", "quote\"s'", "new\nline", "*", "$(touch x)", ":(top)x", "back\\slash"]
    for name in names:
        desk.write(name)
    published = await desk.land()
    found = git(desk.origin, "ls-tree", "-z", "--name-only", published.commit).strip("\0").split("\0")
    assert set(names) < set(found)


async def test_a_large_file_arrives(desk: Desk) -> None:
    with (desk.run.workspace / "large.bin").open("wb") as file:
        file.truncate(8 * 2**20)
    published = await desk.land()
    assert git(desk.origin, "cat-file", "-s", f"{published.commit}:large.bin") == str(8 * 2**20)


def _detached(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "--detach")


def _other_branch(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "elsewhere")


def _locks(desk: Desk) -> None:
    for lock in ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock"):
        (desk.run.workspace / ".git" / lock).touch()


def _merge(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "theirs")
    commit(desk.run.workspace, {"README.md": "Theirs\n"}, "Theirs")
    desk.run.git("checkout", "-q", BRANCH)
    commit(desk.run.workspace, {"README.md": "Ours\n"}, "Ours")
    with pytest.raises(AssertionError):
        desk.run.git("merge", "theirs")


def _rebase(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "theirs")
    commit(desk.run.workspace, {"README.md": "Theirs\n"}, "Theirs")
    desk.run.git("checkout", "-q", BRANCH)
    commit(desk.run.workspace, {"README.md": "Ours\n"}, "Ours")
    with pytest.raises(AssertionError):
        desk.run.git("rebase", "theirs")


def _broken_configuration(desk: Desk) -> None:
    (desk.run.workspace / ".git" / "config").write_text("this is no configuration [[[\n")


def _bare_by_name(desk: Desk) -> None:
    desk.run.git("config", "core.bare", "true")


def _broken_index(desk: Desk) -> None:
    (desk.run.workspace / ".git" / "index").write_bytes(b"DIRC nothing of the kind")


def _split_index(desk: Desk) -> None:
    desk.run.git("update-index", "--split-index")


def _no_git(desk: Desk) -> None:
    shutil.rmtree(desk.run.workspace / ".git")


def _fresh_git(desk: Desk) -> None:
    shutil.rmtree(desk.run.workspace / ".git")
    desk.run.git("init", "-q")


def _unborn(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "--orphan", "void")


def _moved_git(desk: Desk) -> None:
    desk.run.git("init", "-q", f"--separate-git-dir={desk.run.folder / 'moved'}")


def _lost_objects(desk: Desk) -> None:
    commit(desk.run.workspace, {"lost": "lost\n"}, "Lost")
    for folder in (desk.run.workspace / ".git" / "objects").glob("??"):
        shutil.rmtree(folder)


def _commit_old_file(desk: Desk) -> None:
    """A commit of a file that git does not look into again, since it is older than the index."""
    file = desk.run.workspace / "lost"
    file.write_text("lost\n")
    os.utime(file, (1_000_000_000, 1_000_000_000))
    desk.run.git("add", "--all")
    desk.run.git("commit", "-q", "-m", "Lost")


def _lost_objects_of_old_files(desk: Desk) -> None:
    _commit_old_file(desk)
    for folder in (desk.run.workspace / ".git" / "objects").glob("??"):
        shutil.rmtree(folder)


def _lost_file_of_a_commit(desk: Desk) -> None:
    _commit_old_file(desk)
    blob = git(desk.run.workspace, "rev-parse", "HEAD:lost")
    (desk.run.workspace / ".git" / "objects" / blob[:2] / blob[2:]).unlink()


def _history_rewritten(desk: Desk) -> None:
    desk.run.git("commit", "-q", "--amend", "-m", "Rewritten")


def _unrelated_history(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "--orphan", "island")
    commit(desk.run.workspace, {"island": "x\n"}, "Island")


STATES = [
    _detached,
    _other_branch,
    _locks,
    _merge,
    _rebase,
    _broken_configuration,
    _bare_by_name,
    _broken_index,
    _split_index,
    _no_git,
    _fresh_git,
    _unborn,
    _moved_git,
    _lost_objects,
    _lost_objects_of_old_files,
    _lost_file_of_a_commit,
    _history_rewritten,
    _unrelated_history,
]


@pytest.mark.parametrize("leave", STATES, ids=lambda leave: leave.__name__.strip("_"))
async def test_the_work_is_collected_from_whatever_state_the_agent_left(desk: Desk, leave: Callable[[Desk], None]) -> None:
    leave(desk)
    desk.write("work.txt", "worked\n")
    published = await desk.land()
    assert desk.show(published, "work.txt") == "worked"
    assert {"README.md", "src/app.py", "work.txt"} <= desk.files(published)
    assert git(desk.origin, "merge-base", "main", published.commit) == desk.checkout.base_commit
    assert git(desk.origin, "fsck", "--strict", "--no-dangling") == ""


async def test_commits_on_another_branch_count_where_the_agent_went_back_from_it(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "elsewhere")
    made = commit(desk.run.workspace, {"work.txt": "worked\n"}, "Work")
    desk.run.git("checkout", "-q", "-")
    published = await desk.land()
    assert published.commit == made
    assert desk.show(published, "work.txt") == "worked"


async def test_commits_on_another_branch_that_are_damaged_are_not_told_as_no_change(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "elsewhere")
    made = commit(desk.run.workspace, {"work.txt": "worked\n"}, "Work")
    desk.run.git("checkout", "-q", "-")
    blob = git(desk.run.workspace, "rev-parse", f"{made}:work.txt")
    (desk.run.workspace / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(InvalidError, match="could not be packed"):
        await desk.land()


async def test_commits_on_another_branch_do_not_count_where_the_agent_worked_on_its_own(desk: Desk) -> None:
    desk.run.git("checkout", "-q", "-b", "elsewhere")
    commit(desk.run.workspace, {"aside.txt": "aside\n"}, "Aside")
    desk.run.git("checkout", "-q", "-")
    desk.write("work.txt", "worked\n")
    assert "aside.txt" not in desk.files(await desk.land())


async def test_what_a_sparse_checkout_leaves_out_is_not_deleted(desk: Desk) -> None:
    desk.run.git("sparse-checkout", "set", "docs")
    assert not (desk.run.workspace / "src").exists()
    desk.write("docs/new.md")
    assert desk.files(await desk.land()) == {"README.md", "src/app.py", "docs/new.md"}


async def test_a_repository_made_inside_becomes_a_folder(desk: Desk) -> None:
    make_repository(desk.run.workspace / "app")
    make_repository(desk.run.workspace / "app" / "deep er" / "one")
    (desk.run.workspace / "unborn").mkdir()
    git(desk.run.workspace / "unborn", "init", "-q")
    desk.write("unborn/file")
    desk.write(".gitignore", "node_modules/\n")
    desk.write("app/node_modules/big.js")
    desk.write("app/.gitignore", "*.log\n")
    desk.write("app/x.log")
    inside = {"app/README.md", "app/src/app.py", "app/.gitignore", "app/deep er/one/README.md", "app/deep er/one/src/app.py", "unborn/file"}
    assert desk.files(await desk.land()) == {"README.md", "src/app.py", ".gitignore"} | inside
    assert (desk.run.workspace / "app" / ".git").is_dir()


async def test_submodules_stay_at_their_commit(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(origin), "library")
    git(origin, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    commit(origin, {})
    pinned = git(origin, "rev-parse", "HEAD:library")
    desk = await Desk(repositories, origin, run).begin()
    run.git("submodule", "--quiet", "update", "--init")
    commit(run.workspace / "library", {"x": "y"})
    desk.write("work")
    published = await desk.land()
    assert git(origin, "rev-parse", f"{published.commit}:library") == pinned
    assert "work" in desk.files(published)


async def test_pipes_and_unreadable_files_do_not_stop_the_rest(desk: Desk) -> None:
    os.mkfifo(desk.run.workspace / "pipe")
    (desk.run.workspace / "dangling").symlink_to("nowhere")
    desk.write("work")
    assert desk.files(await desk.land()) == {"README.md", "src/app.py", "dangling", "work"}


async def test_collecting_again_gives_the_same_commit(desk: Desk) -> None:
    commit(desk.run.workspace, {"one": "1\n"}, "One")
    first = await desk.land()
    assert await desk.land() == first


async def test_what_stood_in_the_result_folder_before_goes(desk: Desk) -> None:
    (desk.run.result / "none").write_text("x")
    (desk.run.result / "problem").mkdir()
    (desk.run.result / "bundle").symlink_to("/etc/passwd")
    desk.write("work")
    await desk.land()
    assert names(desk.run.result) == ["bundle", "head"]


async def test_a_workspace_that_was_emptied_is_said(desk: Desk) -> None:
    for entry in names(desk.run.workspace):
        path = desk.run.workspace / entry
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    desk.collect()
    with pytest.raises(InvalidError, match="deleted its workspace"):
        await desk.publish()


async def test_a_result_that_was_never_collected_is_said(desk: Desk) -> None:
    with pytest.raises(UnavailableError, match="was not collected"):
        await desk.publish()


async def test_the_workspace_is_left_as_it_was(desk: Desk) -> None:
    desk.write("work")
    before = desk.run.git("status", "--porcelain"), desk.run.git("rev-parse", "HEAD")
    desk.collect()
    assert (desk.run.git("status", "--porcelain"), desk.run.git("rev-parse", "HEAD")) == before


async def test_a_result_of_a_repository_with_sha256_arrives(repositories: Repositories, run: Run, tmp_path: Path) -> None:
    desk = await Desk(repositories, make_repository(tmp_path / "modern", "--object-format=sha256"), run).begin()
    desk.write("work")
    assert len((await desk.land()).commit) == 64


async def test_a_result_of_a_shallow_repository_arrives(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    commit(origin, {"x": "y"})
    git(tmp_path, "clone", "-q", "--depth=1", f"file://{origin}", "shallow")
    desk = await Desk(repositories, tmp_path / "shallow", run).begin()
    desk.write("work")
    assert "work" in desk.files(await desk.land())
