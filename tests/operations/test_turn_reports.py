"""What an agent server says of its turns."""

from typing import Any

import pytest

from hedgerow.db import messages
from hedgerow.domain.end_reasons import LONGEST_WORDS
from hedgerow.domain.masking import Mask
from hedgerow.domain.messages import MessageStatus
from hedgerow.domain.runs import Ending, EndReason, RunStatus
from tests.operations.conftest import Desk
from tests.operations.journal_entries import appended, said, update


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
