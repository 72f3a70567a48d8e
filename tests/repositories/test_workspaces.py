import os
import shutil
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hedgerow.domain.errors import InvalidError, UnavailableError
from hedgerow.repositories import Checkout, Repositories
from tests.repositories.workbench import Run, commit, git, names, objects

SANDBOX = (54321, 54321)


async def check_out(
    repositories: Repositories, run: Run, origin: Path, branch: str = "hedgerow/TSK-1-1", owner: tuple[int, int] | None = None
) -> Checkout:
    return await repositories.check_out(project_id=1, clone_url=str(origin), base=None, branch=branch, workspace=run.workspace, owner=owner)


async def test_a_workspace_is_a_clean_clone_on_a_new_branch(repositories: Repositories, origin: Path, run: Run) -> None:
    git(origin, "tag", "v1")
    checkout = await check_out(repositories, run, origin)
    assert (run.workspace / "src" / "app.py").read_text() == "print('hello')\n"
    assert run.git("status", "--porcelain", "--branch") == "## hedgerow/TSK-1-1"
    assert run.git("rev-parse", "HEAD", "origin/main", "v1", "origin/HEAD").split() == [checkout.base_commit] * 4
    assert run.git("remote", "get-url", "origin") == str(origin)
    assert run.git("fsck", "--strict") == ""
    assert not (run.workspace / ".git" / "hooks").exists()


async def test_a_workspace_borrows_its_objects_from_the_mirror(repositories: Repositories, origin: Path, run: Run) -> None:
    checkout = await check_out(repositories, run, origin)
    assert (run.workspace / ".git/objects/info/alternates").read_text() == f"{checkout.mirror}/objects\n"
    assert objects(run.workspace / ".git") == {"objects/info/alternates"}


async def test_the_folder_is_filled_and_never_replaced(repositories: Repositories, origin: Path, run: Run) -> None:
    before = run.workspace.stat().st_ino
    await check_out(repositories, run, origin)
    assert run.workspace.stat().st_ino == before


async def test_a_half_made_checkout_is_made_again(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").touch()
    (run.workspace / ".git" / "objects").mkdir(parents=True)
    (run.workspace / ".git" / "index.lock").touch()
    (run.workspace / "left").symlink_to(elsewhere)
    (run.workspace / "README.md").mkdir()
    await check_out(repositories, run, origin)
    await check_out(repositories, run, origin)
    assert names(run.workspace) == [".git", "README.md", "src"]
    assert run.git("status", "--porcelain") == ""
    assert (elsewhere / "kept").exists()


async def test_executables_links_and_odd_names_arrive(repositories: Repositories, origin: Path, run: Run) -> None:
    (origin / "run.sh").write_text("#!/bin/sh\n")
    (origin / "run.sh").chmod(0o755)
    (origin / "link").symlink_to("README.md")
    (origin / "tab\tand ünïcode\nname").write_text("odd\n")
    commit(origin, {})
    await check_out(repositories, run, origin)
    assert (run.workspace / "run.sh").stat().st_mode & stat.S_IXUSR
    assert (run.workspace / "link").readlink() == Path("README.md")
    assert (run.workspace / "tab\tand ünïcode\nname").read_text() == "odd\n"


async def test_an_agent_can_commit_at_once(repositories: Repositories, origin: Path, run: Run) -> None:
    await check_out(repositories, run, origin)
    assert run.git("config", "user.name") == "hedgerow"
    assert run.git("config", "user.email") == "hedgerow@localhost"


async def test_no_filter_or_hook_of_anybody_runs_at_the_checkout(
    repositories: Repositories, origin: Path, run: Run, operator: dict[str, str], tmp_path: Path
) -> None:
    trace = tmp_path / "ran"
    hooks = Path(operator["HOME"]) / "hooks"
    hooks.mkdir()
    for name in ("post-checkout", "reference-transaction", "post-index-change"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {trace}\n")
        (hooks / name).chmod(0o755)
    core = f"[core]\n\thooksPath = {hooks}\n\tfsmonitor = touch {trace}; false\n"
    config = f'{core}[filter "lfs"]\n\tsmudge = touch {trace}; cat\n\trequired = true\n'
    (Path(operator["HOME"]) / ".gitconfig").write_text(config)
    commit(origin, {".gitattributes": "*.bin filter=lfs\n", "big.bin": "version https://git-lfs.github.com/spec/v1\n"})
    await check_out(repositories, run, origin)
    assert (run.workspace / "big.bin").read_text().startswith("version https://git-lfs")
    assert not trace.exists()


async def test_a_workspace_of_a_path_with_odd_characters_has_a_readable_origin(
    repositories: Repositories, origin: Path, run: Run, tmp_path: Path
) -> None:
    odd = tmp_path / 'my "own" \\ app #1; x'
    shutil.move(origin, odd)
    await check_out(repositories, run, odd)
    assert run.git("remote", "get-url", "origin") == str(odd)


async def test_submodules_stay_empty(repositories: Repositories, origin: Path, run: Run, tmp_path: Path) -> None:
    git(tmp_path, "clone", "-q", str(origin), "library")
    git(origin, "submodule", "--quiet", "add", str(tmp_path / "library"), "library")
    commit(origin, {})
    await check_out(repositories, run, origin)
    assert names(run.workspace / "library") == []
    assert run.git("status", "--porcelain") == ""


async def test_a_missing_workspace_folder_is_said(repositories: Repositories, origin: Path, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be written"):
        await check_out(repositories, Run(tmp_path / "nowhere"), origin)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for one MiB. Only where one can be mounted."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_is_said_and_nothing_stays_on_it(repositories: Repositories, origin: Path, small_disk: Path) -> None:
    commit(origin, {"large": "".join(map(str, range(400_000)))})
    with pytest.raises(UnavailableError, match=r"could not be checked out: the disk is full\.$"):
        await repositories.check_out(
            project_id=1, clone_url=str(origin), base=None, branch="hedgerow/DEF-1-1", workspace=small_disk, owner=None
        )
    assert names(small_disk) == []


async def test_a_name_that_cannot_be_a_branch_is_refused(repositories: Repositories, origin: Path, run: Run) -> None:
    with pytest.raises(InvalidError, match="not a valid name of a branch"):
        await check_out(repositories, run, origin, branch="a b")


async def test_a_small_repository_is_checked_out_within_a_tenth_of_a_second(
    repositories: Repositories, origin: Path, new_run: Callable[[], Run]
) -> None:
    times = []
    for _ in range(8):
        run = new_run()
        began = time.perf_counter()
        await check_out(repositories, run, origin)
        times.append(time.perf_counter() - began)
    assert min(times) < 0.1


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_as_root_the_whole_workspace_belongs_to_the_sandbox_account(repositories: Repositories, origin: Path, run: Run) -> None:
    outside = origin / "outside"
    outside.touch()
    (origin / "link").symlink_to(outside)
    commit(origin, {})
    await check_out(repositories, run, origin, owner=SANDBOX)
    for path in (run.workspace, *run.workspace.rglob("*")):
        assert (path.lstat().st_uid, path.lstat().st_gid) == SANDBOX, path
    assert outside.lstat().st_uid == 0
    await check_out(repositories, run, origin, owner=SANDBOX)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
async def test_a_mirror_can_be_read_by_the_sandbox_account_whatever_the_umask(repositories: Repositories, origin: Path, run: Run) -> None:
    former = os.umask(0o077)
    try:
        checkout = await check_out(repositories, run, origin, owner=SANDBOX)
    finally:
        os.umask(former)
    for path in (checkout.mirror, *checkout.mirror.rglob("*")):
        assert path.stat().st_mode & (stat.S_IROTH | (stat.S_IXOTH if path.is_dir() else 0)), path
