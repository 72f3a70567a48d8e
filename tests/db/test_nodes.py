"""What nodes say of themselves, and what others see of it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from hedgerow.db import nodes
from hedgerow.db.database import Database
from hedgerow.domain.ids import uuid7
from hedgerow.domain.nodes import NodeBeat


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    database = Database(database_url, pool_size=3)
    await database.open()
    yield database
    await database.close()


async def test_each_report_is_a_beat_that_the_others_see_with_the_lease_that_it_names(database: Database) -> None:
    here, there = uuid7(), uuid7()
    for lease_seconds in (30.0, 2.0):
        async with database.transaction() as tx:
            await nodes.report(tx, there, "http://there.test", lease_seconds)
            await nodes.report(tx, here, "http://here.test", 30.0)
    async with database.transaction() as tx:
        assert await nodes.others(tx, here) == [NodeBeat(id=there, beat=2, lease_seconds=2.0)]
        assert await nodes.worker_url(tx, there) == "http://there.test"


async def test_a_node_that_is_being_taken_over_does_not_report_before_that_is_done(database: Database) -> None:
    lost = NodeBeat(id=uuid7(), beat=1, lease_seconds=2.0)

    async def report() -> None:
        async with database.transaction() as tx:
            await nodes.report(tx, lost.id, "http://lost.test", 2.0)

    await report()
    async with database.transaction() as tx:
        assert await nodes.hold_still(tx, lost)
        reporting = asyncio.create_task(report())
        done, _ = await asyncio.wait({reporting}, timeout=0.3)
        assert done == set()
    await asyncio.wait_for(reporting, timeout=5)
    async with database.transaction() as tx:
        assert not await nodes.hold_still(tx, lost)


async def test_the_listing_tells_who_is_lost_by_one_clock_alone(database: Database) -> None:
    fresh, silent = uuid7(), uuid7()
    async with database.transaction() as tx:
        for node_id in (fresh, silent):
            await nodes.report(tx, node_id, "http://node.test", 2.0)
        await tx.connection.execute("UPDATE nodes SET seen_at = now() - interval '1 minute' WHERE id = %s", [silent])
    async with database.transaction() as tx:
        listed = await nodes.listing(tx)
    assert [(node.id, node.lost, node.runs) for node in listed] == [(fresh, False, 0), (silent, True, 0)]
