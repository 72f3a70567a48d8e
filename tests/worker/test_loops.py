"""A worker whose database comes and goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial

import pytest

from hedgerow.db import executions
from hedgerow.db.database import Database, DatabaseLostError, Transaction
from hedgerow.worker import loops
from hedgerow.worker.loops import every, until_done
from hedgerow.worker.sweep import take_up
from tests.lifecycle.conftest import World


class Blinking(Database):
    """A database that is away once, at one of the first things that it is asked for."""

    def __init__(self, real: Database, away_at: int) -> None:
        self.url = real.url
        self.asked = 0
        self._real = real
        self._away_at = away_at

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        self._blink()
        async with self._real.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        self._blink()
        async with self._real.statement() as tx:
            yield tx

    def _blink(self) -> None:
        self.asked += 1
        if self.asked == self._away_at:
            raise DatabaseLostError


@pytest.mark.parametrize("away_at", [1, 2, 3])
async def test_a_sandbox_is_taken_up_again_though_the_database_was_away_for_a_moment(world: World, away_at: int) -> None:
    run = await world.run()
    async with world.node.backends.database.transaction() as tx:
        await executions.claim(tx, run.id, world.node.id)
        claimed = await executions.look(tx, run.id)
        assert claimed is not None
        await executions.record(tx, claimed[0], {"sandbox": {"provider": "process", "id": "1"}, "session_ready_at": claimed[0].created_at})
    database = Blinking(world.node.backends.database, away_at)
    node = replace(world.node, backends=replace(world.node.backends, database=database))

    assert await until_done(partial(take_up, node), asyncio.Event())

    taken_up = await world.fresh(run)
    assert database.asked > away_at
    assert taken_up.execution.ending is None
    assert taken_up.state["sandbox_url"] == f"http://worker.test/sandboxes/{run.id}"


async def test_a_look_that_waits_for_what_is_away_keeps_no_worker_from_stopping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "_LEAVE_SECONDS", 0.01)
    stop, waits = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        waits.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(every(0.01, look, stop))
    await waits.wait()
    stop.set()
    async with asyncio.timeout(5):
        await working


async def test_a_look_that_is_cut_off_is_over_before_its_worker_is() -> None:
    begun, may_end = asyncio.Event(), asyncio.Event()

    async def look() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            await may_end.wait()

    working = asyncio.create_task(every(0.01, look, asyncio.Event()))
    await begun.wait()
    working.cancel()
    assert await asyncio.wait({working}, timeout=0.05) == (set(), {working})
    may_end.set()
    await asyncio.wait({working}, timeout=5)
    assert working.cancelled()
