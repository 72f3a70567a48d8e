"""Transactions, and what becomes of them where the database goes away."""

import asyncio
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from psycopg_pool.base import AttemptWithBackoff

import hedgerow.db.database
from hedgerow.db.database import Database, DatabaseLostError


async def test_a_connection_that_is_lost_is_told_as_such_and_the_next_one_works(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    try:
        with pytest.raises(DatabaseLostError):
            async with database.transaction() as tx:
                await tx.connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        async with database.statement() as tx:
            row = await (await tx.connection.execute("SELECT 1 AS one")).fetchone()
        assert row == {"one": 1}
    finally:
        await database.close()


async def test_a_database_that_was_away_for_long_is_back_at_once(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AttemptWithBackoff, "INITIAL_DELAY", 0.02)
    monkeypatch.setattr(hedgerow.db.database, "RECONNECT_SECONDS", 0.04)
    tried, attempts = asyncio.Event(), count(1)
    monkeypatch.setattr(logging.getLogger("psycopg.pool"), "warning", lambda *_: tried.set() if next(attempts) > 40 else None)
    database = Database(database_url, pool_size=2)
    await database.open()
    try:
        with away(database_url):
            for _ in range(2):  # both connections of the pool
                with pytest.raises(DatabaseLostError):
                    await one(database)
            asking = asyncio.create_task(one(database))
            async with asyncio.timeout(20):
                await tried.wait()  # with ever longer pauses that would take hours
        async with asyncio.timeout(20):
            assert await asking == {"one": 1}
    finally:
        await database.close()


async def one(database: Database) -> object:
    async with database.statement() as tx:
        return await (await tx.connection.execute("SELECT 1 AS one")).fetchone()


@contextmanager
def away(url: str) -> Iterator[None]:
    """Break every connection to a database off, and let nobody in again for a while."""
    parts = urlsplit(url)
    name = parts.path.strip("/")
    with psycopg.connect(parts._replace(path="/postgres").geturl(), autocommit=True) as connection:
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(Identifier(name)))
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        yield
        connection.execute(SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(Identifier(name)))


async def test_callbacks_run_after_a_commit_and_never_after_a_roll_back(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    told: list[str] = []

    async def tell() -> None:
        told.append("told")

    async def break_off() -> None:
        async with database.transaction() as tx:
            tx.after_commit(tell)
            raise ValueError("no")

    try:
        with pytest.raises(ValueError, match="no"):
            await break_off()
        assert told == []
        async with database.transaction() as tx:
            tx.after_commit(tell)
        assert told == ["told"]
    finally:
        await database.close()


async def test_a_cancel_that_comes_together_with_a_connection_is_heard(database_url: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    pool, worked = database._pool, []

    async def work() -> None:
        async with database.statement():
            worked.append(True)

    taken = [await pool.getconn(), await pool.getconn()]
    task = asyncio.ensure_future(work())
    for _ in range(20):
        await asyncio.sleep(0)  # until it waits for a connection
    await pool.putconn(taken.pop())
    task.cancel()
    await asyncio.wait({task})

    assert task.cancelled()
    assert worked == []
    async with asyncio.timeout(5), database.statement():
        await pool.putconn(taken.pop())
    await database.close()


@pytest.mark.parametrize(
    "document", ['{"n": 123456789012345678901234567890}', '{"text": "\\ud800"}', '{"twice": 1, "twice": 2}', "[" * 300 + "]" * 300, "-0.0"]
)
async def test_a_stored_document_is_read_as_it_was_written(database_url: str, document: str) -> None:
    database = Database(database_url, pool_size=2)
    await database.open()
    try:
        async with database.statement() as tx:
            row = await (await tx.connection.execute("SELECT %s::json AS document", [document])).fetchone()
        of_many = await database.in_thread(lambda connection: connection.execute("SELECT %s::json", [document]).fetchall())
    finally:
        await database.close()
    assert row is not None
    assert repr(row["document"]) == repr(of_many[0][0]) == repr(json.loads(document))
