"""What readers of a run's stream may count on; each test is named after its row of the bars."""

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.bars.conftest import Bar, Frames

EVENTS = 40
HEAD = EVENTS + 2  # with the states of the run's beginning and of its end
MEGABYTE = 1024 * 1024
_TOGETHER = 50


def note(number: int, **more: Any) -> dict[str, Any]:
    """A log entry that can be told from others."""
    return {"type": "notification", "n": number, **more}


def chunk(text: str) -> dict[str, Any]:
    """A piece of a message as an agent sends it."""
    update = {"sessionUpdate": "agent_message_chunk", "content": {"type": "text", "text": text}}
    return {"type": "notification", "notification": {"jsonrpc": "2.0", "method": "session/update", "params": {"update": update}}}


@dataclass(frozen=True)
class Told:
    """An ended run, everything that its stream tells, and a number that is an event of another run."""

    bar: Bar
    path: str
    whole: Frames


@pytest_asyncio.fixture
async def told(bar: Bar) -> AsyncIterator[Told]:
    """A run that has ended."""
    path = await bar.run()
    for number in range(EVENTS):
        await bar.append(path, note(number), chunk("a preview, which has no number"))
    await bar.end(path)
    yield Told(bar, path, await bar.read(path))


_CURSORS = st.one_of(
    st.just("0"),
    st.just(str(HEAD)),
    st.integers(min_value=0, max_value=HEAD).map(str),
    st.integers(min_value=HEAD + 1, max_value=3 * HEAD).map(str),  # events of another run, which is longer
    st.integers(min_value=HEAD + 1, max_value=10**30).map(str),
    st.integers(max_value=-1).map(str),
    st.uuids().map(str),
    st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40),
)
_CUTS = st.lists(st.integers(min_value=1, max_value=HEAD), max_size=6, unique=True).map(sorted)
_QUICK = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_QUICK
@given(cursor=_CURSORS)
async def test_cursor_of_any_kind_goes_on_after_it_or_is_refused(told: Told, cursor: str) -> None:
    frames = await told.bar.read(told.path, after=cursor)
    if cursor.isascii() and cursor.isdigit() and len(cursor) <= 18 and int(cursor) <= HEAD:
        assert (frames.ids, frames.events) == (told.whole.ids[int(cursor) :], told.whole.events[int(cursor) :])
    else:
        assert (frames.status, frames.code) == (400, "invalid_cursor")


@_QUICK
@given(cuts=_CUTS)
async def test_cursor_after_each_cut_brings_each_event_once(told: Told, cuts: list[int]) -> None:
    ids: list[int] = []
    events: list[dict[str, Any]] = []
    for cut in [*cuts, None]:
        frames = await told.bar.read(told.path, after=str(ids[-1]) if ids else None, until=cut)
        ids += frames.ids
        events += frames.events
    assert ids == list(range(1, HEAD + 1))
    assert events == told.whole.events


async def test_previews_yield(bar: Bar) -> None:
    run = await bar.run()
    async with bar.unread(run) as slow:
        await slow.begun()
        for number in range(100):
            await bar.append(run, note(number), *(chunk(f"{number} {piece} {'x' * 1000}") for piece in range(100)))
        await bar.end(run)
        frames = await slow.frames()
    assert [event["n"] for event in frames.events if "n" in event] == list(range(100))
    assert frames.ids == list(range(1, 103))
    assert len(frames.previews) < 10_000, "the reader was slow enough for chunks to be dropped"


async def test_stalled_reader(bar: Bar) -> None:
    run = await bar.run()
    async with bar.unread(run) as stalled:
        await stalled.begun()
        reading = asyncio.ensure_future(bar.read(run))
        for number in range(80):
            await bar.append(run, note(number, text="x" * (MEGABYTE // 2)))
        await bar.end(run)
        assert [event["n"] for event in (await reading).events if "n" in event] == list(range(80))
        async with bar.unread(run) as late:  # all of it lies there already
            await late.begun()
            await held_up(bar, 2)
            assert max(buffers(bar)) <= 2 * MEGABYTE, "one page of the journal at most waits for a reader"
            assert [event["n"] for event in (await late.frames()).events if "n" in event] == list(range(80))
        assert [event["n"] for event in (await stalled.frames()).events if "n" in event] == list(range(80))


def buffers(bar: Bar) -> list[int]:
    """How much waits to be sent on each connection where anything does."""
    sizes = [connection.transport.get_write_buffer_size() for connection in bar.server.server_state.connections]
    return [size for size in sizes if size]


async def held_up(bar: Bar, readers: int) -> None:
    """Return once so many readers have left something unread."""
    async with asyncio.timeout(5):
        while len(buffers(bar)) < readers:  # noqa: ASYNC110 - nothing tells of it
            await asyncio.sleep(0.01)


def descriptors() -> int:
    """How many files this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def drop_by(bar: Bar, run: str) -> None:
    """Connect, read what comes first, and hang up."""
    async with bar.unread(run) as stream:
        await stream.begun()


async def drop_by_together(bar: Bar, run: str) -> None:
    """Many readers at once."""
    await asyncio.gather(*(drop_by(bar, run) for _ in range(_TOGETHER)))


async def fill_pool(bar: Bar) -> None:
    """Have the process open all the connections to the database that it may have: it keeps them, and they are no leak."""
    most = bar.backends.database._pool.max_size
    all_there = asyncio.Barrier(most)

    async def hold() -> None:
        async with bar.backends.database.statement() as tx:
            await tx.connection.execute("SELECT 1")
            await all_there.wait()

    await asyncio.gather(*(hold() for _ in range(most)))


async def gone(bar: Bar, files: int) -> None:
    """Return once nobody watches, no stream is open and no more than `files` files are. Raises TimeoutError after five seconds."""
    async with asyncio.timeout(5):
        while bar.backends.hub._channels or len(bar.server.server_state.connections) > 1 or descriptors() > files:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("times", [300, pytest.param(10_000, marks=pytest.mark.timeout(400))])
async def test_reconnects(bar: Bar, times: int) -> None:
    run = await bar.run()
    await bar.append(run, note(0))
    await fill_pool(bar)
    await drop_by_together(bar, run)
    await gone(bar, sys.maxsize)
    await bar.append(run, note(1))  # over the client's one connection, which counts before and after
    before = descriptors()
    for _ in range(times // _TOGETHER):
        await drop_by_together(bar, run)
    await bar.append(run, note(2))
    await gone(bar, before)
