"""What is appended to a journal: numbered, kept once, by those who may."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hedgerow.db import executions, nodes
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ConflictError, ForbiddenError, InvalidError, NotFoundError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.journal import EventKind
from hedgerow.domain.masking import Mask
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.operations import logs
from hedgerow.operations.logs import Appended
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk
from tests.operations.journal_entries import appended, events_of, found, lines, said, update


async def heard_at(desk: Desk, run: TaskRun) -> datetime | None:
    async with desk.backends.database.statement() as tx:
        found = await executions.look(tx, run.id)
    assert found is not None
    return found[1].heard_at


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
