import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from uuid import UUID

import psycopg
import pytest
from structlog.testing import capture_logs

from hedgerow.db.database import DatabaseLostError
from hedgerow.db.jobs import RUNS_QUEUE, Jobs, node_queue
from hedgerow.domain.ids import uuid7

pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def jobs(database_url: str) -> AsyncIterator[Jobs]:
    """An open queue."""
    opened = Jobs(database_url)
    await opened.open()
    yield opened
    await opened.close()


class Looks:
    """Somebody who looks at runs, and remembers which."""

    def __init__(self) -> None:
        self.seen: asyncio.Queue[UUID] = asyncio.Queue()
        self.hold = asyncio.Event()
        self.hold.set()

    async def look(self, run_id: UUID) -> None:
        """One look."""
        await self.seen.put(run_id)
        await self.hold.wait()

    async def next(self) -> UUID:
        """The next run that was looked at."""
        async with asyncio.timeout(10):
            return await self.seen.get()


@contextlib.asynccontextmanager
async def working(jobs: Jobs, looks: Looks, *queues: str, look: Callable[[UUID], Awaitable[None]] | None = None) -> AsyncIterator[None]:
    """A worker while it is needed."""
    stop = asyncio.Event()
    worker = asyncio.create_task(jobs.work(list(queues), look or looks.look, concurrency=4, stop=stop))
    yield
    stop.set()
    async with asyncio.timeout(20):
        await worker


def waiting(url: str) -> int:
    """How many jobs there are."""
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*) FROM procrastinate_jobs").fetchone()
    assert row is not None
    return int(row[0])


async def test_a_nudge_leads_to_a_look_and_leaves_nothing_behind(jobs: Jobs, database_url: str) -> None:
    looks, run, node = Looks(), uuid7(), uuid7()

    async with working(jobs, looks, RUNS_QUEUE, node_queue(node)):
        await jobs.nudge(run, None)
        assert await looks.next() == run
        await jobs.nudge(run, node)
        assert await looks.next() == run

    assert waiting(database_url) == 0


async def test_nudges_of_another_node_are_left_to_it(jobs: Jobs, database_url: str) -> None:
    looks, own, other = Looks(), uuid7(), uuid7()

    async with working(jobs, looks, RUNS_QUEUE):
        await jobs.nudge(other, uuid7())
        await jobs.nudge(own, None)
        assert await looks.next() == own

    assert waiting(database_url) == 1


async def test_nudges_that_wait_are_one(jobs: Jobs, database_url: str) -> None:
    run = uuid7()

    for _ in range(3):
        await jobs.nudge(run, None)

    assert waiting(database_url) == 1


async def test_a_nudge_during_a_look_leads_to_one_more_look_after_it(jobs: Jobs) -> None:
    looks, run = Looks(), uuid7()
    looks.hold.clear()

    async with working(jobs, looks, RUNS_QUEUE):
        await jobs.nudge(run, None)
        await looks.next()
        for _ in range(3):
            await jobs.nudge(run, None)
        assert looks.seen.empty()
        looks.hold.set()
        assert await looks.next() == run


async def test_a_look_that_fails_does_not_stop_the_worker(jobs: Jobs) -> None:
    looks, bad, good = Looks(), uuid7(), uuid7()
    healthy = looks.look

    async def look(run_id: UUID) -> None:
        await healthy(run_id)
        if run_id == bad:
            raise RuntimeError("this look fails")

    looks.look = look  # type: ignore[method-assign]
    async with working(jobs, looks, RUNS_QUEUE):
        await jobs.nudge(bad, None)
        assert await looks.next() == bad
        await jobs.nudge(good, None)
        assert await looks.next() == good


async def test_a_look_whose_database_was_lost_is_told_in_a_line(jobs: Jobs) -> None:
    looks, run = Looks(), uuid7()

    async def look(run_id: UUID) -> None:
        await looks.seen.put(run_id)
        raise DatabaseLostError

    with capture_logs() as logs:
        async with working(jobs, looks, RUNS_QUEUE, look=look):
            await jobs.nudge(run, None)
            assert await looks.next() == run
    assert [(entry["log_level"], entry["run_id"]) for entry in logs] == [("warning", str(run))]


async def test_the_job_of_a_worker_that_died_is_taken_up_by_another(jobs: Jobs, database_url: str) -> None:
    looks, run = Looks(), uuid7()
    await jobs.nudge(run, None)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO procrastinate_workers (last_heartbeat) VALUES (now() - interval '1 minute')")
        connection.execute("UPDATE procrastinate_jobs SET status = 'doing', worker_id = (SELECT id FROM procrastinate_workers)")
    await jobs.nudge(run, None)

    async with working(jobs, looks, RUNS_QUEUE):
        assert await jobs.retry_stalled() == 1
        assert await looks.next() == run

    assert waiting(database_url) == 0


async def test_a_nudge_without_a_database_is_only_a_lost_nudge(jobs: Jobs, database_url: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE procrastinate_jobs RENAME TO gone")

    await jobs.nudge(uuid7(), None)
    with pytest.raises(DatabaseLostError):
        await jobs.retry_stalled()


async def test_scans_are_announced_apart_from_runs(jobs: Jobs, database_url: str) -> None:
    runs, scans = Looks(), Looks()
    run_id, scan_id = uuid7(), uuid7()
    await jobs.nudge_scan(scan_id)
    await jobs.nudge_scan(scan_id)
    await jobs.nudge(run_id, None)
    assert waiting(database_url) == 2
    stop = asyncio.Event()
    async with working(jobs, runs, RUNS_QUEUE):
        assert await runs.next() == run_id
        worker = asyncio.create_task(jobs.work_on_scans(scans.look, concurrency=1, stop=stop))
        assert await scans.next() == scan_id
        await jobs.nudge(other := uuid7(), None)
        assert await runs.next() == other
    stop.set()
    async with asyncio.timeout(20):
        await worker
    assert runs.seen.empty()
    assert scans.seen.empty()


async def test_a_scan_that_waits_does_not_hold_up_runs(jobs: Jobs) -> None:
    runs, scans, stop = Looks(), Looks(), asyncio.Event()
    scans.hold.clear()
    for _ in range(3):
        await jobs.nudge_scan(uuid7())
    worker = asyncio.create_task(jobs.work_on_scans(scans.look, concurrency=1, stop=stop))
    await scans.next()
    async with working(jobs, runs, RUNS_QUEUE):
        await jobs.nudge(run_id := uuid7(), None)
        assert await runs.next() == run_id
    assert scans.seen.empty()
    scans.hold.set()
    assert await scans.next()
    stop.set()
    async with asyncio.timeout(20):
        await worker


@pytest.mark.parametrize("query", ["fetch_job", "finish_job", "update_heartbeat"])
async def test_a_worker_looks_on_whichever_of_its_queries_was_broken_off(jobs: Jobs, database_url: str, query: str) -> None:
    looks, run = Looks(), uuid7()
    looks.hold.clear()

    async with working(jobs, looks, RUNS_QUEUE):
        await jobs.nudge(run, None)
        await looks.next()
        with locked_queue(database_url):
            looks.hold.set()
            await asyncio.to_thread(break_off, database_url, query)
        sweeping = asyncio.create_task(sweep(jobs))
        await jobs.nudge(run, None)
        assert await looks.next() == run
        await asyncio.to_thread(await_heartbeat, database_url)
        sweeping.cancel()


@contextlib.contextmanager
def locked_queue(url: str) -> Iterator[None]:
    """Have all queries of workers wait."""
    with psycopg.connect(url) as connection:
        connection.execute("LOCK TABLE procrastinate_jobs, procrastinate_workers")
        yield


def break_off(url: str, query: str) -> None:
    """Break a worker's connection off in the middle of a query, as a server does that is killed."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(200):
            if connection.execute(_BREAK_OFF, [f"%{query}%"]).fetchall():
                return
            time.sleep(0.02)
    raise AssertionError(f"nobody asked for {query}")


_BREAK_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE %s
"""


def await_heartbeat(url: str) -> None:
    """Return once a worker has given a new sign of life; without one its jobs are given to others, while it is at them."""
    with psycopg.connect(url, autocommit=True) as connection:
        now = connection.execute("SELECT now()").fetchone()
        for _ in range(200):
            if connection.execute("SELECT FROM procrastinate_workers WHERE last_heartbeat > %s", now).fetchall():
                return
            time.sleep(0.02)
    raise AssertionError("no worker gives signs of life")


async def sweep(jobs: Jobs) -> None:
    """Do what a worker does beside its looks."""
    while True:
        await jobs.retry_stalled()
        await asyncio.sleep(0.1)
