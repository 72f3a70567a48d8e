import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from hedgerow.db import journal, signals
from hedgerow.db.channels import Channel
from hedgerow.db.database import Database
from hedgerow.db.notify import Hub
from hedgerow.domain.ids import uuid7
from hedgerow.domain.journal import EventKind, JournalEvent, Preview

RUN = uuid7()


@asynccontextmanager
async def hubs(url: str, count: int, **options: float) -> AsyncIterator[list[Hub]]:
    """Hubs as of so many processes."""
    database = Database(url, pool_size=4)
    await database.open()
    started = [Hub(database, **options) for _ in range(count)]
    for hub in started:
        await hub.start()
    yield started
    for hub in started:
        await hub.stop()
    await database.close()


async def test_a_wake_up_reaches_the_own_process_at_once_and_others_soon(database_url: str) -> None:
    async with hubs(database_url, 2) as (here, there), here.subscribe(RUN) as near, there.subscribe(RUN) as far:
        here.publish(RUN, 7)

        assert await near.wait(0)
        assert await far.wait(5)
        assert (near.head, far.head) == (7, 7)
        assert not await near.wait(0.05)

        there.changed(RUN)
        assert await near.wait(5)
        assert near.changes > 0


async def test_those_who_watch_other_runs_hear_nothing(database_url: str) -> None:
    async with hubs(database_url, 1) as (hub,), hub.subscribe(uuid7()) as other:
        hub.publish(RUN, 1)

        assert not await other.wait(0)


async def test_many_wake_ups_travel_together(database_url: str) -> None:
    runs = [uuid7() for _ in range(1000)]
    async with hubs(database_url, 2) as (here, there), there.subscribe(runs[-1]) as last:
        for head in (1, 2, 3):
            for run in runs:
                here.publish(run, head)

        while last.head < 3:
            assert await last.wait(5)


async def test_chunks_keep_their_order_and_equal_ones_are_not_lost(database_url: str) -> None:
    texts = [json.dumps({"text": text}) for text in ("a", "a", "ä b", "\\ud800", "a")]
    async with hubs(database_url, 2) as (here, there), there.subscribe(RUN) as far:
        for text in texts:
            here.preview(RUN, Preview(3, text))
        await here.sent()
        here.publish(RUN, 4)
        while far.head < 4:
            assert await far.wait(5)

        assert far.take_previews(2) == []
        assert [preview.text for preview in far.take_previews(3)] == texts


async def test_a_chunk_that_is_too_large_for_postgresql_reaches_this_process_alone(database_url: str) -> None:
    async with hubs(database_url, 2) as (here, there), here.subscribe(RUN) as near, there.subscribe(RUN) as far:
        here.preview(RUN, Preview(0, '"' + "ä" * 4000 + '"'))
        here.publish(RUN, 1)
        assert await far.wait(5)

        assert len(near.take_previews(0)) == 1
        assert far.take_previews(0) == []


async def test_a_chunk_that_comes_too_late_is_dropped(database_url: str) -> None:
    async with hubs(database_url, 1) as (hub,), hub.subscribe(RUN) as watcher:
        for follows in (1, 2, 3):
            hub.preview(RUN, Preview(follows, str(follows)))

        assert [preview.text for preview in watcher.take_previews(2)] == ["2"]
        assert [preview.text for preview in watcher.take_previews(3)] == ["3"]


async def test_a_lost_connection_is_made_again_and_everybody_looks(database_url: str) -> None:
    async with hubs(database_url, 2) as (here, there), there.subscribe(RUN) as far:
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'hedgerow wake-ups' AND datname = current_database()"
            )

        assert await far.wait(10)
        assert far.changes == 1
        here.publish(RUN, 2)
        while far.head < 2:
            assert await far.wait(5)


async def test_a_process_that_is_alone_sends_nothing_until_another_listens(database_url: str) -> None:
    async with hubs(database_url, 1, look_seconds=0.02) as (here,), here.subscribe(RUN) as near:
        async with asyncio.timeout(10):
            while not here._alone:
                await near.wait(0.02)
        assert near.changes == 0
        async with hubs(database_url, 1) as (there,), there.subscribe(RUN) as far:
            while here._alone:
                await near.wait(0.02)
            here.publish(RUN, 3)
            while far.head < 3:
                assert await far.wait(5)


async def test_what_no_wake_up_told_of_is_found_by_looking(database_url: str) -> None:
    async with hubs(database_url, 1, look_seconds=0.05) as (hub,):
        with psycopg.connect(database_url, autocommit=True) as connection:
            run_id = _a_run(connection, head=9)
        async with hub.subscribe(run_id) as watcher:
            assert await watcher.wait(5)
            assert watcher.head == 9


def _a_run(connection: psycopg.Connection[tuple[object, ...]], head: int) -> UUID:
    project, task, run = 1, uuid7(), uuid7()
    connection.execute("INSERT INTO projects (uuid, name, created_at) VALUES (%s, 'p', now())", (uuid7(),))
    connection.execute(
        "INSERT INTO tasks (id, project_id, task_number, title, title_manually_set, description, origin_product, created_at, updated_at)"
        " VALUES (%s, %s, 0, '', false, '', 'user_created', now(), now())",
        (task, project),
    )
    connection.execute(
        "INSERT INTO runs (id, task_id, project_id, number, status, environment, created_at, updated_at)"
        " VALUES (%s, %s, %s, 1, 'queued', 'cloud', now(), now())",
        (run, task, project),
    )
    connection.execute("INSERT INTO journals (run_id, head) VALUES (%s, %s)", (run, head))
    return run


@pytest.mark.parametrize("payload", ["", "x", "x 1", "x 1 enonsense", "x 1 p", "x 1 e" + "0" * 32 + "x", "x 1 p" + "0" * 32 + " t"])
def test_payloads_of_others_are_left_alone(payload: str) -> None:
    assert signals.read(payload, "me") == []


def test_the_shared_stretch_has_no_gaps_and_an_end() -> None:
    channel = Channel(RUN)

    channel.share(_events(1, 2))
    channel.share(_events(2, 3))
    assert [event.number for event in channel.shared_after(1)] == [2, 3]
    channel.share(_events(6))
    channel.share(_events(4, 5))
    assert (channel.shared_after(4), channel.beyond(6)) == ([], True)
    assert [event.number for event in channel.shared_after(5)] == [6]
    channel.share(_events(*range(7, 3000)))
    assert len(channel.shared_after(2999 - 400)) == 400
    assert channel.shared_after(10) == []


def _events(*numbers: int) -> list[JournalEvent]:
    return [JournalEvent(number, EventKind.ENTRY, "{}") for number in numbers]


async def test_many_readers_of_one_event_cost_one_query(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async with hubs(database_url, 2) as (here, there):
        with psycopg.connect(database_url, autocommit=True) as connection:
            run_id = _a_run(connection, head=1)
            connection.execute(
                "INSERT INTO journal (run_id, number, kind, event_type, text) VALUES (%s, 1, 1, '', '{\"n\": 1}')", (run_id,)
            )
        database = there._database
        pages = 0
        original = Database.statement

        def counted(self: Database) -> object:
            nonlocal pages
            pages += 1
            return original(self)

        monkeypatch.setattr(Database, "statement", counted)
        async with there.subscribe(run_id) as first, there.subscribe(run_id) as second:

            async def page(after: int) -> list[JournalEvent]:
                async with database.statement() as tx:
                    return await journal.read(tx, run_id, after)

            read = await asyncio.gather(*(watcher.read(page, 0) for watcher in (first, second) for _ in range(20)))

        assert all([event.number for event in events] == [1] for events in read)
        assert pages == 1
        del here
