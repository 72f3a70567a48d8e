"""What becomes of messages, as the readers of their run hear of it: with each change of a row one event, and none without."""

import json
from typing import Any
from uuid import UUID

import pytest

from hedgerow.db import journal, runs
from hedgerow.db import messages as rows
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.journal import EventKind
from hedgerow.domain.messages import HANDED_OVER, UNANSWERED
from hedgerow.domain.runs import Environment, RunStatus, TaskRun
from hedgerow.operations import commands, inbox, logs, messages, starts
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk


async def told(desk: Desk, run: TaskRun) -> list[dict[str, Any]]:
    """What the events of messages tell, in order."""
    async with desk.backends.database.statement() as tx:
        events = await journal.read(tx, run.id, 0)
    values = [json.loads(event.text) for event in events if event.kind is EventKind.MESSAGE]
    assert {value["type"] for value in values} <= {"message_status"}
    return [value["notification"]["params"] for value in values]


async def said(desk: Desk, run: TaskRun, text: str) -> UUID:
    """The id of a message that was sent."""
    command = Command(method=CommandMethod.USER_MESSAGE, params={"content": text})
    answer = await commands.send_command(desk.backends, desk.caller, desk.project, run.task_id, run.id, command)
    return UUID(json.loads(answer)["result"]["messageId"])


async def delivered(desk: Desk, run: TaskRun) -> UUID:
    """The message that is with the agent now."""
    async with desk.backends.database.transaction() as tx:
        await runs.load_for_update(tx, run.id)
        message = await rows.take(tx, run.id, desk.backends.clock.now())
        assert message is not None
        assert await inbox.note_delivery(desk.backends, tx, run.id, message.id)
    return message.id


async def ended_turn(desk: Desk, run: TaskRun, method: str, **params: Any) -> None:
    entry = {"type": "notification", "notification": {"jsonrpc": "2.0", "method": method, "params": params}}
    body = json.dumps({"entries": [entry]}).encode()
    await logs.append_log(desk.backends, desk.agent(run), desk.project, run.task_id, run.id, body)


async def test_a_message_is_followed_by_its_events_from_the_inbox_to_the_end_of_its_turn(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="first")
    second = await said(desk, run, "second")
    first = await delivered(desk, run)
    await ended_turn(desk, run, "_posthog/turn_complete", stopReason="end_turn", messageId=str(first))
    await ended_turn(desk, run, "_posthog/turn_complete", stopReason="end_turn", messageId=str(first))  # said twice, told once
    assert await delivered(desk, run) == second
    await ended_turn(desk, run, "_posthog/error", messageId=str(second), message="No credit left.")
    assert await told(desk, run) == [
        {"messageId": str(first), "status": "queued", "position": 1},
        {"messageId": str(second), "status": "queued", "position": 2},
        {"messageId": str(first), "status": "delivered"},
        {"messageId": str(first), "status": "acknowledged"},
        {"messageId": str(second), "status": "delivered"},
        {"messageId": str(second), "status": "failed", "error": "No credit left."},
    ]


async def test_the_logs_show_nothing_of_it(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="first")
    pieces = await logs.read_logs(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    assert b"".join([piece async for piece in pieces]) == b""


async def test_a_message_that_is_moved_or_taken_back_is_told_as_such(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="a")
    b, c = await said(desk, run, "b"), await said(desk, run, "c")
    where = (desk.backends, desk.caller, desk.project, run.task_id, run.id)
    await messages.move_message(*where, c, 1)
    await messages.demote_message(*where, c)
    await messages.promote_message(*where, b)
    await messages.delete_message(*where, b)
    assert [(event["messageId"], event["status"], event.get("position")) for event in (await told(desk, run))[3:]] == [
        (str(c), "moved", 1),
        (str(c), "moved", 3),
        (str(b), "moved", 1),
        (str(b), "removed", None),
    ]


@pytest.mark.parametrize(
    ("patch", "error"),
    [
        ({"environment": Environment.LOCAL}, HANDED_OVER),
        ({"status": RunStatus.CANCELLED}, UNANSWERED),
    ],
)
async def test_what_waits_when_nobody_will_hear_it_any_more_fails_with_the_reason(desk: Desk, patch: dict[str, Any], error: str) -> None:
    run = await desk.started_run(pending_user_message="a")
    await said(desk, run, "b")
    await delivered(desk, run)
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(**patch))
    assert [(event["status"], event["error"]) for event in (await told(desk, run))[3:]] == [("failed", error)] * 2


async def test_a_run_that_is_ended_while_its_agent_works_leaves_the_message_to_it_until_its_sandbox_is_gone(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="a")
    async with desk.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"sandbox": {"provider": "process", "id": "1"}})
    first = await delivered(desk, run)
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.COMPLETED))
    await ended_turn(desk, run, "_posthog/turn_complete", stopReason="end_turn", messageId=str(first))
    assert [event["status"] for event in await told(desk, run)] == ["queued", "delivered", "acknowledged"]


async def test_a_new_start_fails_what_the_earlier_one_left(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="a")
    async with desk.backends.database.transaction() as tx:
        await runs.note(tx, run.id, {"sandbox": {"provider": "process", "id": "1"}})
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(status=RunStatus.COMPLETED))
    await starts.resume_in_cloud(desk.backends, desk.caller, desk.project, run.task_id, run.id)
    statuses = [(event["status"], event.get("error")) for event in await told(desk, run)]
    assert statuses == [("queued", None), ("failed", UNANSWERED), ("queued", None)]


async def test_a_change_that_is_not_committed_has_no_event(desk: Desk) -> None:
    run = await desk.started_run(pending_user_message="a")

    async def broken_off() -> None:
        async with desk.backends.database.transaction() as tx:
            await inbox.give_up(desk.backends, tx, run.id, UNANSWERED)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await broken_off()
    assert [event["status"] for event in await told(desk, run)] == ["queued"]
