"""What a node removes and what it leaves, with real folders, a real git and a real database."""

import asyncio
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from hedgerow.agents import runtime_tree
from hedgerow.agents.pins import PACKAGES
from hedgerow.db import artifacts, executions
from hedgerow.db.rows import as_json
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.housekeeping import Kind, Removal, Retention
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.lifecycle import Outcome, keep_house, plan_now
from hedgerow.operations import logs, repositories
from hedgerow.repositories import Repositories
from tests.lifecycle.conftest import World

DAYS = Retention(workspace_days=30, mirror_days=90, runtime_days=7)


def later(world: World, days: float, **retention: Any) -> World:
    """The same world so many days later, under the retention of these tests."""
    clock = FixedClock(world.node.backends.clock.now() + timedelta(days=days))
    return world.with_node(backends=replace(world.node.backends, clock=clock), retention=replace(DAYS, **retention))


async def house_kept(world: World, plan: Sequence[Removal] | None = None) -> list[Outcome]:
    """What became of everything that was planned."""
    return [outcome async for outcome in keep_house(world.node, await plan_now(world.node) if plan is None else plan)]


STAYS = "it was needed again, had gone already, or is damaged"


async def planned(world: World) -> list[tuple[Kind, str]]:
    """What is planned, by kind and name."""
    return [(removal.kind, getattr(removal.subject, "name", str(removal.subject))) for removal in await plan_now(world.node)]


async def facts(world: World, run: TaskRun, **changed: Any) -> TaskRun:
    """The run with other facts of its execution."""
    async with world.node.backends.database.transaction() as tx:
        await executions.record(tx, run, changed)
    return await world.fresh(run)


async def ended(world: World) -> TaskRun:
    """A run of this node that has ended and was tidied up."""
    run = await world.patch(await world.run(), status=RunStatus.COMPLETED)
    return await facts(world, run, node_id=world.node.id, cleaned_at=world.node.backends.clock.now(), wake_at=None)


def folder_of(world: World, run_id: UUID, suffix: str = "") -> Path:
    """A folder of a run with a file in it."""
    folder = world.node.folders(run_id).root
    folder = folder.with_name(folder.name + suffix)
    (folder / "workspace").mkdir(parents=True)
    (folder / "workspace" / "note.txt").write_text("hours of work")
    return folder


@pytest.fixture
def world(world: World, tmp_path: Path) -> World:
    """A node whose repositories are real."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    real = Repositories(tmp_path / "mirrors", allow_local=True, environment=environment)
    allowed = replace(world.node.backends, rules=replace(world.node.backends.rules, allow_local_repositories=True))
    return world.with_node(repositories=real, backends=allowed)


async def test_folders_go_that_no_run_uses_once_their_days_are_over(world: World) -> None:
    over, living, waiting = await ended(world), await world.run(), await world.run()
    await facts(world, living, node_id=world.node.id)
    kept, aside = folder_of(world, over.id), folder_of(world, living.id, "-kept-1")
    stranger, lives, waits = folder_of(world, uuid4()), folder_of(world, living.id), folder_of(world, waiting.id)
    (kept / "workspace").chmod(0o500)

    assert await planned(later(world, 29)) == []
    assert await planned(later(world, 31, workspace_days=0)) == []
    plan = await plan_now(later(world, 31).node)
    assert {removal.subject for removal in plan} == {kept, aside, stranger}
    assert all(removal.size_bytes is not None and removal.size_bytes >= 4096 for removal in plan)
    outcomes = await house_kept(later(world, 31))

    assert [outcome.problem for outcome in outcomes] == [None, None, None]
    assert sorted(path.name for path in (world.node.data_dir / "runs").iterdir()) == sorted([lives.name, waits.name])
    assert await house_kept(later(world, 31)) == []


async def test_a_run_that_was_started_again_meanwhile_keeps_its_folder(world: World) -> None:
    run = await ended(world)
    folder = folder_of(world, run.id)
    house = later(world, 31)
    plan = await plan_now(house.node)
    assert [removal.subject for removal in plan] == [folder]
    await facts(world, run, cleaned_at=None)

    assert [outcome.problem for outcome in await house_kept(house, plan)] == [STAYS]
    assert (folder / "workspace" / "note.txt").exists()


async def test_what_was_cut_off_in_the_middle_goes_the_next_time(world: World) -> None:
    remains = world.node.data_dir / "runs" / ".going-0123"
    half = world.node.data_dir / "mirrors" / "1" / ".going-4567"
    for folder in (remains, half):
        (folder / "workspace").mkdir(parents=True)

    assert {outcome.removal.subject for outcome in await house_kept(world)} == {remains, half}
    assert not remains.exists()
    assert not half.exists()


async def test_two_at_once_remove_everything_once_and_fail_at_nothing(world: World) -> None:
    folders = [folder_of(world, (await ended(world)).id) for _ in range(5)]
    house = later(world, 31)
    plan = await plan_now(house.node)

    both = await asyncio.gather(house_kept(house, plan), house_kept(house, plan))

    assert not any(folder.exists() for folder in folders)
    done = [outcome.removal.subject for outcomes in both for outcome in outcomes if outcome.problem is None]
    assert sorted(done) == sorted(folders)


def git(folder: Path, *arguments: str) -> None:
    """Run git as a person."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-c", "user.name=Ada", "-c", "user.email=ada@example.test", *arguments], cwd=folder, env=environment, check=True)


def make_folder(path: Path) -> None:
    path.mkdir(parents=True)


async def mirrored(world: World, tmp_path: Path, workspace: Path) -> tuple[Path, str]:
    """A mirror that a workspace borrows from, and the clone URL."""
    origin = tmp_path / "origin"
    origin.mkdir()
    git(origin, "init", "-q", "-b", "main")
    git(origin, "commit", "-q", "--allow-empty", "-m", "first")
    make_folder(workspace)
    checkout = await world.node.repositories.check_out(
        project_id=world.project.id, clone_url=str(origin), base=None, branch="work", workspace=workspace, owner=None
    )
    return checkout.mirror, str(origin)


async def test_a_mirror_goes_once_nobody_has_used_it_for_long_and_no_workspace_borrows_from_it(world: World, tmp_path: Path) -> None:
    run = await ended(world)
    folders = world.node.folders(run.id)
    mirror, _ = await mirrored(world, tmp_path, folders.workspace)

    assert await planned(later(world, 80, workspace_days=0)) == []
    assert await planned(later(world, 100, workspace_days=0)) == []  # the kept workspace borrows from it
    folders.root.rename(folders.root.with_name(f"{folders.root.name}-kept-1"))
    assert await planned(later(world, 100, workspace_days=0)) == []
    await house_kept(later(world, 100, mirror_days=0))
    assert mirror.exists()
    outcomes = await house_kept(later(world, 100))

    assert [(outcome.removal.kind, outcome.removal.subject, outcome.problem) for outcome in outcomes] == [(Kind.MIRROR, mirror, None)]
    assert not mirror.parent.exists()


async def test_a_removed_mirror_is_simply_made_again(world: World, tmp_path: Path) -> None:
    mirror, url = await mirrored(world, tmp_path, tmp_path / "elsewhere")
    await house_kept(later(world, 100))
    assert not mirror.exists()

    await world.node.repositories.fetch_default_branch(project_id=world.project.id, clone_url=url)

    assert mirror.exists()
    assert await planned(later(world, 80)) == []


async def test_a_mirror_stays_for_a_run_that_this_node_holds_and_has_no_workspace_yet(world: World, tmp_path: Path) -> None:
    mirror, url = await mirrored(world, tmp_path, tmp_path / "elsewhere")
    run = await facts(world, await world.run(), node_id=world.node.id)
    async with world.node.backends.database.transaction() as tx:
        registered = await repositories.register(world.node.backends, world.caller, world.project, name=None, clone_url=url)
        await tx.connection.execute("UPDATE tasks SET repository = %s WHERE id = %s", [registered.name, run.task_id])

    assert await planned(later(world, 100)) == []
    await facts(world, run, cleaned_at=world.node.backends.clock.now())
    assert await planned(later(world, 100)) == [(Kind.MIRROR, mirror.name)]


@pytest.mark.parametrize(("output", "goes"), [({"pushed": True}, True), ({"pushed": False}, False), (None, False), ([1], False)])
async def test_a_mirror_stays_while_it_holds_a_result_that_was_not_pushed(world: World, tmp_path: Path, output: Any, goes: bool) -> None:
    mirror, _ = await mirrored(world, tmp_path, tmp_path / "elsewhere")
    run = await ended(world)
    git(mirror, "--git-dir=.", "update-ref", f"refs/hedgerow/results/{run.id.hex}/work", "refs/remotes/origin/main")
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE runs SET output = %s WHERE id = %s", [as_json(output), run.id])

    assert [kind for kind, _ in await planned(later(world, 100))] == ([Kind.MIRROR] if goes else [])


async def test_a_mirror_in_which_somebody_has_put_something_by_hand_stays(world: World, tmp_path: Path) -> None:
    mirror, _ = await mirrored(world, tmp_path, tmp_path / "elsewhere")
    git(mirror, "--git-dir=.", "update-ref", "refs/hedgerow/results/by-hand", "refs/remotes/origin/main")

    assert await planned(later(world, 100)) == []


async def test_a_mirror_that_is_used_while_it_is_about_to_go_stays(world: World, tmp_path: Path) -> None:
    mirror, _ = await mirrored(world, tmp_path, tmp_path / "elsewhere")
    house = later(world, 100)
    plan = await plan_now(house.node)
    assert [removal.subject for removal in plan] == [mirror]
    used = house.node.backends.clock.now().timestamp()
    os.utime(mirror.parent.with_suffix(".lock"), (used, used))

    assert [outcome.problem for outcome in await house_kept(house, plan)] == [STAYS]
    assert mirror.exists()


def a_tree(world: World, name: str) -> Path:
    """A runtime tree of another version."""
    tree = world.node.data_dir.resolve() / "runtime" / name
    (tree / "packages").mkdir(parents=True)
    return tree


@pytest.mark.whole
async def test_runtimes_of_other_versions_go_once_no_sandbox_runs_on_them(world: World) -> None:
    own, used, old = runtime_tree.present(world.node.data_dir), a_tree(world, "0.1-a"), a_tree(world, "0.1-b")
    (own / "packages").mkdir(parents=True)
    run = await facts(world, await world.run(), node_id=world.node.id, sandbox={"provider": "process", "id": "1"})
    folder_of(world, run.id)
    house = later(world, 8, workspace_days=0)

    assert await planned(house) == []  # the sandbox does not say which tree it runs on
    world.node.folders(run.id).note_runtime(used)
    assert await planned(later(world, 6, workspace_days=0)) == []
    plan = await plan_now(house.node)
    assert [removal.subject for removal in plan] == [old]
    world.node.folders(run.id).note_runtime(old)
    assert [outcome.problem for outcome in await house_kept(later(world, 20, workspace_days=0), plan)] == [STAYS]
    world.node.folders(run.id).note_runtime(used)
    assert [outcome.problem for outcome in await house_kept(house)] == [None]

    assert own.exists()
    assert used.exists()
    assert not old.exists()
    await facts(world, run, sandbox=None)
    assert await planned(house) == [(Kind.RUNTIME, "0.1-a")]


@pytest.mark.whole
async def test_agents_of_other_versions_go_once_every_sandbox_runs_on_the_present_tree(world: World) -> None:
    root = world.node.data_dir.resolve() / "runtime"
    own, old = root / "agents" / "claude" / PACKAGES["claude"].version, root / "agents" / "claude" / "0.1"
    stranger, node, old_node = root / "agents" / "gone" / "1.0", root / "node" / "24", root / "node" / "20"
    for agent, runs_on in ((own, node), (old, old_node), (stranger, Path("/usr"))):
        (agent / "bin").mkdir(parents=True)
        (agent / "bin" / "node").symlink_to(runs_on / "bin" / "node")
    for half in (node / "bin", old_node / "bin", root / "agents" / "claude" / ".0.2.partial"):
        make_folder(half)
    run = await facts(world, await world.run(), node_id=world.node.id, sandbox={"provider": "process", "id": "1"})
    folder_of(world, run.id)
    world.node.folders(run.id).note_runtime(root / "0.1-old")
    house = later(world, 8, workspace_days=0)

    assert await planned(house) == []
    world.node.folders(run.id).note_runtime(runtime_tree.present(world.node.data_dir))
    assert await planned(later(world, 6, workspace_days=0)) == []
    plan = await plan_now(house.node)
    assert [removal.subject for removal in plan] == [old, stranger]
    world.node.folders(run.id).note_runtime(root / "0.1-old")
    assert [outcome.problem for outcome in await house_kept(house, plan)] == [STAYS, STAYS]
    world.node.folders(run.id).note_runtime(runtime_tree.present(world.node.data_dir))
    os.utime(stranger, (2**33, 2**33))  # somebody has used it again
    assert [outcome.problem for outcome in await house_kept(house, plan)] == [None, STAYS]
    assert await planned(house) == [(Kind.RUNTIME, "20")]
    assert [outcome.problem for outcome in await house_kept(house)] == [None]
    assert sorted(path.relative_to(root) for path in there(root)) == sorted(path.relative_to(root) for path in (own, stranger, node))


def there(root: Path) -> list[Path]:
    """The agents and the Nodes that are left."""
    return [path for pattern in ("agents/*/*", "node/*") for path in root.glob(pattern) if not path.name.startswith(".")]


async def test_a_runtime_whose_removal_was_cut_off_goes_the_next_time(world: World) -> None:
    half = world.node.data_dir.resolve() / "runtime" / "agents" / "claude" / ".0.1-going.partial"
    make_folder(half)

    assert [outcome.removal.subject for outcome in await house_kept(world)] == [half]
    assert list(half.parent.iterdir()) == []


async def said(world: World, run: TaskRun) -> bytes:
    """What the run's log says."""
    return b"".join([piece async for piece in await logs.read_logs(world.node.backends, world.caller, world.project, run.task_id, run.id)])


async def test_journals_go_to_the_archive_and_then_go(world: World) -> None:
    run, other = await ended(world), await world.run()
    body = b'{"entries": [{"n": 1}, {"n": 2}]}'
    await logs.append_log(world.node.backends, world.caller, world.project, run.task_id, run.id, body)
    before = await said(world, run)

    def at(days: float) -> World:
        return later(world, days, journal_days=100, archive_days=50)

    assert await planned(at(49)) == []
    archived = await house_kept(at(51))
    assert [(outcome.removal.kind, outcome.removal.subject, outcome.problem) for outcome in archived] == [
        (Kind.JOURNAL_TO_ARCHIVE, run.id, None)
    ]
    assert await said(world, run) == before
    assert await house_kept(at(60)) == []
    removed = await house_kept(at(101))
    assert [(outcome.removal.kind, outcome.problem) for outcome in removed] == [(Kind.JOURNAL, None)]
    assert b"journal_removed" in await said(world, run)
    objects = await house_kept(at(102))
    assert [outcome.removal.kind for outcome in objects] == [Kind.OBJECT]
    assert objects[0].removal.why.startswith("nothing names it")
    assert objects[0].removal.size_bytes, "the store says how large it is"
    assert await house_kept(at(103)) == []
    assert (await world.fresh(other)).status is RunStatus.QUEUED


async def test_a_store_that_does_not_answer_is_asked_for_one_size_alone(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [f"loose/{number}" for number in range(3)]
    asked = []

    async def head(_: object, key: str) -> None:
        asked.append(key)
        raise UnavailableError("The object store does not answer.")

    monkeypatch.setattr(type(world.node.backends.storage), "head", head)
    async with world.node.backends.database.transaction() as tx:
        await artifacts.announce(tx, paths, world.node.backends.clock.now())
    plan = await plan_now(later(world, 1).node)
    assert sorted((str(removal.subject), removal.size_bytes) for removal in plan) == [(path, None) for path in paths]
    assert len(asked) == 1


async def test_what_fails_is_told_and_the_rest_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = folder_of(world, (await ended(world)).id), folder_of(world, (await ended(world)).id)
    rename = Path.rename

    def refuse(self: Path, target: Path) -> Path:
        if self == first:
            raise PermissionError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    outcomes: Mapping[Any, Any] = {outcome.removal.subject: outcome.problem for outcome in await house_kept(later(world, 31))}

    assert outcomes == {first: "Permission denied", second: None}
    assert first.exists()
