import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.db import runs as rows
from hedgerow.db.notify import Hub
from hedgerow.domain.access import Caller
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.journal import EventKind, JournalEvent, Preview
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.operations import access, accounts, streams
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.streams import Frame, Keepalive, StreamError
from tests.operations.conftest import Desk, new_desk
from tests.operations.journal_entries import appended, update

PATIENCE_SECONDS = 10


class Stream:
    """A reader of a run's stream, frame by frame."""

    def __init__(self, batches: AsyncIterator[list[Frame]]) -> None:
        self._batches = batches
        self._frames: list[Frame] = []

    async def next(self) -> Frame:
        """The next frame; StopAsyncIteration at the end."""
        while not self._frames:
            async with asyncio.timeout(PATIENCE_SECONDS):
                self._frames = await anext(self._batches)
        return self._frames.pop(0)

    async def numbers(self, count: int) -> list[int]:
        """The numbers of the next events."""
        return [event.number for event in [await self.next() for _ in range(count)] if isinstance(event, JournalEvent)]

    async def rest(self) -> list[Frame]:
        """Everything until the end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return [*self._frames, *[frame async for batch in self._batches for frame in batch]]


async def stream(desk: Desk, run: TaskRun, **cursor: Any) -> Stream:
    """A new reader."""
    return Stream(await streams.follow(desk.backends, desk.caller, desk.project, run.task_id, run.id, **cursor))


async def end(desk: Desk, run: TaskRun) -> None:
    """End a run as a person."""
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.COMPLETED))


def numbers(frames: list[Frame]) -> list[int]:
    """The numbers of the events among frames."""
    return [frame.number for frame in frames if isinstance(frame, JournalEvent)]


async def test_a_reader_gets_what_is_stored_and_then_what_comes_until_the_end(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, {"n": 2}, {"n": 3})
    reader = await stream(desk, run)

    assert await reader.numbers(3) == [1, 2, 3]
    await appended(desk, run, {"n": 4})
    assert await reader.next() == JournalEvent(4, EventKind.ENTRY, '{"n": 4}')
    await end(desk, run)
    assert numbers(await reader.rest()) == [5]


async def test_a_finished_run_is_replayed_and_ends_at_once(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, *({"n": n} for n in range(1200)))
    await end(desk, run)

    assert numbers(await (await stream(desk, run)).rest()) == list(range(1, 1203))


async def test_a_cursor_is_followed_strictly_after_it(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, {"n": 2}, {"n": 3})
    await end(desk, run)

    assert numbers(await (await stream(desk, run, last_event_id="2", from_latest=True)).rest()) == [3, 4]
    assert numbers(await (await stream(desk, run, last_event_id="0")).rest()) == [1, 2, 3, 4]
    assert numbers(await (await stream(desk, run, last_event_id="4")).rest()) == []
    assert numbers(await (await stream(desk, run, last_event_id="")).rest()) == [1, 2, 3, 4]


@pytest.mark.parametrize("cursor", ["-1", "2", "x", "1.0", "1-1", "9" * 40, "٣", " 1"])
async def test_a_cursor_that_is_no_place_in_the_journal_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        await stream(desk, await desk.run(), last_event_id=cursor)

    assert refusal.value.detail_code == "invalid_cursor"


async def test_an_unknown_run_is_not_found_before_the_first_frame(desk: Desk) -> None:
    run = await desk.run()

    with pytest.raises(NotFoundError):
        await streams.follow(desk.backends, desk.caller, desk.project, run.task_id, uuid4())


async def test_the_latest_begins_with_the_head(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, {"n": 2})
    reader = await stream(desk, run, from_latest=True)

    assert await reader.next() == Keepalive(2)
    await appended(desk, run, {"n": 3})
    assert await reader.numbers(1) == [3]


async def test_silence_is_filled_with_keepalives(desk: Desk) -> None:
    reader = await stream(desk.with_rules(keepalive_seconds=0.05), await desk.run())

    assert [await reader.next() for _ in range(3)][1:] == [Keepalive(), Keepalive()]


async def test_a_journal_that_stays_empty_ends_with_an_error(desk: Desk) -> None:
    run = await desk.run()
    async with desk.backends.database.transaction() as tx:
        await tx.connection.execute("DELETE FROM journal WHERE run_id = %s", [run.id])
        await tx.connection.execute("UPDATE journals SET head = 0 WHERE run_id = %s", [run.id])

    frames = await (await stream(desk.with_rules(stream_wait_seconds=0.05), run)).rest()

    assert [type(frame) for frame in frames] == [StreamError]


async def test_a_stream_has_an_end_in_any_case(desk: Desk) -> None:
    frames = await (await stream(desk.with_rules(stream_limit_seconds=0.05), await desk.run())).rest()

    assert numbers(frames) == [1]


async def test_chunks_are_shown_between_the_events_where_they_belong(desk: Desk) -> None:
    run = await desk.run()
    reader = await stream(desk, run)
    assert await reader.numbers(1) == [1]

    await appended(desk, run, update("agent_message_chunk", "a"), update("agent_message_chunk", "b"))
    entries = (
        update("agent_message_chunk", "c"),
        {"n": 2},
        update("agent_message_chunk", "d"),
        {"n": 3},
        update("agent_message_chunk", "e"),
    )
    await appended(desk, run, *entries)

    frames = [await reader.next() for _ in range(7)]
    assert [_shown(frame) for frame in frames] == ["a", "b", "c", 2, "d", 3, "e"]


def _shown(frame: Frame) -> str | int:
    if isinstance(frame, Preview):
        return str(json.loads(frame.text)["notification"]["params"]["update"]["content"]["text"])
    assert isinstance(frame, JournalEvent)
    return frame.number


async def _met(hub: Hub) -> None:
    """Return once a hub has heard of another one: what it says before may be lost, since it sends nothing while it is alone."""
    async with asyncio.timeout(10):
        while hub._alone:  # noqa: ASYNC110 - a hub tells nobody whom it has heard of
            await asyncio.sleep(0.01)


async def test_readers_of_another_process_see_the_same(desk: Desk) -> None:
    run = await desk.run()
    hub = Hub(desk.backends.database)
    await hub.start()
    there = replace(desk, backends=replace(desk.backends, hub=hub))
    readers = [await stream(there, run) for _ in range(3)]
    for reader in readers:
        assert await reader.numbers(1) == [1]
    await _met(desk.backends.hub)

    for n in range(5):
        await appended(desk, run, update("agent_message_chunk", "same"), update("agent_message_chunk", "same"), {"n": n})

    expected = [shown for n in range(2, 7) for shown in ("same", "same", n)]
    for reader in readers:
        assert [_shown(await reader.next()) for _ in range(15)] == expected
    await hub.stop()


async def test_readers_and_writers_at_once_see_every_event_once(desk: Desk) -> None:
    run = await desk.run()
    readers = [await stream(desk, run) for _ in range(10)]
    reading = [asyncio.create_task(reader.rest()) for reader in readers]

    await asyncio.gather(*(appended(desk, run, {"n": n}, {"n": n}) for n in range(30)))
    await end(desk, run)

    for frames in await asyncio.gather(*reading):
        assert numbers(frames) == list(range(1, 63))


async def test_a_driven_run_that_ended_is_followed_until_it_is_drained(desk: Desk) -> None:
    run = await desk.started_run()
    clock = FixedClock(datetime.now(UTC))
    later = replace(desk, backends=replace(desk.backends, clock=clock))
    readers = [await stream(later, run), await stream(desk, run)]
    await end(later, run)
    for reader in readers:
        assert await reader.numbers(4) == [1, 2, 3, 4]
    await appended(desk, run, {"n": "last"})
    for reader in readers:
        assert await reader.numbers(1) == [5]

    clock.advance(timedelta(seconds=11))
    assert await readers[0].rest() == []
    async with desk.backends.database.transaction() as tx:
        await rows.note(tx, run.id, {"cleaned_at": clock.now()})
    desk.backends.hub.changed(run.id)
    assert await readers[1].rest() == []


async def test_a_stream_ends_once_another_worker_has_taken_the_run_of_its_token_over(desk: Desk) -> None:
    run, other = await desk.started_run(), await desk.started_run()
    begun = asyncio.Event()

    async def read() -> None:
        async for _ in await streams.follow(desk.backends, desk.agent(run), desk.project, run.task_id, run.id):
            begun.set()

    reading = asyncio.create_task(read())
    await asyncio.wait_for(begun.wait(), 10)
    async with desk.backends.database.transaction() as tx:
        await tx.connection.execute("UPDATE runs SET epoch = epoch + 1 WHERE id = ANY (%s)", [[run.id, other.id]])
    desk.backends.hub.changed(run.id)
    await asyncio.wait_for(reading, 10)


async def test_a_stream_ends_with_the_key_or_the_membership_that_it_was_opened_with(desk: Desk) -> None:
    run = await desk.started_run()
    other = await new_desk(desk.backends)
    await accounts.add_member(desk.backends, email=other.email, project_id=desk.project.id)
    key, value = await accounts.create_key(desk.backends, email=other.email, label="x", scopes=["*"])
    with_key, as_member = await access.authenticate(desk.backends, value), other.caller

    async def ends(caller: Caller, begun: asyncio.Event) -> None:
        async for _ in await streams.follow(desk.backends, caller, desk.project, run.task_id, run.id):
            begun.set()

    for caller, take_away in (
        (with_key, lambda: accounts.revoke_key(desk.backends, key.id)),
        (as_member, lambda: accounts.remove_member(desk.backends, email=other.email, project_id=desk.project.id)),
    ):
        begun = asyncio.Event()
        reading = asyncio.create_task(ends(caller, begun))
        await asyncio.wait_for(begun.wait(), 10)
        assert not reading.done()
        await take_away()
        await asyncio.wait_for(reading, 10)


async def test_a_long_history_ends_as_well_once_its_reader_has_lost_the_key(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, *({"n": n} for n in range(1200)))
    key, value = await accounts.create_key(desk.backends, email=desk.email, label="x", scopes=["*"])
    caller = await access.authenticate(desk.backends, value)
    batches = await streams.follow(desk.backends, caller, desk.project, run.task_id, run.id)
    assert len(await anext(batches)) == 500
    await accounts.revoke_key(desk.backends, key.id)
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert [batch async for batch in batches] == []
