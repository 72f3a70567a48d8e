"""Checkpoints as a worker takes and restores them: real git, real sandboxes, a real database and store."""

import asyncio
import base64
import json
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest

from hedgerow.db import executions, runs
from hedgerow.domain.access import PersonalCaller, RunCaller
from hedgerow.domain.actions import BeginAgain, Checkpoint, Land, Prepare
from hedgerow.domain.artifacts import ArtifactType
from hedgerow.domain.checkpoints import HANDED_OVER, CheckpointRules
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import EndReason, SandboxHandle, TaskRun
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.lifecycle.begin_again import begin_again
from hedgerow.lifecycle.checkpoint import checkpoint
from hedgerow.lifecycle.ends import EndsRunError, fail
from hedgerow.lifecycle.facts import TakenOverError
from hedgerow.lifecycle.land import land
from hedgerow.lifecycle.prepare import prepare
from hedgerow.operations import artifact_collection, logs
from hedgerow.operations.appends import append_log
from hedgerow.operations.artifacts import InlineArtifact, add_artifacts, download, store_artifacts
from hedgerow.repositories import Repositories
from hedgerow.sandboxes import SandboxOptions, SandboxProvider, providers
from hedgerow.storage import ObjectStore
from tests.lifecycle.conftest import World
from tests.repositories.workbench import commit, git, make_repository, standing, tree

pytestmark = pytest.mark.whole


@pytest.fixture
async def desk(world: World, tmp_path: Path) -> World:
    """A node with real repositories and sandboxes that are ordinary processes."""
    return await real(world, tmp_path, "process")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every account can reach."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-checkpoints-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


async def real(world: World, folder: Path, sandbox: str, **rules: Any) -> World:
    make_repository(folder / "origin")
    repositories = Repositories(folder / "real-mirrors", allow_local=True)
    backends = replace(world.node.backends, rules=replace(world.node.backends.rules, **rules))
    sandboxes = providers(SandboxOptions())
    return world.with_node(backends=backends, repositories=repositories, sandboxes=sandboxes, sandbox_choice=sandbox)


async def begun(world: World, folder: Path) -> TaskRun:
    """A run whose workspace is checked out."""
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE repositories SET clone_url = %s", [str(folder / "origin")])
        await executions.claim(tx, run.id, world.node.id)
    return await prepared(world, await world.fresh(run))


async def prepared(world: World, run: TaskRun) -> TaskRun:
    await prepare(world.node, run, Prepare(sandbox=False, workspace=True))
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"session_ready_at": world.node.backends.clock.now()})
    return await world.fresh(run)


def workspace(world: World, run: TaskRun) -> Path:
    return world.node.folders(run.id).workspace


async def taken(world: World, run: TaskRun) -> TaskRun:
    """The run after a checkpoint of it was tried."""
    await checkpoint(world.node, run, Checkpoint())
    return await world.fresh(run)


async def entries(world: World, run: TaskRun, method: str) -> list[dict[str, Any]]:
    """The params of the entries of a method on the run's journal."""
    pieces = await logs.read_logs(world.node.backends, world.caller, world.project, run.task_id, run.id)
    lines = b"".join([piece async for piece in pieces]).splitlines()
    told = [json.loads(line)["notification"] for line in lines]
    return [entry["params"] for entry in told if entry["method"] == f"_posthog/{method}"]


async def elsewhere(world: World, run: TaskRun, folder: Path) -> tuple[World, TaskRun]:
    """The run as another node takes it up: nothing of its files is left, the mirror is another one."""
    shutil.rmtree(world.node.folders(run.id).root)
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, dict(executions.FORGOTTEN))
        await executions.claim(tx, run.id, world.node.id)
    other = world.with_node(repositories=Repositories(folder / "other-mirrors", allow_local=True))
    return other, await prepared(other, await world.fresh(run))


def work(folder: Path) -> None:
    """An agent works: a commit, something staged, changed, new, and ignored."""
    commit(folder, {"one": "1\n"}, "The agent's")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "noise.log").write_text("noise")
    (folder / "README.md").write_text("changed\n")
    (folder / "staged").write_text("s\n")
    git(folder, "add", "staged")
    (folder / "data").write_bytes(bytes(range(256)) * 1000)


def seen(folder: Path) -> tuple[dict[str, Any], list[str]]:
    """The files but those that are ignored, and how they stand."""
    files = tree(folder)
    files.pop("noise.log", None)
    return files, standing(folder)


async def test_a_run_goes_on_elsewhere_from_its_checkpoint(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    before = seen(workspace(desk, run))
    run = await taken(desk, run)
    told = (await entries(desk, run, "git_checkpoint"))[0]
    assert run.execution.checkpoint == {name: value for name, value in told.items() if name != "device"}
    assert (told["baseCommit"], told["remoteUrl"]) == (run.execution.base_commit, str(tmp_path / "origin"))
    assert told["device"] == {"type": "cloud", "name": "hedgerow"}
    assert [(a["storage_path"], a["name"]) for a in run.artifacts] == [
        (told["artifactPath"], f"{told['checkpointId']}.pack"),
        (told["indexArtifactPath"], f"{told['checkpointId']}.index"),
    ]
    other, again = await elsewhere(desk, run, tmp_path)
    assert seen(workspace(other, again)) == before
    assert not (workspace(other, again) / "noise.log").exists()
    assert again.execution.base_commit == run.execution.base_commit
    progress = [p for p in await entries(desk, run, "progress") if p["step"] == "restore"]
    assert [(p["status"], p.get("detail")) for p in progress] == [
        ("in_progress", None),
        ("completed", f"restored checkpoint {told['checkpointId']}"),
    ]
    # Nothing has changed since, so nothing is written; and the work can be landed.
    assert (await taken(other, again)).execution.checkpoint == again.execution.checkpoint
    assert len(await entries(desk, run, "git_checkpoint")) == 1
    await land(other.node, await other.fresh(again), Land())
    landed = await other.fresh(again)
    assert git(tmp_path / "origin", "log", "--format=%s", f"{landed.branch}~1", "-1") == "The agent's"


async def test_what_clients_download_is_base64_of_what_git_wrote(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    run = await taken(desk, run)
    for artifact, magic in zip(run.artifacts, (b"PACK", b"DIRC"), strict=True):
        found = await download(desk.node.backends, desk.caller, desk.project, run.task_id, run.id, artifact["storage_path"])
        content = b"".join([piece async for piece in found.pieces])
        assert len(content) == artifact["size"]
        assert base64.b64decode(content, validate=True).startswith(magic)


async def test_a_try_is_a_fact_whatever_comes_of_it(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    shutil.rmtree(workspace(desk, run))
    run = await taken(desk, run)
    assert run.execution.checkpointed_at is not None
    assert run.execution.checkpointed_at_rest
    assert run.execution.checkpoint_failed
    assert run.execution.checkpoint is None
    assert [told["level"] for told in await entries(desk, run, "console")] == ["warn"]


async def test_a_checkpoint_that_is_too_large_is_an_event_and_the_run_goes_on(world: World, tmp_path: Path) -> None:
    desk = await real(world, tmp_path, "process", checkpoints=CheckpointRules(largest_bytes=2**20))
    run = await begun(desk, tmp_path)
    (workspace(desk, run) / "large").write_bytes(os.urandom(3 * 2**20))
    run = await taken(desk, run)
    assert run.execution.checkpoint is None
    assert run.artifacts == []
    assert "larger than 1 MiB" in (await entries(desk, run, "console"))[0]["message"]
    (workspace(desk, run) / "large").unlink()
    run = await taken(desk, run)
    assert run.execution.checkpoint is not None
    assert not run.execution.checkpoint_failed


async def test_only_the_newest_checkpoints_are_kept(world: World, tmp_path: Path) -> None:
    desk = await real(world, tmp_path, "process", checkpoints=CheckpointRules(kept=2))
    run = await begun(desk, tmp_path)
    paths = []
    for number in range(4):
        (workspace(desk, run) / "file").write_text(str(number))
        run = await taken(desk, run)
        paths.append([artifact["storage_path"] for artifact in run.artifacts[-2:]])
    assert [artifact["storage_path"] for artifact in run.artifacts] == [*paths[2], *paths[3]]
    await artifact_collection.collect(desk.node.backends)
    there = [await desk.node.backends.storage.head(path) is not None for pair in paths for path in pair]
    assert there == [False] * 4 + [True] * 4
    assert len(await entries(desk, run, "git_checkpoint")) == 4


async def test_nothing_of_a_try_is_left_on_the_node_but_what_the_next_one_needs(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    await taken(desk, run)
    left = {entry.name for entry in desk.node.folders(run.id).root.iterdir()}
    assert left == {"workspace", "home", "spool", "checkpoints", "checkpoint.log"}


async def test_a_worker_that_was_left_behind_writes_nothing(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"epoch": run.execution.epoch + 1})
    with pytest.raises(TakenOverError):
        await checkpoint(desk.node, run, Checkpoint())
    fresh = await desk.fresh(run)
    assert (fresh.execution.checkpoint, fresh.execution.checkpointed_at, fresh.artifacts) == (None, None, [])


@pytest.mark.parametrize("harm", ["missing", "damaged", "wrong base"])
async def test_a_checkpoint_that_does_not_apply_is_an_event_and_then_the_plain_branch(desk: World, tmp_path: Path, harm: str) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    run = await taken(desk, run)
    path, store = run.artifacts[0]["storage_path"], desk.node.backends.storage
    if harm == "missing":
        await store.delete(path)
    elif harm == "damaged":

        async def other() -> AsyncIterator[bytes]:
            yield b"UEFDS0FB"

        await store.put(path, other())
    else:
        async with desk.node.backends.database.transaction() as tx:
            await runs.note(tx, run.id, {"checkpoint": dict(run.execution.checkpoint or {}) | {"baseCommit": "1" * 40}})
    world, again = await elsewhere(desk, run, tmp_path)
    assert tree(workspace(world, again)).keys() == {"README.md", "src/app.py"}
    assert git(workspace(world, again), "status", "--porcelain") == ""
    assert again.execution.checkpoint is None
    failed = [p for p in await entries(desk, run, "progress") if (p["step"], p["status"]) == ("restore", "failed")]
    assert len(failed) == 1
    assert failed[0]["detail"].endswith("The run goes on from the branch as it is.")
    # The next checkpoint is a whole one.
    (workspace(world, again) / "new").write_text("n\n")
    assert (await taken(world, again)).execution.checkpoint is not None


async def test_landed_work_needs_no_checkpoint(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    run = await taken(desk, run)
    await land(desk.node, run, Land())
    landed = await desk.fresh(run)
    assert landed.execution.checkpoint is None
    assert len(landed.artifacts) == 2  # clients go on from them
    _, again = await here_again(desk, landed)
    assert git(workspace(desk, again), "status", "--porcelain") == ""
    assert git(workspace(desk, again), "log", "-1", "--format=%s") == "Mend it"
    assert not [p for p in await entries(desk, run, "progress") if p["step"] == "restore"]


async def refused(desk: World, folder: Path, run: TaskRun) -> TaskRun:
    """The run once its work was landed, while its origin takes no pushes."""
    hook = folder / "origin" / ".git" / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    await land(desk.node, run, Land())
    hook.unlink()
    return await desk.fresh(run)


async def here_again(world: World, run: TaskRun) -> tuple[World, TaskRun]:
    """The run as the same node takes it up, once it was started again."""
    async with world.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"restarting": True})
    await begin_again(world.node, await world.fresh(run), BeginAgain())
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
    return world, await prepared(world, await world.fresh(run))


@pytest.mark.parametrize("same_node", [False, True], ids=["on another node", "on the same node"])
async def test_work_that_could_not_be_pushed_goes_on_from_its_checkpoint(desk: World, tmp_path: Path, same_node: bool) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    before = seen(workspace(desk, run))
    landed = await refused(desk, tmp_path, await taken(desk, run))
    assert (landed.output["pushed"], landed.execution.checkpoint is None) == (False, False)
    other, again = await (here_again(desk, landed) if same_node else elsewhere(desk, landed, tmp_path))
    assert seen(workspace(other, again)) == before
    await land(other.node, again, Land())
    assert (await other.fresh(again)).output["pushed"]
    assert (await other.fresh(again)).execution.checkpoint is None
    assert git(tmp_path / "origin", "show", f"{landed.branch}:README.md") == "changed"


async def test_a_checkpoint_that_lacks_work_gives_way_to_what_was_landed(desk: World, tmp_path: Path) -> None:
    run = await taken(desk, await begun(desk, tmp_path))
    work(workspace(desk, run))
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"checkpoint_failed": True})
    landed = await refused(desk, tmp_path, await desk.fresh(run))
    assert (landed.output["pushed"], landed.execution.checkpoint) == (False, None)


async def test_a_turn_that_was_over_is_no_success_where_its_checkpoint_does_not_apply(desk: World, tmp_path: Path) -> None:
    run = await taken(desk, await begun(desk, tmp_path))
    await desk.node.backends.storage.delete(run.artifacts[0]["storage_path"])
    shutil.rmtree(desk.node.folders(run.id).root)
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"turn_ended_at": desk.node.backends.clock.now(), "session_ready_at": None, "checked_out_at": None})
    lost, action = await desk.fresh(run), Prepare(sandbox=False, workspace=True)
    with pytest.RaisesGroup(EndsRunError) as raised:
        await prepare(desk.node, lost, action)
    assert (await desk.fresh(run)).execution.checkpoint == lost.execution.checkpoint, "a worker killed here leaves it to the next look"
    await fail(desk.node, lost, action, raised.value)
    execution = (await desk.fresh(run)).execution
    assert execution.checkpoint is None
    assert execution.ending is not None
    assert execution.ending.reason is EndReason.SANDBOX_LOST
    assert "goes on" not in (execution.ending.message or "")


async def handed_over(world: World, run: TaskRun, params: dict[str, Any], watcher: World | None = None) -> TaskRun:
    """The run once a client has told of a checkpoint."""
    entry = {"type": "notification", "notification": {"jsonrpc": "2.0", "method": "_posthog/git_checkpoint", "params": params}}
    body = json.dumps({"entries": [entry]}).encode()
    await append_log(world.node.backends, world.caller, world.project, run.task_id, run.id, body)
    return await (watcher or world).fresh(run)


async def client_checkpoint(world: World, run: TaskRun, *, raw: bool = False) -> dict[str, Any]:
    """What a client tells of its own checkpoint: that of the server, uploaded anew, without what clients do not know."""
    known = dict(run.execution.checkpoint or {})
    backends, who = world.node.backends, (world.caller, world.project, run.task_id, run.id)
    for name in ("artifactPath", "indexArtifactPath"):
        found = await download(backends, *who, known[name])
        content = b"".join([piece async for piece in found.pieces]).decode()
        item = InlineArtifact(name="handoff/c.pack", type=ArtifactType.ARTIFACT, source="", content=content, is_base64=raw, content_type="")
        known[name] = (await add_artifacts(backends, *who, await store_artifacts(backends, *who, [item])))[-1]["storage_path"]
    return {name: value for name, value in known.items() if name not in {"baseCommit", "branches"}} | {"checkpointId": str(uuid4())}


@pytest.mark.parametrize("raw", [False, True], ids=["base64", "bytes of git"])
async def test_a_run_goes_on_from_what_its_client_hands_over(desk: World, tmp_path: Path, raw: bool) -> None:
    run = await begun(desk, tmp_path)
    work(workspace(desk, run))
    before = seen(workspace(desk, run))
    run = await taken(desk, run)
    params = await client_checkpoint(desk, run, raw=raw)
    await land(desk.node, await desk.fresh(run), Land())
    assert (await desk.fresh(run)).execution.checkpoint is None
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"branch": None})
    run = await handed_over(desk, run, params)
    assert run.execution.checkpoint == params | {HANDED_OVER: True}
    other, again = await elsewhere(desk, run, tmp_path)
    assert seen(workspace(other, again))[0] == before[0]
    assert git(workspace(other, again), "status", "--porcelain") == before[1][0].partition("\n")[2].strip()
    assert again.execution.checkpoint == params
    (workspace(other, again) / "more").write_text("m\n")
    checkpointed = (await taken(other, again)).execution.checkpoint
    assert checkpointed is not None
    assert checkpointed["baseCommit"] == run.execution.base_commit


async def test_the_leaving_start_does_not_overwrite_what_a_client_hands_over(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    run = await taken(desk, run)
    params = await client_checkpoint(desk, run)
    run = await handed_over(desk, run, params)
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"restarting": True})
    work(workspace(desk, run))
    run = await taken(desk, await desk.fresh(run))
    await land(desk.node, run, Land())
    assert (await desk.fresh(run)).execution.checkpoint == params | {HANDED_OVER: True}
    assert len(await entries(desk, run, "git_checkpoint")) == 3  # the last of the earlier start among them


async def test_a_checkpoint_that_could_not_be_restored_is_a_mere_entry(desk: World, tmp_path: Path) -> None:
    run = await taken(desk, await begun(desk, tmp_path))
    unsound: list[dict[str, Any]] = [
        {"artifactPath": "tasks/artifacts/elsewhere"},
        {"indexArtifactPath": "tasks/artifacts/elsewhere"},
        {"head": None},
        {"head": "--upload-pack=x"},
        {"worktreeTree": 7},
        {"checkpointId": "new\nline"},
        {"branch": "x" * 5000},
        {"artifactPath": None},
    ]
    for changes in unsound:
        told = dict(run.execution.checkpoint or {}) | changes
        assert (await handed_over(desk, run, told)).execution.checkpoint == run.execution.checkpoint, changes
    assert len(await entries(desk, run, "git_checkpoint")) == 1 + len(unsound)


async def test_an_agents_word_about_files_does_not_count(desk: World, tmp_path: Path) -> None:
    run = await taken(desk, await begun(desk, tmp_path))
    told = dict(run.execution.checkpoint or {}) | {"head": "1" * 40}
    agent = RunCaller(run_id=run.id, epoch=run.execution.epoch)
    after = await handed_over(replace(desk, caller=cast("PersonalCaller", agent)), run, told, desk)
    assert after.execution.checkpoint == run.execution.checkpoint


class FullStore:
    """A store that takes nothing and gives nothing."""

    async def put(self, key: str, pieces: AsyncIterator[bytes], *, content_type: str = "") -> None:
        raise UnavailableError("The store is full.")

    async def read(self, key: str) -> None:
        raise UnavailableError("The store does not answer.")


@dataclass
class HeldSandboxes:
    """Sandboxes whose end nobody hears of."""

    inner: SandboxProvider
    made: asyncio.Event = field(default_factory=asyncio.Event)
    destroyed: int = 0
    name: str = "process"
    isolated: bool = False
    owner: tuple[int, int] | None = None

    async def check(self) -> None:
        await self.inner.check()

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        handle = await self.inner.create(spec)
        self.made.set()
        return handle

    async def wait(self, handle: SandboxHandle) -> None:
        await asyncio.Event().wait()

    async def destroy(self, handle: SandboxHandle) -> None:
        self.destroyed += 1
        await self.inner.destroy(handle)


def held(world: World, **rules: Any) -> tuple[World, HeldSandboxes]:
    sandboxes = HeldSandboxes(world.node.sandboxes["process"])
    backends = replace(world.node.backends, rules=replace(world.node.backends.rules, **rules))
    return world.with_node(sandboxes=cast("dict[str, SandboxProvider]", {"process": sandboxes}), backends=backends), sandboxes


async def test_a_checkpoint_that_is_given_up_leaves_nothing_and_is_due_again(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    holding, sandboxes = held(desk)
    work = asyncio.create_task(checkpoint(holding.node, run, Checkpoint()))
    await asyncio.wait_for(sandboxes.made.wait(), timeout=20)
    work.cancel()
    await asyncio.wait([work])
    assert sandboxes.destroyed == 1
    assert not list(desk.node.folders(run.id).root.glob("checkpoint-*"))
    assert (await desk.fresh(run)).execution.checkpointed_at is None
    assert (await taken(desk, run)).execution.checkpoint is not None


async def test_a_checkpoint_that_takes_too_long_is_an_event(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    holding, sandboxes = held(desk, checkpoints=CheckpointRules(seconds=0.5))
    run = await taken(holding, run)
    assert (run.execution.checkpoint, sandboxes.destroyed) == (None, 1)
    assert run.execution.checkpointed_at is not None
    assert "took longer than 0.5 seconds" in (await entries(desk, run, "console"))[0]["message"]


async def test_what_a_killed_worker_left_of_a_try_goes_with_the_next(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    root = desk.node.folders(run.id).root
    (root / "checkpoint-0badc0de").mkdir()
    (root / "checkpoints").mkdir()
    (root / "checkpoints" / "index.lock").touch()
    assert (await taken(desk, run)).execution.checkpoint is not None
    assert not list(root.glob("checkpoint-*"))


async def test_a_store_that_takes_nothing_is_an_event(desk: World, tmp_path: Path) -> None:
    run = await begun(desk, tmp_path)
    broken = desk.with_node(backends=replace(desk.node.backends, storage=cast("ObjectStore", FullStore())))
    run = await taken(broken, run)
    assert (run.execution.checkpoint, run.artifacts) == (None, [])
    assert [told["message"] for told in await entries(desk, run, "console")] == ["The store is full."]
    assert (await taken(desk, run)).execution.checkpoint is not None


async def test_a_store_that_does_not_answer_is_asked_again_and_the_checkpoint_stays(desk: World, tmp_path: Path) -> None:
    run = await taken(desk, await begun(desk, tmp_path))
    broken = desk.with_node(backends=replace(desk.node.backends, storage=cast("ObjectStore", FullStore())))
    with pytest.raises(ExceptionGroup) as raised:
        await elsewhere(broken, run, tmp_path)
    assert raised.group_contains(EndsRunError, match=r"^The checkpoint \S+ could not be restored. The store does not answer.$")
    assert (await desk.fresh(run)).execution.checkpoint == run.execution.checkpoint
    assert (await entries(desk, run, "progress"))[-1]["status"] == "failed"
    # So it is where the run ends, and is brought back only to be landed.
    patient = desk.with_node(deadlines=replace(desk.node.deadlines, prepare_attempts=2))
    async with desk.node.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"ending": {"status": "completed", "reason": "finished", "message": None}})
    before = await desk.fresh(run)
    assert await fail(patient.node, before, Prepare(sandbox=False, workspace=True), raised.value)
    after = await desk.fresh(run)
    assert (after.execution.prepare_attempts, after.execution.ending) == (1, before.execution.ending)
    assert await fail(patient.node, after, Prepare(sandbox=False, workspace=True), raised.value)
    ending = (await desk.fresh(run)).execution.ending
    assert ending is not None
    assert ending.reason is EndReason.SANDBOX_FAILED


async def test_isolated_sandboxes_take_and_restore_as_well(world: World, shared: Path) -> None:
    desk = await real(replace(world, node=replace(world.node, data_dir=shared)), shared, "bubblewrap")
    try:
        await desk.node.sandboxes["bubblewrap"].check()
    except UnavailableError as problem:
        pytest.skip(problem.message)
    run = await begun(desk, shared)
    folder = workspace(desk, run)
    work(folder)
    owner = desk.node.sandboxes["bubblewrap"].owner
    if owner is not None:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, *owner, follow_symlinks=False)
    before = seen(folder)
    run = await taken(desk, run)
    assert await entries(desk, run, "console") == []
    other, again = await elsewhere(desk, run, shared)
    if owner is not None:
        assert {path.lstat().st_uid for path in workspace(other, again).rglob("*")} == {owner[0]}
    assert seen(workspace(other, again)) == before
