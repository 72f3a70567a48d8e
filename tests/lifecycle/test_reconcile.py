"""What a look at a run achieves, where the world behaves and where it does not."""

import asyncio
import json
from typing import Any

from hedgerow.db import executions
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.lifecycle import reconcile
from hedgerow.operations import logs
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemoryAgent, agents


async def progress(world: World, run: TaskRun) -> list[dict[str, Any]]:
    """What the run's log shows of its steps."""
    pieces = await logs.read_logs(world.node.backends, world.caller, world.project, run.task_id, run.id)
    text = b"".join([piece async for piece in pieces])
    entries = [json.loads(line)["notification"] for line in text.splitlines()]
    return [entry["params"] for entry in entries if entry["method"] == "_posthog/progress"]


async def steps(world: World, run: TaskRun) -> list[tuple[str, str]]:
    """The steps that the run's log shows, with their status."""
    return [(params["step"], params["status"]) for params in await progress(world, run)]


async def assert_nothing_left(world: World, run: TaskRun) -> None:
    """No sandbox, no door, no folder, and nobody who must look again."""
    assert world.sandboxes.alive == {}
    assert world.gate.doors == {}
    assert not world.node.folders(run.id).root.exists()
    execution = (await world.fresh(run)).execution
    assert (execution.wake_at, execution.sandbox) == (None, None)
    assert execution.cleaned_at is not None


async def test_a_cancel_ends_a_clone_that_is_under_way_at_once(world: World) -> None:
    run = await world.run()
    looking = asyncio.create_task(reconcile(world.node, run.id))
    await world.repositories.began.wait()
    await world.patch(run, status=RunStatus.CANCELLED)
    await asyncio.wait_for(looking, timeout=5)
    assert world.repositories.given_up.is_set()
    await assert_nothing_left(world, run)


async def test_a_repository_that_cannot_be_cloned_ends_the_run_with_its_sentence(world: World) -> None:
    world.repositories.let_go.set()
    world.repositories.problem = UnavailableError("git.test does not answer.")
    run = await world.run()
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.error_message) == (RunStatus.FAILED, "git.test does not answer.")
    assert ended.state["end_reason"] == "start_failed"
    assert ("checkout", "failed") in await steps(world, run)
    await assert_nothing_left(world, run)


async def test_a_sandbox_that_dies_before_its_agent_is_ready_ends_the_run(world: World) -> None:
    world.repositories.let_go.set()
    run = await world.run()
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"]) == (RunStatus.FAILED, "sandbox_failed")
    assert "exit code 0" in (ended.error_message or "")
    await assert_nothing_left(world, run)


async def test_without_bubblewrap_only_the_scripted_agent_runs_by_itself(world: World) -> None:
    run = await world.run(runtime_adapter="claude", model="default")
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert ended.state["end_reason"] == "sandbox_failed"
    assert "HEDGEROW_SANDBOX=process" in (ended.error_message or "")
    assert world.sandboxes.made == 0


async def test_an_agent_without_a_key_is_a_failed_start(world: World) -> None:
    world = world.with_node(agents=agents(MemoryAgent("scripted"), MemoryAgent("claude", problem="No key.")), sandbox_choice="process")
    world.repositories.let_go.set()
    run = await world.run(runtime_adapter="claude", model="default")
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.error_message, ended.state["end_reason"]) == ("No key.", "start_failed")


async def test_an_error_that_nobody_foresaw_still_ends_the_run_and_hides_its_details(world: World) -> None:
    world.repositories.let_go.set()
    world.repositories.problem = RuntimeError("a secret detail")  # type: ignore[assignment]
    run = await world.run()
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert ended.status is RunStatus.FAILED
    assert "secret detail" not in (ended.error_message or "")
    await assert_nothing_left(world, run)


async def test_a_run_of_another_node_is_left_alone(world: World) -> None:
    run = await world.run()
    elsewhere = uuid7()
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute("INSERT INTO nodes VALUES (%s, 'http://elsewhere.test', now())", [elsewhere])
        assert await executions.claim(tx, run.id, elsewhere)
    await reconcile(world.node, run.id)
    assert (await world.fresh(run)).execution.node_id == elsewhere
    assert world.sandboxes.made == 0


async def test_two_looks_at_once_make_one_claim(world: World) -> None:
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        claims = [await executions.claim(tx, run.id, world.node.id) for _ in range(2)]
    assert claims == [True, False]
    assert (await world.fresh(run)).execution.epoch == 1


async def test_what_an_older_epoch_writes_is_refused(world: World) -> None:
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
        assert not await executions.record(tx, run, {"base_commit": "2" * 40})


async def test_a_result_that_cannot_be_collected_keeps_the_files_and_says_where(world: World) -> None:
    run = await world.run()
    folders = world.node.folders(run.id)
    folders.workspace.mkdir(parents=True)
    now = world.node.backends.clock.now()
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
        claimed = await executions.look(tx, run.id)
        assert claimed is not None
        done = {"checked_out_at": now, "session_ready_at": now, "base_commit": "1" * 40}
        await executions.record(tx, claimed[0], done | {"ending": {"status": "completed", "reason": "finished", "message": None}})
    world.repositories.publishing_problem = UnavailableError("The disk is full.")
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert ended.status is RunStatus.FAILED
    assert "The disk is full." in (ended.error_message or "")
    assert str(folders.workspace) in (ended.error_message or "")
    assert folders.workspace.exists()


async def test_a_task_without_a_repository_gets_an_empty_workspace(world: World) -> None:
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE tasks SET repository = NULL WHERE id = %s", [run.task_id])
    await reconcile(world.node, run.id)
    assert not world.repositories.began.is_set()
    assert "checkout" not in dict(await steps(world, run))
