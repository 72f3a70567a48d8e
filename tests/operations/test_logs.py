"""Logs as their readers get them."""

import asyncio
import gc
import json
import threading
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from hedgerow.db import journal_texts
from hedgerow.db.database import BulkConnection
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ForbiddenError, UnavailableError
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import log_urls, logs
from hedgerow.operations.logs import LogFilters
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk
from tests.operations.journal_entries import appended, found, joined, lines, said, update


def _read_by_a_backend_that_dies(connection: BulkConnection, *_arguments: object) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def _append_many(desk: Desk, run: TaskRun) -> None:
    for number in range(60):
        await appended(desk, run, {"n": number}, {"n": -number})


async def test_logs_tell_the_whole_chain_oldest_first(desk: Desk) -> None:
    task = await desk.task()
    chain = [await desk.run(task)]
    for _ in range(2):
        chain.append(await desk.run(task, resume_from_run_id=chain[-1].id))
    for number, run in enumerate(chain):
        await appended(desk, run, {"n": number})
    # A circle: the oldest now names the newest as the one before it.
    circle = RunPatch(state={"resume_from_run_id": str(chain[-1].id)})
    await update_run(desk.backends, desk.caller, desk.project, task.id, chain[0].id, circle)

    assert await lines(desk, chain[2]) == ['{"n": 0}', '{"n": 1}', '{"n": 2}']
    assert len(await lines(desk, chain[1])) == 3


async def test_a_chain_ends_at_another_task_and_after_ten_steps(desk: Desk) -> None:
    other, task = await desk.run(), await desk.task()
    await appended(desk, other, {"n": "foreign"})
    run = await desk.run(task)
    for name in (str(other.id), "nonsense", 7):
        await update_run(desk.backends, desk.caller, desk.project, task.id, run.id, RunPatch(state={"resume_from_run_id": name}))
        assert await lines(desk, run) == []
    for _ in range(12):
        await appended(desk, run, {"n": run.number})
        run = await desk.run(task, resume_from_run_id=run.id)

    assert len(await lines(desk, run)) == 10


async def test_long_logs_come_in_pages(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 100_000)
    run = await desk.run()
    for first in range(0, 1200, 400):
        await appended(desk, run, *({"n": first + i, "text": "x" * 500} for i in range(400)))

    pieces = [piece async for piece in await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)]

    assert [json.loads(line)["n"] for line in b"".join(pieces).splitlines()] == list(range(1200))
    assert len(pieces) >= 6


async def test_entries_larger_than_a_page_come_each_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 10_000)
    run = await desk.run()
    sizes = [10] * 20 + [30_000, 40_000] + [10] * 20 + [9_000] * 5
    await appended(desk, run, *({"n": n, "text": "x" * size} for n, size in enumerate(sizes)))

    pieces = [piece async for piece in await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)]

    assert [json.loads(line)["n"] for line in b"".join(pieces).splitlines()] == list(range(len(sizes)))
    assert [len(piece) > 10_000 for piece in pieces if len(piece) > 9_900] == [True, True]
    assert (await found(desk, run, limit=5000))[0] == [json.loads(line) for line in b"".join(pieces).splitlines()]


@pytest.mark.parametrize("large", [1_500, 3_000])
async def test_pages_stay_small_where_entries_suddenly_become_large(desk: Desk, monkeypatch: pytest.MonkeyPatch, large: int) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 100_000)
    run = await desk.run()
    sizes = [10] * 1200 + [large] * 400 + [10] * 100
    await appended(desk, run, *({"n": n, "text": "x" * size} for n, size in enumerate(sizes)))

    pieces = [piece async for piece in await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)]
    filters = LogFilters(limit=5000, exclude_types=("plan",))
    page = await logs.session_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id, filters)
    array = [piece async for piece in page.body]

    assert [json.loads(line)["n"] for line in b"".join(pieces).splitlines()] == list(range(len(sizes)))
    assert [entry["n"] for entry in json.loads(b"".join(array))] == list(range(len(sizes)))
    assert max(map(len, pieces + array)) <= 4 * 100_000


async def test_small_entries_are_not_read_again_for_the_large_ones_among_them(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 100_000)
    run = await desk.run()
    sizes = ([10] * 19 + [5_000]) * 60
    await appended(desk, run, *({"n": n, "text": "x" * size} for n, size in enumerate(sizes)))

    size = journal_texts.PageSize()
    page: journal_texts.EntryLines | None = journal_texts.EntryLines([], 0, 0)
    entries = rows = 0
    while page is not None:
        rows += size.events
        entries += page.entries
        read = partial(journal_texts.read_all, run_id=run.id, after=page.last, most=size.events, size=size)
        page = await desk.backends.database.in_thread(read)

    assert entries == len(sizes)
    assert rows <= 10 * len(sizes), "so many were asked for"


async def test_a_reader_of_a_log_may_leave_in_the_middle(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 10_000)
    run = await desk.run()
    await appended(desk, run, *({"n": n, "text": "x" * 900} for n in range(60)))

    pieces = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    assert (await anext(pieces)).startswith(b'{"n": 0')
    assert isinstance(pieces, AsyncGenerator)
    await pieces.aclose()

    assert len(await lines(desk, run)) == 60


async def test_two_pages_are_on_their_way_while_one_is_sent_and_no_more(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 20_000)
    run = await desk.run()
    await appended(desk, run, *({"n": n, "text": "x" * 100} for n in range(1500)))
    asked: list[int] = []
    both, read_all = threading.Barrier(2), journal_texts.read_all

    def read(connection: BulkConnection, run_id: UUID, after: int, most: int, size: journal_texts.PageSize) -> object:
        asked.append(after)
        if 0 < after < 700:  # the two after the first
            both.wait(10)
        return read_all(connection, run_id, after, most, size)

    monkeypatch.setattr(journal_texts, "read_all", read)
    pieces: list[bytes] = []
    async for piece in await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id):
        pieces.append(piece)
        await desk.backends.database.in_thread(lambda _: None)  # comes after those that are asked for already
        assert len(asked) <= len(pieces) + 2

    assert [json.loads(line)["n"] for line in b"".join(pieces).splitlines()] == list(range(1500))
    assert len(pieces) > 5
    assert len(asked) == len(set(asked)), "nothing was read twice"


async def test_what_is_appended_while_a_log_is_read_comes_at_its_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 10_000)
    run = await desk.run()
    await appended(desk, run, *({"n": n, "text": "x" * 900} for n in range(60)))

    read = b""
    async for piece in await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id):
        if (count := read.count(b"\n")) < 60:
            await appended(desk, run, {"n": 60 + count})  # one between any two pages
        read += piece

    assert [json.loads(line) for line in read.splitlines()] == [json.loads(line) for line in await lines(desk, run)]


async def test_a_log_breaks_off_where_the_database_does_and_is_whole_the_next_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_texts, "PAGE_BYTES", 10_000)
    run = await desk.run()
    await appended(desk, run, *({"n": n, "text": "x" * 900} for n in range(60)))
    troubles: list[Any] = []
    monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", troubles.append)

    pieces = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    await anext(pieces)
    with monkeypatch.context() as patch:
        patch.setattr(journal_texts, "read_all", _read_by_a_backend_that_dies)
        with pytest.raises(UnavailableError):
            await joined(pieces)
    pieces = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    await anext(pieces)
    gc.collect()

    assert troubles == []
    assert len(await lines(desk, run)) == 60


async def test_never_more_entries_match_than_there_are(desk: Desk) -> None:
    run = await desk.run()
    writing = asyncio.ensure_future(_append_many(desk, run))
    while not writing.done():
        _, total, matching, _ = await found(desk, run, exclude_types=("plan",), limit=1)
        assert matching <= total
    await writing


async def test_session_logs_filter_and_page(desk: Desk) -> None:
    run = await desk.run()
    kinds = ("user_message", "tool_call", "agent_message", "tool_call")
    await appended(desk, run, *(update(kind, str(n), f"2026-05-07T10:00:0{n}.000Z") for n, kind in enumerate(kinds)))
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(stage="x"))
    await appended(desk, run, said("_posthog/console"), {"type": "info"}, update("tool_call", "old", "2026-05-07T11:00:00+02:00"))

    async def texts(**filters: Any) -> list[str]:
        entries, total, matching, _ = await found(desk, run, limit=5000, **filters)
        assert (total, matching) == (7, len(entries))
        return [entry.get("notification", {}).get("params", {}).get("update", {}).get("content", {}).get("text", "-") for entry in entries]

    assert await texts() == ["0", "1", "2", "3", "-", "-", "old"]
    assert await texts(event_types=("tool_call", "_posthog/console")) == ["1", "3", "-", "old"]
    assert await texts(exclude_types=("tool_call",)) == ["0", "2", "-", "-"]
    assert await texts(event_types=("tool_call", "agent_message"), exclude_types=("tool_call",)) == ["2"]
    assert await texts(after=datetime(2026, 5, 7, 10, 0, 1, tzinfo=UTC)) == ["2", "3"]
    assert await texts(event_types=("\x00",)) == []


async def test_session_logs_page_by_offset_and_limit(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, *(update("tool_call" if n % 2 else "plan", str(n)) for n in range(1200)))

    async def page(**filters: Any) -> tuple[int, bool]:
        entries, total, matching, has_more = await found(desk, run, **filters)
        assert (total, matching) == (1200, 600 if "event_types" in filters else 1200)
        return len(entries), has_more

    assert await page() == (1000, True)
    assert await page(offset=1000) == (200, False)
    assert await page(offset=1200) == (0, False)
    assert await page(offset=2**70) == (0, False)
    assert await page(event_types=("plan",), limit=100, offset=500) == (100, False)
    assert await page(event_types=("plan",), limit=99, offset=500) == (99, True)


async def test_a_journal_without_entries_gives_an_empty_array(desk: Desk) -> None:
    assert await found(desk, await desk.run()) == ([], 0, 0, False)


async def test_a_log_url_answers_without_credentials_for_an_hour(desk: Desk) -> None:
    run = await desk.run()
    await appended(desk, run, {"n": 1})
    clock = FixedClock(datetime.now(UTC))
    backends = replace(desk.backends, clock=clock)
    url = log_urls.sign(backends, run.id)
    query = dict(pair.split("=") for pair in url.partition("?")[2].split("&"))

    assert url.startswith(f"http://hedgerow.test/api/run_logs/{run.id}/?")
    assert await joined(await log_urls.read(backends, run.id, **query)) == b'{"n": 1}\n'
    other = await desk.run()
    for run_id, wrong in ((run.id, query | {"signature": "é"}), (run.id, query | {"expires": "9" * 11}), (other.id, query)):
        with pytest.raises(ForbiddenError):
            await log_urls.read(backends, run_id, **wrong)
    clock.advance(timedelta(seconds=3601))
    with pytest.raises(ForbiddenError, match="expired"):
        await log_urls.read(backends, run.id, **query)


async def test_a_type_of_any_length_is_kept_and_found(desk: Desk) -> None:
    run = await desk.run()
    long = "_x/" + "y" * 5000
    await appended(desk, run, said(long), said("_x/short"))

    assert (await found(desk, run, event_types=(long,)))[0] == [said(long)]
    assert (await found(desk, run, exclude_types=(long,)))[0] == [said("_x/short")]
