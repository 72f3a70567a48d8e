"""The line of a project: who waits knows its place, nobody jumps it, and every place that comes free is taken."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import LiteralString
from uuid import UUID

import pytest
from psycopg import sql
from psycopg.types.json import Json

from hedgerow.db import executions
from hedgerow.db.jobs import RUNS_QUEUE, node_queue
from hedgerow.domain.queue import RunLimits
from hedgerow.domain.runs import Ending, EndReason, Environment, RunStatus, TaskRun
from hedgerow.lifecycle import reconcile
from hedgerow.operations import accounts, queue, runs
from hedgerow.operations.run_requests import RunRequest
from tests.lifecycle.conftest import World

_PATIENCE_SECONDS = 120


def limited(world: World, *, per_project: int = 0, total: int = 0) -> World:
    return world.with_node(limits=RunLimits(per_project=per_project, total=total))


async def start_many(world: World, count: int) -> list[TaskRun]:
    """Runs of one task, started one after the other."""
    first = await world.run()
    started = [first]
    for _ in range(count - 1):
        task = await runs.run_task(world.node.backends, world.caller, world.project, first.task_id, RunRequest())
        assert task.latest_run is not None
        started.append(await runs.retrieve_run(world.node.backends, world.caller, world.project, task.id, task.latest_run.id))
    return started


async def elsewhere(world: World) -> World:
    """The same node and person, in another project."""
    project = await accounts.create_project(world.node.backends, name="Other")
    await accounts.add_member(world.node.backends, email="ada@example.test", project_id=project.id)
    return replace(world, project=project)


async def claimed(world: World, run: TaskRun) -> bool:
    return (await world.fresh(run)).execution.claimed_at is not None


async def position(world: World, run: TaskRun) -> int | None:
    return (await world.fresh(run)).state.get("queue_position")


async def take_in(world: World, run: TaskRun) -> None:
    """One look of a worker at a run that nobody has claimed."""
    async with world.node.backends.database.transaction() as tx:
        await queue.take_in(world.node.backends, tx, run, world.node.limits, world.node.id)


_NOTES = """
    CREATE TABLE told (id bigserial, run_id uuid, place integer);
    CREATE FUNCTION note_told() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF (old.state->>'queue_position') IS DISTINCT FROM (new.state->>'queue_position') THEN
            INSERT INTO told (run_id, place) VALUES (new.id, (new.state->>'queue_position')::integer);
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER notes_told AFTER UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION note_told();
"""


async def note_positions(world: World) -> None:
    """Have the database note every change of a place that readers are told."""
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute(_NOTES)


async def positions_told(world: World) -> dict[UUID, list[int | None]]:
    """The places that the readers of each run were told, one after the other."""
    told: dict[UUID, list[int | None]] = {}
    async with world.node.backends.database.statement() as tx:
        for row in await (await tx.connection.execute("SELECT run_id, place FROM told ORDER BY id")).fetchall():
            told.setdefault(row["run_id"], []).append(row["place"])
    return told


async def count(world: World, condition: LiteralString) -> int:
    async with world.node.backends.database.statement() as tx:
        row = await (await tx.connection.execute(sql.SQL("SELECT count(*) AS count FROM runs WHERE ") + sql.SQL(condition))).fetchone()
    assert row is not None
    return int(row["count"])


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_PATIENCE_SECONDS):
        while not await holds():  # noqa: ASYNC110 - the database is asked, and tells nobody
            await asyncio.sleep(0.05)


async def _work(world: World, stop: asyncio.Event) -> None:
    queues = [RUNS_QUEUE, node_queue(world.node.id)]
    await world.node.backends.jobs.work(queues, partial(reconcile, world.node), concurrency=16, stop=stop)


async def shown(world: World) -> list[int]:
    """The places of all runs that wait, as their readers see them."""
    async with world.node.backends.database.statement() as tx:
        cursor = await tx.connection.execute("SELECT (state->>'queue_position')::integer AS place FROM runs")
        return [row["place"] for row in await cursor.fetchall() if row["place"] is not None]


@pytest.mark.parametrize("number", [15, pytest.param(100, marks=pytest.mark.whole)])
async def test_queue_positions_behind_five_runs_are_a_permutation_that_never_rises_and_every_run_ends(world: World, number: int) -> None:
    world = limited(world, per_project=5)
    await note_positions(world)
    started = await start_many(world, number)
    stop = asyncio.Event()
    worker = asyncio.create_task(_work(world, stop))

    async def all_wait() -> bool:
        return sorted(await shown(world)) == list(range(1, number - 4))

    async def all_ended() -> bool:
        places = await shown(world)
        assert len(set(places)) == len(places)
        assert await count(world, "claimed_at IS NOT NULL AND cleaned_at IS NULL") <= 5
        return await count(world, "cleaned_at IS NOT NULL AND status = 'failed'") == number

    try:
        await until(all_wait)
        assert [await position(world, run) for run in started] == [None] * 5 + list(range(1, number - 4))
        world.repositories.let_go.set()
        await until(all_ended)
    finally:
        stop.set()
        await worker
    told = await positions_told(world)
    assert set(told) == {run.id for run in started[5:]}
    for places in told.values():
        assert places[-1] is None
        falling = [place for place in places if place is not None]
        assert len(falling) == len(places) - 1
        assert falling == sorted(set(falling), reverse=True)


async def test_the_limits_hold_whoever_claims_at_once(world: World) -> None:
    world = limited(world, per_project=2)
    started = await start_many(world, 6)
    await asyncio.gather(*(take_in(world, run) for run in reversed(started)))
    assert [await claimed(world, run) for run in started].count(True) <= 2
    for run in started:
        await take_in(world, run)
    assert [await claimed(world, run) for run in started] == [True, True, False, False, False, False]
    assert [await position(world, run) for run in started[2:]] == [1, 2, 3, 4]


async def test_a_full_project_keeps_no_other_from_its_runs(world: World) -> None:
    world = limited(world, per_project=1)
    other = await elsewhere(world)
    first, second = await start_many(world, 2)
    third = await other.run()
    for run in (first, second, third):
        await take_in(world, run)
    assert [await claimed(world, first), await claimed(world, second), await claimed(other, third)] == [True, False, True]


async def test_with_a_limit_on_all_runs_whoever_was_started_first_goes_first_but_not_for_a_full_project(world: World) -> None:
    world = limited(world, per_project=1, total=2)
    other = await elsewhere(world)
    first, second = await start_many(world, 2)
    third, fourth = await start_many(other, 2)
    for run in (fourth, third, second, first, third):
        await take_in(world, run)
    assert [await claimed(world, first), await claimed(world, second)] == [True, False]
    assert [await claimed(other, third), await claimed(other, fourth)] == [True, False]
    await world.patch(first, status=RunStatus.CANCELLED)
    await reconcile(world.node, first.id)
    for run in (fourth, second):
        await take_in(world, run)
    assert await claimed(world, second)
    assert not await claimed(other, fourth)


@pytest.mark.parametrize("leaves", ["cancel", "hand over", "delete"])
async def test_whoever_leaves_the_line_loses_his_place_at_once_and_the_others_move_up(world: World, leaves: str) -> None:
    world = limited(world, per_project=1)
    first, second, third = await start_many(world, 3)
    await take_in(world, first)
    assert [await position(world, second), await position(world, third)] == [1, 2]
    if leaves == "delete":
        async with world.node.backends.database.transaction() as tx:
            ending = Ending(status=RunStatus.CANCELLED, reason=EndReason.CLIENT)
            await tx.connection.execute("UPDATE runs SET ending = %s WHERE id = %s", [Json(executions.stored_ending(ending)), second.id])
    else:
        changes = {"status": RunStatus.CANCELLED} if leaves == "cancel" else {"environment": Environment.LOCAL}
        assert "queue_position" not in (await world.patch(second, **changes)).state
    await reconcile(world.node, second.id)
    assert await position(world, third) == 1
    left = await world.fresh(second)
    assert (left.execution.place, left.state.get("queue_position"), left.execution.claimed_at) == (None, None, None)


async def test_a_run_that_waits_is_not_tried_again_and_again_and_takes_the_place_that_comes_free(world: World) -> None:
    world = limited(world, per_project=1)
    world.repositories.let_go.set()
    first, second = await start_many(world, 2)
    await take_in(world, first)
    await reconcile(world.node, second.id)
    waits = await world.fresh(second)
    assert waits.execution.wake_at is not None
    assert waits.execution.wake_at > world.node.backends.clock.now()
    await reconcile(world.node, first.id)
    called = await world.fresh(second)
    assert called.execution.wake_at is not None
    assert called.execution.wake_at <= world.node.backends.clock.now()
    await reconcile(world.node, second.id)
    assert (await world.fresh(second)).execution.cleaned_at is not None


async def test_a_place_is_the_servers_to_give(world: World) -> None:
    world = limited(world, per_project=1)
    first, second = await start_many(world, 2)
    await take_in(world, first)
    patched = await world.patch(second, state={"queue_position": -1}, state_remove_keys=("queue_position",))
    assert patched.state["queue_position"] == 1


async def test_a_run_that_goes_on_waits_like_a_new_one(world: World) -> None:
    world = limited(world, per_project=1)
    world.repositories.let_go.set()
    first = await world.run()
    await reconcile(world.node, first.id)
    second = (await start_many(world, 1))[0]
    await take_in(world, second)
    resumed = await world.resume(first)
    await take_in(world, resumed)
    assert await position(world, resumed) == 1


async def test_where_a_limit_is_raised_whoever_begins_calls_the_others_that_there_is_room_for(world: World) -> None:
    world = limited(world, per_project=1)
    started = await start_many(world, 5)
    for run in started:
        await take_in(world, run)
    raised = limited(world, per_project=3)
    late = world.node.backends.clock.now() + timedelta(hours=1)
    async with world.node.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE runs SET wake_at = %s", [late])
    await take_in(raised, started[1])
    wakes = [(await world.fresh(run)).execution.wake_at for run in started]
    assert [wake != late for wake in wakes] == [False, False, True, False, False]
    await take_in(raised, started[2])
    assert [await claimed(world, run) for run in started] == [True, True, True, False, False]
    assert [await position(world, run) for run in started[3:]] == [1, 2]


async def test_where_the_limits_are_taken_away_those_who_wait_begin(world: World) -> None:
    world = limited(world, per_project=1)
    first, second = await start_many(world, 2)
    await take_in(world, first)
    assert await position(world, second) == 1
    world = limited(world)
    world.repositories.let_go.set()
    await reconcile(world.node, second.id)
    ended = await world.fresh(second)
    assert ended.execution.claimed_at is not None
    assert "queue_position" not in ended.state
