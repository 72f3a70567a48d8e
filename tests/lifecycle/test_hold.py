"""A machine whose disk is nearly full takes no new run, and says so."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from hedgerow.db import executions, nodes
from hedgerow.domain.housekeeping import DISK_FULL, WAITING_KEY
from hedgerow.domain.ids import uuid7
from hedgerow.domain.nodes import NodeListing
from hedgerow.domain.runs import Environment, RunStatus, TaskRun
from hedgerow.lifecycle import reconcile
from hedgerow.operations import logs
from hedgerow.worker.disk_watch import DiskWatch
from hedgerow.worker.signs_of_life import SignsOfLife
from tests.lifecycle.conftest import World

FULL = {"least_free_bytes": 2**62}


async def entries(world: World, run: TaskRun) -> list[str]:
    """What the run's log tells in words: details of progress, and what a console shows."""
    pieces = [piece async for piece in await logs.read_logs(world.node.backends, world.caller, world.project, run.task_id, run.id)]
    told = [json.loads(line)["notification"] for line in b"".join(pieces).splitlines()]
    return [entry["params"].get("detail") or entry["params"].get("message", "") for entry in told]


async def test_a_run_waits_for_room_and_says_so_once(world: World) -> None:
    run = await world.run()
    full = world.with_node(**FULL)

    for _ in range(3):
        await reconcile(full.node, run.id)

    waiting = await world.fresh(run)
    assert (waiting.status, waiting.execution.node_id, waiting.execution.epoch) == (RunStatus.QUEUED, None, 0)
    assert waiting.state[WAITING_KEY] == DISK_FULL
    assert await entries(world, run) == [DISK_FULL, DISK_FULL]
    wake_at = waiting.execution.wake_at
    assert wake_at is not None
    assert wake_at - world.node.backends.clock.now() <= timedelta(seconds=5)


async def test_another_machine_takes_the_run_and_nothing_waits_any_more(world: World) -> None:
    run = await world.run()
    await reconcile(world.with_node(**FULL).node, run.id)
    other = world.with_node(id=uuid7())
    async with world.node.backends.database.transaction() as tx:
        await nodes.report(tx, other.node.id, "http://other.test", 30.0)
    world.repositories.let_go.set()

    await reconcile(other.node, run.id)

    taken = await world.fresh(run)
    assert taken.execution.node_id == other.node.id
    assert WAITING_KEY not in taken.state


async def test_a_run_that_is_held_goes_on_where_the_disk_fills_up(world: World) -> None:
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
    world.repositories.let_go.set()

    await reconcile(world.with_node(**FULL).node, run.id)

    assert (await world.fresh(run)).execution.checked_out_at is not None


async def test_a_client_can_neither_set_nor_remove_what_a_run_waits_for(world: World) -> None:
    run = await world.run()
    await reconcile(world.with_node(**FULL).node, run.id)

    changed = await world.patch(run, state={WAITING_KEY: "Godot"}, state_remove_keys=[WAITING_KEY])

    assert changed.state[WAITING_KEY] == DISK_FULL


@pytest.mark.parametrize("change", [{"status": RunStatus.CANCELLED}, {"environment": Environment.LOCAL}], ids=["ended", "handed over"])
async def test_a_run_that_waits_no_more_does_not_say_so(world: World, change: dict[str, Any]) -> None:
    run = await world.run()
    await reconcile(world.with_node(**FULL).node, run.id)

    assert WAITING_KEY not in (await world.patch(run, **change)).state


async def listed(world: World) -> list[NodeListing]:
    """The nodes as an operator sees them."""
    async with world.node.backends.database.statement() as tx:
        return await nodes.listing(tx)


async def test_a_node_tells_since_when_its_disk_is_full(world: World) -> None:
    full = world.with_node(**FULL)
    await SignsOfLife(full.node, 60).report()
    (first,) = await listed(world)
    await SignsOfLife(full.node, 60).report()
    (second,) = await listed(world)
    await SignsOfLife(world.node, 60).report()
    (third,) = await listed(world)

    assert first.disk_full_since is not None
    assert second.disk_full_since == first.disk_full_since
    assert third.disk_full_since is None
    assert third.disk_free_bytes is not None


async def test_a_worker_makes_room_as_soon_as_its_disk_is_full(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    remains = world.node.data_dir / "runs" / ".going-1"
    _make(remains)
    await DiskWatch(world.with_node(**FULL).node, 3600, asyncio.Event()).look()

    assert not there(remains)
    assert "the disk is nearly full" in capsys.readouterr().out


def _make(folder: Path) -> None:
    folder.mkdir(parents=True)


def there(folder: Path) -> bool:
    return folder.exists()
