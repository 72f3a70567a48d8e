"""Checkpoints of workspaces that people and agents have worked in, put into fresh ones."""

import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hedgerow.domain import checkpoints as domain
from hedgerow.domain.checkpoints import GitCheckpoint
from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories import Repositories, Restoring, Taking
from hedgerow.repositories.checkpoints import Files
from tests.repositories.desk import BRANCH, Desk
from tests.repositories.workbench import Run, commit, git, make_repository, names, standing, tree

MOST = 50 * 2**20
NOW = datetime(2026, 5, 7, tzinfo=UTC)


@dataclass
class Camera:
    """Takes checkpoints of one workspace, and remembers the last."""

    desk: Desk
    known: GitCheckpoint | None = None
    taken: int = 0
    files: Files | None = None

    def taking(self, **changes: Any) -> Taking:
        """The next checkpoint to take."""
        run, self.taken = self.desk.run, self.taken + 1
        result, own = run.folder / f"checkpoint-{self.taken}", run.folder / "checkpoints"
        result.mkdir()
        own.mkdir(exist_ok=True)
        checkout = self.desk.checkout
        taking = Taking(
            workspace=run.workspace,
            own=own,
            result=result,
            mirror=checkout.mirror,
            base_commit=checkout.base_commit,
            known=self.known,
            max_bytes=MOST,
        )
        return replace(taking, **changes)

    async def take(self, **changes: Any) -> GitCheckpoint | None:
        """The checkpoint; None where nothing has changed."""
        taking = self.taking(**changes)
        run_command(taking.command(), self.desk.run.folder)
        target = self.desk.run.folder / f"kept-{self.taken}"
        target.mkdir()
        files = await self.desk.repositories.read_taken(taking, target)
        if files is None:
            return None
        params = domain.told("c1", files.taken, remote_url="https://git.test/a", pack_path="p", index_path="i", now=NOW)
        kept = domain.kept(params)
        assert kept is not None
        self.known, self.files = domain.read(kept), files
        return self.known

    async def certain(self) -> GitCheckpoint:
        """A checkpoint of something that has changed."""
        checkpoint = await self.take()
        assert checkpoint is not None
        return checkpoint


def run_command(command: tuple[str, ...], folder: Path) -> None:
    """Run a script as the one-shot sandbox does."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    subprocess.run(command, env=environment, cwd=folder, check=True, timeout=60, capture_output=True)


@pytest.fixture
def camera(desk: Desk) -> Camera:
    return Camera(desk)


@dataclass
class Fresh:
    """A workspace that has just been checked out, for a checkpoint to be put into."""

    desk: Desk

    async def restore(self, checkpoint: GitCheckpoint, files: Files | None, *, index: bool = True) -> str:
        """Put a checkpoint into it; the base that its work began at."""
        run = self.desk.run
        incoming, result = run.folder / "incoming", run.folder / "restored"
        incoming.mkdir()
        result.mkdir()
        if files is not None:
            shutil.copyfile(files.pack, incoming / "pack")
            if index:
                shutil.copyfile(files.index, incoming / "index")
        checkout = self.desk.checkout
        restoring = Restoring(
            workspace=run.workspace, incoming=incoming, result=result, start_commit=checkout.base_commit, checkpoint=checkpoint
        )
        restoring.write_refs()
        run_command(restoring.command(), run.folder)
        return await self.desk.repositories.read_restored(restoring, checkout.mirror)


@pytest.fixture
async def fresh(tmp_path: Path, operator: dict[str, str], origin: Path, new_run: Callable[[], Run]) -> Callable[[], Any]:
    """A fresh workspace on another machine: with mirrors of its own."""

    async def make() -> Fresh:
        run = new_run()
        elsewhere = Repositories(tmp_path / f"mirrors-{run.folder.name}", allow_local=True, environment=operator)
        return Fresh(await Desk(elsewhere, origin, run).begin())

    return make


def make_dirty(desk: Desk) -> None:
    """Everything that an agent may leave behind at once."""
    folder = desk.run.workspace
    commit(folder, {"one": "1\n", "gone": "g\n", "moved": "content to be moved\n" * 9, "both": "b\n"}, "The agent's own")
    git(folder, "branch", "aside")
    commit(folder, {"two": "2\n"}, "The agent's second")
    desk.write(".gitignore", "*.log\nbuild/\n")
    desk.write("noise.log")
    desk.write("build/out")
    desk.write("forced.log", "tracked all the same\n")
    git(folder, "add", "-f", "forced.log")
    desk.write("deep/er/untracked", "u\n")
    desk.write('odd\nname\twith "quotes" and ünïcode', "odd\n")
    (folder / "gone").unlink()
    git(folder, "mv", "moved", "moved-away")
    desk.write("README.md", "changed, not staged\n")
    desk.write("both", "staged\n")
    git(folder, "add", "both")
    desk.write("both", "staged, then changed\n")
    desk.write("new-staged", "n\n")
    git(folder, "add", "new-staged")
    git(folder, "rm", "-q", "--cached", "two")
    script = folder / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    (folder / "src" / "app.py").chmod(0o755)
    (folder / "link").symlink_to("README.md")
    (folder / "dangling").symlink_to("/nowhere/at/all")
    (folder / "binary").write_bytes(bytes(range(256)) * 40)
    (folder / "dos.txt").write_bytes(b"a\r\nb\r\n")


async def test_a_workspace_comes_back_as_it_was(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    make_dirty(desk)
    checkpoint = await camera.certain()
    other = await fresh()
    assert await other.restore(checkpoint, camera.files) == desk.checkout.base_commit
    before, after = tree(desk.run.workspace), tree(other.desk.run.workspace)
    assert before.keys() - after.keys() == {"noise.log", "build/out"}  # what is ignored stays behind
    assert {name: before[name] for name in after} == after
    assert standing(other.desk.run.workspace) == standing(desk.run.workspace)
    git(other.desk.run.workspace, "fsck", "--strict")
    # What is restored can be landed, and taken down again: nothing has changed.
    assert await Camera(other.desk, known=checkpoint).take() is None
    published = await other.desk.land()
    assert other.desk.files(published) >= {"one", "moved-away", "forced.log", "deep/er/untracked", "link", "binary"}


async def test_what_has_not_changed_is_not_taken_again(desk: Desk, camera: Camera) -> None:
    first = await camera.certain()
    assert await camera.take() is None
    desk.write("new")
    second = await camera.certain()
    assert (second.head, second.index_tree) == (first.head, first.index_tree)
    assert second.worktree_tree != first.worktree_tree
    assert await camera.take() is None
    git(desk.run.workspace, "add", "new")
    third = await camera.certain()
    assert third.worktree_tree == second.worktree_tree == third.index_tree
    git(desk.run.workspace, "commit", "-q", "-m", "New")
    assert (await camera.certain()).head == git(desk.run.workspace, "rev-parse", "HEAD")
    git(desk.run.workspace, "switch", "-q", "-c", "another")
    assert (await camera.certain()).branch == "another"
    assert await camera.take() is None


async def test_an_edit_of_the_same_size_within_a_second_is_seen(desk: Desk, camera: Camera) -> None:
    await camera.certain()
    before = (desk.run.workspace / "README.md").stat()
    desk.write("README.md", "Jello\n")
    os.utime(desk.run.workspace / "README.md", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert await camera.take() is not None


async def test_a_later_checkpoint_stands_alone(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    commit(desk.run.workspace, {"one": "1\n"}, "One")
    desk.write("kept", "k\n")
    await camera.certain()
    desk.write("later", "l\n")
    checkpoint = await camera.certain()
    other = await fresh()
    await other.restore(checkpoint, camera.files)
    assert tree(other.desk.run.workspace) == tree(desk.run.workspace)
    assert len(list((desk.run.folder / "checkpoints" / "objects").rglob("*.pack"))) == 1


async def test_a_clean_workspace_gives_a_checkpoint_without_objects(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    checkpoint = await camera.certain()
    assert checkpoint.head == desk.checkout.base_commit
    other = await fresh()
    await other.restore(checkpoint, camera.files)
    assert standing(other.desk.run.workspace) == standing(desk.run.workspace)


async def test_line_ends_and_filters_change_no_byte(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    (desk.run.workspace / ".gitattributes").write_text("* text=auto eol=crlf\n*.id ident\n*.big filter=lfs\n")
    (desk.run.workspace / "unix").write_bytes(b"a\nb\n")
    (desk.run.workspace / "dos").write_bytes(b"a\r\nb\r\n")
    (desk.run.workspace / "a.id").write_bytes(b"$Id: something $\n")
    (desk.run.workspace / "a.big").write_bytes(b"large\n")
    git(desk.run.workspace, "add", "dos", "unix", ".gitattributes")
    git(desk.run.workspace, "commit", "-q", "-m", "Attributes")
    other = await fresh()
    await other.restore(await camera.certain(), camera.files)
    assert tree(other.desk.run.workspace) == tree(desk.run.workspace)


async def test_repositories_inside_come_back_as_folders(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    make_repository(desk.run.workspace / "inner")
    git(desk.run.workspace, "init", "-q", "unborn")
    desk.write("unborn/file")
    checkpoint = await camera.certain()
    assert await camera.take() is None
    desk.write("inner/src/app.py", "changed inside\n")
    assert (await camera.certain()).worktree_tree != checkpoint.worktree_tree
    other = await fresh()
    assert camera.known is not None
    await other.restore(camera.known, camera.files)
    assert tree(other.desk.run.workspace) == tree(desk.run.workspace)


async def test_a_submodule_keeps_its_commit(
    tmp_path: Path, origin: Path, repositories: Repositories, run: Run, fresh: Callable[[], Any]
) -> None:
    part = make_repository(tmp_path / "part")
    git(origin, "submodule", "--quiet", "add", str(part), "sub")
    git(origin, "commit", "-q", "-m", "A submodule")
    desk = await Desk(repositories, origin, run).begin()
    desk.write("new")
    camera = Camera(desk)
    other = await fresh()
    await other.restore(await camera.certain(), camera.files)
    assert standing(other.desk.run.workspace) == standing(desk.run.workspace)
    assert "160000 " + git(part, "rev-parse", "HEAD") in git(other.desk.run.workspace, "ls-files", "-s", "sub")


async def test_a_detached_head_comes_back(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    commit(desk.run.workspace, {"one": "1\n"}, "One")
    git(desk.run.workspace, "checkout", "-q", "--detach")
    commit(desk.run.workspace, {"two": "2\n"}, "Two")
    other = await fresh()
    await other.restore(await camera.certain(), camera.files)
    assert standing(other.desk.run.workspace) == standing(desk.run.workspace)


async def test_in_the_middle_of_a_merge_the_files_are_kept(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    folder = desk.run.workspace
    git(folder, "switch", "-q", "-c", "theirs")
    commit(folder, {"README.md": "Theirs\n"})
    git(folder, "switch", "-q", BRANCH)
    commit(folder, {"README.md": "Ours\n"})
    git(folder, "read-tree", "-m", "HEAD~1", "HEAD", "theirs")  # as a merge that stops at a conflict leaves the index
    assert git(folder, "ls-files", "-u")
    desk.write("README.md", "<<< Ours\n=== Theirs\n")
    other = await fresh()
    await other.restore(await camera.certain(), camera.files)
    assert tree(other.desk.run.workspace) == tree(folder)
    assert git(other.desk.run.workspace, "status", "--porcelain") == "M README.md"
    assert await camera.take() is None


async def test_an_agents_git_configuration_runs_nothing(desk: Desk, camera: Camera, fresh: Callable[[], Any], tmp_path: Path) -> None:
    folder, trap = desk.run.workspace, tmp_path / "sprung"
    spring = f"touch {trap}; cat"
    for key in ("filter.evil.clean", "filter.evil.smudge", "diff.external", "core.fsmonitor", "core.sshCommand", "core.pager"):
        git(folder, "config", key, spring)
    git(folder, "config", "core.hooksPath", str(folder / "hooks"))
    desk.write(".gitattributes", "* filter=evil\n")
    for hook in ("pre-commit", "post-index-change", "reference-transaction", "post-checkout"):
        desk.write(f"hooks/{hook}", f"#!/bin/sh\ntouch {trap}\n")
        (folder / "hooks" / hook).chmod(0o755)
    checkpoint = await camera.certain()
    other = await fresh()
    await other.restore(checkpoint, camera.files)
    assert not trap.exists()
    assert tree(other.desk.run.workspace) == tree(folder)
    assert "evil" not in (other.desk.run.workspace / ".git" / "config").read_text()


async def test_without_its_git_folder_the_files_are_kept(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    desk.write("new")
    shutil.rmtree(desk.run.workspace / ".git")
    checkpoint = await camera.certain()
    assert (checkpoint.head, checkpoint.branch) == (desk.checkout.base_commit, None)
    other = await fresh()
    await other.restore(checkpoint, camera.files)
    assert tree(other.desk.run.workspace) == tree(desk.run.workspace)


async def test_a_workspace_that_is_gone_or_emptied_is_said(desk: Desk, camera: Camera) -> None:
    for entry in desk.run.workspace.iterdir():
        shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    with pytest.raises(UnavailableError, match=r"deleted its workspace"):
        await camera.take()
    desk.run.workspace.rmdir()
    with pytest.raises(UnavailableError, match=r"could not be entered"):
        await camera.take()


async def test_a_checkpoint_that_is_too_large_is_said_and_the_next_one_is_taken(desk: Desk, camera: Camera) -> None:
    (desk.run.workspace / "large").write_bytes(os.urandom(3 * 2**20))
    with pytest.raises(UnavailableError, match=r"larger than 1 MiB"):
        await camera.take(max_bytes=2**20)
    assert names(desk.run.folder / "checkpoint-1") == ["problem"]
    (desk.run.workspace / "large").unlink()
    assert await camera.take(max_bytes=2**20) is not None


async def test_what_was_kept_and_is_damaged_is_made_anew(desk: Desk, camera: Camera) -> None:
    desk.write("new")
    await camera.certain()
    (desk.run.folder / "checkpoints" / "index").write_bytes(b"no index")
    with pytest.raises(UnavailableError, match=r"damaged"):
        await camera.take()
    assert await camera.take() is None


async def test_a_pack_that_is_damaged_does_not_apply(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    make_dirty(desk)
    checkpoint = await camera.certain()
    assert camera.files is not None
    damaged = bytearray(camera.files.pack.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    camera.files.pack.write_bytes(damaged)
    other = await fresh()
    before = standing(other.desk.run.workspace)
    with pytest.raises(InvalidError, match=r"its pack is damaged"):
        await other.restore(checkpoint, camera.files)
    assert standing(other.desk.run.workspace) == before


async def test_a_checkpoint_of_another_history_does_not_apply(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    desk.write("new")
    checkpoint = await camera.certain()
    with pytest.raises(InvalidError, match=r"not in the repository"):
        await (await fresh()).restore(replace(checkpoint, base_commit="1" * 40), camera.files)
    with pytest.raises(InvalidError, match=r"objects of it are missing"):
        await (await fresh()).restore(replace(checkpoint, worktree_tree="1" * 40), camera.files)
    with pytest.raises(InvalidError, match=r"a branch that git does not allow"):
        await (await fresh()).restore(replace(checkpoint, branch="../../x"), camera.files)
    with pytest.raises(InvalidError, match=r"its pack is damaged"):
        await (await fresh()).restore(checkpoint, None)


async def test_without_an_index_file_what_was_staged_is_staged(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    make_dirty(desk)
    other = await fresh()
    await other.restore(await camera.certain(), camera.files, index=False)
    assert standing(other.desk.run.workspace) == standing(desk.run.workspace)


async def test_a_client_that_names_no_base_gets_that_of_its_history(desk: Desk, camera: Camera, fresh: Callable[[], Any]) -> None:
    base = desk.checkout.base_commit
    commit(desk.run.workspace, {"one": "1\n"}, "One")
    checkpoint = replace(await camera.certain(), base_commit=None, branches={})
    commit(desk.origin, {"meanwhile": "m\n"}, "Meanwhile")
    other = await fresh()
    assert await other.restore(checkpoint, camera.files) == base
    assert tree(other.desk.run.workspace) == tree(desk.run.workspace)


@pytest.mark.parametrize("entry", ["pack", "state", "index"])
async def test_a_result_that_is_no_plain_file_is_refused(desk: Desk, camera: Camera, entry: str, tmp_path: Path) -> None:
    taking = camera.taking()
    run_command(taking.command(), desk.run.folder)
    (tmp_path / "secret").write_text((taking.result / "state").read_text() if entry == "state" else "secret")
    (taking.result / entry).unlink()
    (taking.result / entry).symlink_to(tmp_path / "secret")
    with pytest.raises(InvalidError, match=r"not an ordinary file"):
        await desk.repositories.read_taken(taking, tmp_path)
