import asyncio
import gc
import json
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from hedgerow.db import executions, journal, journal_texts, messages, nodes
from hedgerow.db.database import BulkConnection
from hedgerow.domain.access import Caller
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.end_reasons import LONGEST_WORDS
from hedgerow.domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError, UnavailableError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.journal import EventKind, JournalEvent
from hedgerow.domain.masking import Mask
from hedgerow.domain.messages import MessageStatus
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.operations import log_urls, logs
from hedgerow.operations.logs import Appended, LogFilters
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk


def update(kind: str, text: str = "", timestamp: str | None = "2026-05-07T10:00:00.000Z") -> dict[str, Any]:
    """An entry of session/update."""
    content = {"sessionUpdate": kind, "content": {"type": "text", "text": text}}
    return {
        "type": "notification",
        "timestamp": timestamp,
        "notification": {"jsonrpc": "2.0", "method": "session/update", "params": {"update": content}},
    }


def said(method: str, **params: Any) -> dict[str, Any]:
    """An entry of another method."""
    return {"type": "notification", "notification": {"jsonrpc": "2.0", "method": method, "params": params}}


async def appended(desk: Desk, run: TaskRun, *entries: Any, caller: Caller | None = None, key: str | None = None) -> Appended:
    """The answer to an append_log of the entries."""
    body = json.dumps({"entries": entries}).encode()
    return await logs.append_log(desk.backends, caller or desk.caller, desk.project, run.task_id, run.id, body, idempotency_key=key)


async def events_of(desk: Desk, run: TaskRun) -> list[JournalEvent]:
    """Everything on a run's journal but the state of its creation."""
    async with desk.backends.database.statement() as tx:
        return await journal.read(tx, run.id, 1)


async def joined(pieces: AsyncIterator[bytes]) -> bytes:
    """All pieces as one."""
    return b"".join([piece async for piece in pieces])


async def lines(desk: Desk, run: TaskRun) -> list[str]:
    """What logs/ answers."""
    return (await joined(await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id))).decode().splitlines()


async def found(desk: Desk, run: TaskRun, **filters: Any) -> tuple[list[Any], int, int, bool]:
    """What session_logs/ answers: entries, total, matching, whether there is more."""
    page = await logs.session_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id, LogFilters(**filters))
    return json.loads(await joined(page.body)), page.total, page.matching, page.has_more


async def test_entries_are_numbered_in_order_and_leave_the_run_as_it_is(desk: Desk) -> None:
    run = await desk.run()

    answer = await appended(desk, run, {"n": 1}, {"n": 2})
    await appended(desk, run, {"n": 3})

    assert answer == Appended(run, replayed=False)
    assert [(event.number, event.kind, json.loads(event.text)["n"]) for event in await events_of(desk, run)] == [
        (2, EventKind.ENTRY, 1),
        (3, EventKind.ENTRY, 2),
        (4, EventKind.ENTRY, 3),
    ]


async def test_what_postgresql_cannot_hold_is_held_as_its_escape(desk: Desk) -> None:
    run = await desk.run()
    source = '{"type":"\\u0000","notification":{"method":"\\ud800\\u0000"},"a":"\\ud83d"}'

    await logs.append_log(desk.backends, desk.caller, desk.project, run.task_id, run.id, f'{{"entries":[{source}]}}'.encode())

    assert await lines(desk, run) == [source]


async def test_appends_at_once_are_gapless_and_keep_the_order_of_each_writer(desk: Desk) -> None:
    run = await desk.run()

    async def write(writer: int) -> None:
        for batch in range(5):
            await appended(desk, run, *({"writer": writer, "n": batch * 3 + i} for i in range(3)), key=f"{writer}-{batch}")

    await asyncio.gather(*(write(writer) for writer in range(8)))

    events = await events_of(desk, run)
    entries = [json.loads(event.text) for event in events]
    assert [event.number for event in events] == list(range(2, 122))
    for writer in range(8):
        assert [entry["n"] for entry in entries if entry["writer"] == writer] == list(range(15))


async def test_a_run_that_does_not_exist_takes_nothing(desk: Desk) -> None:
    run, other = await desk.run(), await desk.run()

    for task_id, run_id in ((other.task_id, run.id), (run.task_id, other.task_id)):
        for key in (None, "k"):
            with pytest.raises(NotFoundError):
                await logs.append_log(desk.backends, desk.caller, desk.project, task_id, run_id, b'{"entries":[{}]}', idempotency_key=key)
    with pytest.raises(InvalidError):
        await logs.append_log(desk.backends, desk.caller, desk.project, other.task_id, run.id, b'{"entries":[]}')
    assert await events_of(desk, run) == []


async def test_the_same_key_appends_once(desk: Desk) -> None:
    run = await desk.run()

    answers = await asyncio.gather(*(appended(desk, run, {"n": 1}, key="k") for _ in range(6)))

    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 5
    assert len(await events_of(desk, run)) == 1
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(stage="later"))
    assert (await appended(desk, run, {"n": 1}, key="k")).run.stage == "later"
    with pytest.raises(ConflictError) as conflict:
        await appended(desk, run, {"n": 2}, key="k")
    assert conflict.value.detail_code == "idempotency_conflict"
    assert not (await appended(desk, run, {"n": 1}, key="other")).replayed


async def test_a_key_is_free_again_after_a_day(desk: Desk) -> None:
    run = await desk.run()
    clock = FixedClock(datetime.now(UTC))
    later = replace(desk, backends=replace(desk.backends, clock=clock))
    await appended(later, run, {"n": 1}, key="k")

    clock.advance(timedelta(hours=25))

    assert not (await appended(later, run, {"n": 2}, key="k")).replayed
    assert len(await events_of(desk, run)) == 2


async def test_an_agent_of_an_older_epoch_appends_nothing_and_its_key_stays_free(desk: Desk) -> None:
    run = await desk.started_run()
    node_id = uuid7()
    async with desk.backends.database.transaction() as tx:
        await nodes.report(tx, node_id, "http://gate.test", 30.0)
        assert await executions.claim(tx, run.id, node_id)

    for key in (None, "k"):
        for entries in (({"n": 1},), (update("agent_message_chunk", "x"),), (said("_posthog/turn_complete"),)):
            with pytest.raises(ForbiddenError):
                await appended(desk, run, *entries, caller=desk.agent(run, epoch=0), key=key)
    assert not (await appended(desk, run, {"n": 1}, caller=desk.agent(run, epoch=1), key="k")).replayed
    assert [event.kind for event in await events_of(desk, run)] == [EventKind.MESSAGE, EventKind.ENTRY]


async def test_a_run_token_writes_its_own_run_only(desk: Desk) -> None:
    run, other = await desk.run(), await desk.run()

    with pytest.raises(ForbiddenError):
        await appended(desk, run, {"n": 1}, caller=desk.agent(other))


async def test_message_chunks_are_never_stored(desk: Desk) -> None:
    run = await desk.run()

    answer = await appended(desk, run, update("agent_message_chunk", "a"), key="k")
    await appended(desk, run, update("agent_message_chunk", "b"), {"n": 1}, update("agent_message_chunk", "c"))

    assert answer.run == run
    assert [json.loads(event.text) for event in await events_of(desk, run)] == [{"n": 1}]


async def heard_at(desk: Desk, run: TaskRun) -> datetime | None:
    async with desk.backends.database.statement() as tx:
        found = await executions.look(tx, run.id)
    assert found is not None
    return found[1].heard_at


async def test_whatever_the_agent_server_hands_over_is_a_sign_of_life_and_what_others_write_is_none(desk: Desk) -> None:
    clock = FixedClock(datetime(2026, 5, 7, 12, tzinfo=UTC))
    desk = replace(desk, backends=replace(desk.backends, clock=clock))
    run = await desk.run()
    agent = desk.agent(run)
    await appended(desk, run, {"n": 1})
    assert await heard_at(desk, run) is None
    await appended(desk, run, {"n": 2}, caller=agent)
    assert await heard_at(desk, run) == clock.now()
    clock.advance(timedelta(seconds=30))
    await appended(desk, run, update("agent_message_chunk", "a"), caller=agent)
    assert await heard_at(desk, run) == clock.now() - timedelta(seconds=30)  # chunks are many: they count once a minute
    clock.advance(timedelta(seconds=31))
    await appended(desk, run, update("agent_message_chunk", "b"))
    assert await heard_at(desk, run) != clock.now()
    await appended(desk, run, update("agent_message_chunk", "c"), caller=agent)
    assert await heard_at(desk, run) == clock.now()
    clock.advance(timedelta(seconds=1))
    await appended(desk, run, {"n": 3}, caller=agent, key="k")
    assert await heard_at(desk, run) == clock.now()


async def test_known_secrets_do_not_reach_the_journal(desk: Desk) -> None:
    run = await desk.run()

    await appended(desk.with_rules(mask=Mask(["sk-secret"])), run, {"env": "KEY=sk-secret"})

    assert await lines(desk, run) == ['{"env": "KEY=***"}']


async def test_the_end_of_a_turn_acknowledges_its_message_and_wakes_the_lifecycle(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.transaction() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
        assert message is not None
        assert await messages.mark_delivered(tx, message.id)

    entry = said("__posthog/turn_complete", sessionId="s", stopReason="end_turn", messageId=str(message.id))
    answer = await appended(desk, run, entry, caller=desk.agent(run), key="k")
    again = await appended(desk, run, entry, caller=desk.agent(run))

    execution = answer.run.execution
    assert (execution.stop_reason, execution.turn_ended_at is not None) == ("end_turn", True)
    assert execution.wake_at == execution.turn_ended_at
    assert again.run.execution == execution
    async with desk.backends.database.statement() as tx:
        assert [kept.status for kept in await messages.of_run(tx, run.id)] == [MessageStatus.ACKNOWLEDGED]


@pytest.mark.parametrize("message_id", [None, "m-1"])
async def test_the_turn_of_a_message_that_was_said_to_the_agent_server_itself_ends_no_other(desk: Desk, message_id: str | None) -> None:
    run = await desk.started_run()
    async with desk.backends.database.transaction() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
        assert message is not None
        assert await messages.mark_delivered(tx, message.id)

    direct = said("_posthog/turn_complete", stopReason="end_turn", messageId=message_id)
    answer = await appended(desk, run, direct, caller=desk.agent(run))

    assert answer.run.execution.turn_ended_at is None, "the message that was delivered still waits behind it"
    unnamed = await appended(desk, run, said("_posthog/turn_complete", stopReason="end_turn"), caller=desk.agent(run))
    assert unnamed.run.execution.turn_ended_at is not None


async def test_a_turn_that_ends_before_its_delivery_is_noted_stays_ended(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.statement() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
    assert message is not None

    await appended(desk, run, said("_posthog/turn_complete", messageId=str(message.id)), caller=desk.agent(run))

    async with desk.backends.database.statement() as tx:
        assert not await messages.mark_delivered(tx, message.id)


async def test_a_failed_turn_fails_its_message(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.statement() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
    assert message is not None

    entry = said("_posthog/error", message="no key sk-secret", messageId=str(message.id), endReason="agent_lost")
    answer = await appended(desk.with_rules(mask=Mask(["sk-secret"])), run, entry, caller=desk.agent(run))

    lost = Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_LOST, message="no key ***")
    assert (answer.run.execution.turn_ended_at is not None, answer.run.execution.failure) == (True, lost)
    async with desk.backends.database.statement() as tx:
        kept = (await messages.of_run(tx, run.id))[0]
    assert (kept.status, kept.error) == (MessageStatus.FAILED, "no key ***")


@pytest.mark.parametrize(
    ("told", "kept"),
    [
        ("nul \x00, half a pair \ud800", "nul \N{REPLACEMENT CHARACTER}, half a pair \N{REPLACEMENT CHARACTER}"),
        ("a" * 1_000_000, "a" * (LONGEST_WORDS - 2) + " …"),
        (" \n", "The agent failed without saying why."),
        ({"no": "text"}, "The agent failed without saying why."),
        (None, "The agent failed without saying why."),
    ],
)
async def test_whatever_a_failed_turn_says_of_itself_is_kept_as_well_as_it_can_be(desk: Desk, told: Any, kept: str) -> None:
    run = await desk.started_run()
    async with desk.backends.database.statement() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
    assert message is not None

    entry = said("_posthog/error", message=told, messageId=str(message.id), endReason=["agent_lost"])
    answer = await appended(desk, run, entry, caller=desk.agent(run))

    assert answer.run.execution.failure == Ending(status=RunStatus.FAILED, reason=EndReason.AGENT_FAILED, message=kept)
    async with desk.backends.database.statement() as tx:
        assert [each.error for each in await messages.of_run(tx, run.id)] == [kept]


async def test_a_stop_reason_is_kept_without_secrets_and_not_at_any_length(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.statement() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
    assert message is not None

    entry = said("_posthog/turn_complete", messageId=str(message.id), stopReason="sk-secret\x00" + "a" * 1_000_000)
    answer = await appended(desk.with_rules(mask=Mask(["sk-secret"])), run, entry, caller=desk.agent(run))

    stop_reason = answer.run.execution.stop_reason
    assert stop_reason is not None
    assert (len(stop_reason), stop_reason[:6]) == (LONGEST_WORDS, "***\N{REPLACEMENT CHARACTER}aa")


async def test_a_person_ends_no_turn_by_writing_so(desk: Desk) -> None:
    run = await desk.started_run()

    answer = await appended(desk, run, said("_posthog/turn_complete", stopReason="end_turn"))

    assert answer.run.execution.turn_ended_at is None


async def test_an_agent_ends_no_turn_by_a_session_update_of_that_name(desk: Desk) -> None:
    run = await desk.started_run()
    async with desk.backends.database.statement() as tx:
        message = await messages.take(tx, run.id, desk.backends.clock.now())
        assert message is not None
        await messages.mark_delivered(tx, message.id)

    answer = await appended(desk, run, update("_posthog/turn_complete"), caller=desk.agent(run))

    assert answer.run.execution.turn_ended_at is None


async def test_permission_requests_of_the_agent_are_on_the_stream_alone(desk: Desk) -> None:
    run = await desk.run()
    request = {"type": "permission_request", "requestId": "r", "options": [], "toolCall": {}}

    await appended(desk, run, request, caller=desk.agent(run))
    await appended(desk, run, {"n": 1})

    assert [event.kind for event in await events_of(desk, run)] == [EventKind.PERMISSION, EventKind.ENTRY]
    assert await lines(desk, run) == ['{"n": 1}']
    assert (await found(desk, run))[1] == 1


async def test_an_agent_may_write_after_the_end(desk: Desk) -> None:
    run = await desk.run()
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.FAILED))

    await appended(desk, run, {"n": 1})

    assert await lines(desk, run) == ['{"n": 1}']


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


def _read_by_a_backend_that_dies(connection: BulkConnection, *_arguments: object) -> None:
    connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_never_more_entries_match_than_there_are(desk: Desk) -> None:
    run = await desk.run()
    writing = asyncio.ensure_future(_append_many(desk, run))
    while not writing.done():
        _, total, matching, _ = await found(desk, run, exclude_types=("plan",), limit=1)
        assert matching <= total
    await writing


async def _append_many(desk: Desk, run: TaskRun) -> None:
    for number in range(60):
        await appended(desk, run, {"n": number}, {"n": -number})


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
