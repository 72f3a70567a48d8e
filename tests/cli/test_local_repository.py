import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from hedgerow.cli.errors import UsageError
from hedgerow.cli.local_repository import inspect, keep_changes, keep_commit

Git = Callable[..., str]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "shop"
    path.mkdir()
    git = git_in(path)
    git("init", "--quiet", "--initial-branch=main")
    (path / ".gitignore").write_text("*.log\n")
    (path / "kept.txt").write_text("one\n")
    (path / "gone.txt").write_text("two\n")
    git("add", ".")
    git("commit", "--quiet", "-m", "first")
    return path


def git_in(folder: Path) -> Git:
    def git(*arguments: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout

    return git


def make_dirty(folder: Path) -> None:
    (folder / "kept.txt").write_text("changed\n")
    (folder / "gone.txt").unlink()
    (folder / "new ümlaut.txt").write_text("new\n")
    (folder / "noise.log").write_text("ignored\n")
    (folder / "staged.txt").write_text("staged\n")
    git_in(folder)("add", "staged.txt")


def test_a_clean_checkout_is_seen_as_one(folder: Path) -> None:
    seen = inspect(folder)
    assert (seen.root, seen.branch, seen.dirty) == (folder, "main", False)
    assert seen.commit == git_in(folder)("rev-parse", "HEAD").strip()


def test_a_checkout_is_found_from_a_folder_inside_of_it(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    assert inspect(folder / "deep" / "er").root == folder


def test_what_is_not_committed_is_counted(folder: Path) -> None:
    make_dirty(folder)
    assert inspect(folder).summary == "3 changed files and 1 new file"


def test_a_renamed_file_counts_once(folder: Path) -> None:
    git_in(folder)("mv", "kept.txt", "moved.txt")
    assert inspect(folder).changed == ("moved.txt",)


def test_kept_changes_hold_the_whole_work_tree_and_leave_everything_as_it_was(folder: Path) -> None:
    make_dirty(folder)
    git = git_in(folder)
    status, branches, index = git("status", "--porcelain=v2"), git("branch", "-a"), (folder / ".git" / "index").read_bytes()
    head, listing = git("rev-parse", "HEAD"), sorted((folder / ".git").iterdir())
    ref = keep_changes(inspect(folder))
    assert (folder / ".git" / "index").read_bytes() == index
    assert (git("status", "--porcelain=v2"), git("branch", "-a"), git("rev-parse", "HEAD")) == (status, branches, head)
    assert sorted((folder / ".git").iterdir()) == listing
    assert ref.startswith("refs/hedgerow/changes/")
    assert git("-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", ref).split("\n")[:-1] == [
        ".gitignore",
        "kept.txt",
        "new ümlaut.txt",
        "staged.txt",
    ]
    assert git("show", f"{ref}:kept.txt") == "changed\n"
    assert git("rev-parse", f"{ref}^") == head


def test_kept_changes_can_be_fetched_from_elsewhere(folder: Path, tmp_path: Path) -> None:
    make_dirty(folder)
    ref = keep_changes(inspect(folder))
    clone = tmp_path / "clone"
    subprocess.run(["git", "init", "--quiet", str(clone)], check=True)
    git_in(clone)("fetch", "--quiet", str(folder), ref)
    assert git_in(clone)("show", "FETCH_HEAD:staged.txt") == "staged\n"


def test_changes_are_kept_before_the_first_commit_too(tmp_path: Path) -> None:
    git = git_in(tmp_path)
    git("init", "--quiet")
    (tmp_path / "a.txt").write_text("a\n")
    seen = inspect(tmp_path)
    assert seen.commit is None
    assert git("show", f"{keep_changes(seen)}:a.txt") == "a\n"


def test_a_repository_inside_is_left_out_and_said(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    git_in(inner)("init", "--quiet")
    git_in(inner)("commit", "--quiet", "--allow-empty", "-m", "x")
    (folder / "kept.txt").write_text("changed\n")
    seen = inspect(folder)
    assert any("inner/" in caution for caution in seen.cautions)
    assert "inner" not in git_in(folder)("ls-tree", "-r", "--name-only", keep_changes(seen))


def test_changes_in_a_submodule_are_said(folder: Path, tmp_path: Path) -> None:
    library = tmp_path / "library"
    shutil.copytree(folder, library)
    git_in(folder)("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library), "library")
    git_in(folder)("commit", "--quiet", "-m", "submodule")
    (folder / "library" / "kept.txt").write_text("other\n")
    seen = inspect(folder)
    assert seen.submodules == ("library",)
    assert seen.changed == ()
    assert "submodules" in seen.cautions[0]


def test_a_huge_file_is_said(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (folder / "huge.bin").open("wb") as file:
        file.truncate(60 * 1024 * 1024)
    assert "huge.bin" in inspect(folder).cautions[0]


def test_a_commit_on_no_branch_gets_a_ref_to_be_fetched_by(folder: Path) -> None:
    git = git_in(folder)
    git("checkout", "--quiet", "--detach")
    seen = inspect(folder)
    assert seen.branch is None
    assert git("rev-parse", keep_commit(seen)).strip() == seen.commit


@pytest.mark.parametrize("name", ["", "nowhere"])
def test_what_is_no_checkout_is_said_in_a_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match=r"is not in a git repository|There is no folder"):
        inspect(tmp_path / name)


def test_a_bare_repository_is_said(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path)], check=True)
    with pytest.raises(UsageError, match="bare"):
        inspect(tmp_path)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can look at somebody else's files as they would")
def test_root_leaves_nothing_of_its_own_in_somebody_elses_repository(folder: Path) -> None:
    make_dirty(folder)
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        theirs = Path(open_to_all) / "shop"
        shutil.copytree(folder, theirs)
        for path in (theirs, *theirs.rglob("*")):
            os.chown(path, 65534, 65534)
        keep_changes(inspect(theirs))
        assert {path.lstat().st_uid for path in theirs.rglob("*")} == {65534}
        assert inspect(theirs).dirty
