"""Permission requests: kept with their event, answered once, handed over, and void where nobody waits any more."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hedgerow.db import executions, journal, runs
from hedgerow.db import permission_requests as rows
from hedgerow.domain.access import Caller
from hedgerow.domain.audit import ActorKind, AuditAction, AuditFilters
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import NotFoundError, RefusedError
from hedgerow.domain.journal import EventKind
from hedgerow.domain.permission_requests import OVERTAKEN, RUN_OVER, SESSION_OVER, UNHEARD, WITHDRAWN, PermissionRequest, RequestState
from hedgerow.domain.runs import Ending, EndReason, RunMode, RunStatus, TaskRun
from hedgerow.operations import audit, commands, logs, permission_requests
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk, new_desk

OPTIONS = [
    {"optionId": "yes", "name": "Yes", "kind": "allow_once"},
    {"optionId": "never", "name": "Never", "kind": "reject_always"},
    {"optionId": "no", "name": "No", "kind": "reject_once"},
]
NOW = datetime(2026, 5, 7, 12, tzinfo=UTC)


class Agent:
    """The agent server of a run, and the person who watches it."""

    def __init__(self, desk: Desk, run: TaskRun) -> None:
        self.desk, self.run = desk, run

    async def says(self, *entries: dict[str, Any], key: str | None = None) -> None:
        """What the agent server puts on the journal."""
        body = json.dumps({"entries": list(entries)}).replace("Infinity", "1e999").encode()
        agent: Caller = self.desk.agent(self.run)
        await logs.append_log(self.desk.backends, agent, self.desk.project, self.run.task_id, self.run.id, body, idempotency_key=key)

    async def asks(self, request_id: str = "r", **fields: Any) -> None:
        await self.says(asked(request_id, **fields))

    async def answer(self, option_id: str = "yes", request_id: str = "r", call_id: Any = 1, **params: Any) -> dict[str, Any]:
        """What the command answers."""
        given = {"requestId": request_id, "optionId": option_id, **params}
        command = Command(method=CommandMethod.PERMISSION_RESPONSE, params=given, id=call_id)
        desk = self.desk
        body = await commands.send_command(desk.backends, desk.caller, desk.project, self.run.task_id, self.run.id, command)
        document: dict[str, Any] = json.loads(body)
        return document

    async def all(self, state: RequestState | None = None) -> list[PermissionRequest]:
        desk = self.desk
        found = await permission_requests.list_permission_requests(
            desk.backends, desk.caller, desk.project, self.run.task_id, self.run.id, state, Paging()
        )
        return found.items

    async def one(self) -> PermissionRequest:
        (request,) = await self.all()
        return request

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        """The events about permission requests, in order: what each is called, and what it says."""
        async with self.desk.backends.database.statement() as tx:
            events = await journal.read(tx, self.run.id, 0)
        values = [json.loads(event.text) for event in events if event.kind is EventKind.PERMISSION]
        return [("asked", {}) if value["type"] == "permission_request" else _told(value["notification"]) for value in values]

    async def deliver(self, *, taken: bool = True, request_id: str = "r") -> None:
        """What a worker writes down after it has handed an answer over."""
        async with self.desk.backends.database.transaction() as tx:
            run = await runs.load_for_update(tx, self.run.id)
            assert run is not None
            await permission_requests.settle_delivery(self.desk.backends, tx, run, request_id, taken=taken)

    async def expire(self) -> None:
        async with self.desk.backends.database.transaction() as tx:
            run = await runs.load_for_update(tx, self.run.id)
            assert run is not None
            await permission_requests.expire_requests(self.desk.backends, tx, run)

    async def note(self, **facts: Any) -> None:
        async with self.desk.backends.database.transaction() as tx:
            await runs.note(tx, self.run.id, facts)

    async def inbox(self) -> Any:
        async with self.desk.backends.database.transaction() as tx:
            found = await executions.look(tx, self.run.id)
        assert found is not None
        return found[1]


def _told(notification: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return notification["method"].removeprefix("_posthog/permission_"), notification["params"]


def asked(request_id: Any = "r", **fields: Any) -> dict[str, Any]:
    return {"type": "permission_request", "requestId": request_id, "options": OPTIONS, "toolCall": {"title": "Write"}, **fields}


def resolved(request_id: str = "r", **params: Any) -> dict[str, Any]:
    told = {"jsonrpc": "2.0", "method": "_posthog/permission_resolved", "params": {"requestId": request_id, **params}}
    return {"type": "permission_resolved", "timestamp": "2026-05-07T10:00:00.000Z", "notification": told}


async def at_work(desk: Desk, mode: RunMode = RunMode.INTERACTIVE) -> Agent:
    """A run whose agent server is there."""
    run = await desk.started_run(mode=mode)
    there = Agent(desk, run)
    await there.note(sandbox={"provider": "process", "id": "1"}, session_ready_at=desk.backends.clock.now())
    return there


async def test_a_request_is_kept_with_its_event(desk: Desk) -> None:
    run = await at_work(desk)
    await run.says({"n": 1}, asked(toolCall={"title": "Write", "deep": [1e999, 2**70, "\ud800\x00"]}), {"n": 2})
    request = await run.one()
    assert (request.id, request.state, request.deadline, request.answer) == ("r", RequestState.WAITING, None, None)
    assert list(request.options) == OPTIONS
    assert request.tool_call["deep"] == ["1e999", 2**70, "\ud800\x00"]
    assert (await run.inbox()).asked == 1
    assert (await desk.fresh(run.run)).execution.wake_at is not None


async def test_a_batch_that_is_sent_again_asks_nothing_again(desk: Desk) -> None:
    run = await at_work(desk)
    await run.says(asked(), key="batch")
    assert (await run.answer())["result"] == {"resolved": True}
    await run.says(asked(), key="batch")
    await run.asks()
    assert (await run.one()).state is RequestState.ANSWERED


async def test_an_agent_cannot_say_that_it_was_answered(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.says({**resolved(optionId="yes"), "type": "notification"}, {"type": "permission_resolved", "notification": "broken"})
    assert (await run.one()).state is RequestState.WAITING
    assert (await run.answer("no"))["result"] == {"resolved": True}


@pytest.mark.parametrize("request_id", [None, 5, "", "x" * 201, "a\x00b", "\ud800"])
async def test_what_no_answer_could_name_is_an_event_alone(desk: Desk, request_id: Any) -> None:
    run = await at_work(desk)
    await run.says(asked(request_id), asked("sound", options="broken", toolCall=7))
    assert [(request.id, list(request.options), request.tool_call) for request in await run.all()] == [("sound", [], {})]
    assert [what for what, _ in await run.told()] == ["asked", "asked"]


async def test_a_person_who_writes_such_an_entry_asks_nothing(desk: Desk) -> None:
    run = await at_work(desk)
    body = json.dumps({"entries": [asked()]}).encode()
    await logs.append_log(desk.backends, desk.caller, desk.project, run.run.task_id, run.run.id, body)
    assert await run.all() == []


async def test_of_fifty_answers_at_once_exactly_one_takes_effect(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    options = ["yes", "no"] * 25
    answers = await asyncio.gather(*(run.answer(option, call_id=number) for number, option in enumerate(options)))
    won = [answer for answer in answers if "result" in answer]
    lost = [answer for answer in answers if "error" in answer]
    assert (len(won), len(lost), sorted(answer["id"] for answer in answers)) == (1, 49, list(range(50)))
    chosen = options[won[0]["id"]]
    for answer in lost:
        assert answer["error"]["code"] == -32000
        assert "permission request r was answered already" in answer["error"]["message"]
        assert answer["error"]["data"] == {"requestId": "r", "state": "answered", "optionId": chosen}
    request = await run.one()
    assert request.answer is not None
    assert (request.state, request.answer.option_id, request.answered_by) == (RequestState.ANSWERED, chosen, desk.caller.user.id)
    assert await run.told() == [("asked", {}), ("answered", {"requestId": "r", "state": "answered", "optionId": chosen})]
    found = await audit.read_audit(
        desk.backends, desk.caller, desk.project, AuditFilters(action=AuditAction.COMMAND_PERMISSION_RESPONSE), Paging()
    )
    assert [(entry.note.actor, entry.note.detail) for entry in found.items] == [(ActorKind.USER, {"requestId": "r", "optionId": chosen})]


@pytest.mark.parametrize(
    ("params", "code", "words"),
    [
        ({"option_id": "perhaps"}, -32602, "optionId must be one of: yes, never, no."),
        ({"option_id": "\ud800"}, -32602, "optionId must be one of"),
        ({"customInput": 5}, -32602, "customInput must be a string."),
        ({"answers": {"q": 5}}, -32602, "answers must be an object of strings."),
        ({"answers": []}, -32602, "answers must be an object of strings."),
        ({"request_id": "s"}, -32000, "No permission request s is waiting"),
        ({"request_id": "s\x00\ud800"}, -32000, "No permission request s"),
    ],
)
async def test_an_answer_that_fits_nothing_leaves_the_request_waiting(desk: Desk, params: dict[str, Any], code: int, words: str) -> None:
    run = await at_work(desk)
    await run.asks()
    error = (await run.answer(**params))["error"]
    assert (error["code"], words in error["message"]) == (code, True)
    assert error["data"]["requestId"] == params.get("request_id", "r")
    assert (await run.answer(customInput="go", answers={"q": "\ud800"}))["result"] == {"resolved": True}
    answer = (await run.one()).answer
    assert answer is not None
    assert answer.input == {"customInput": "go", "answers": {"q": "\ud800"}}


async def test_an_answer_is_handed_over_until_the_agent_server_has_it(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.answer()
    assert ((await run.inbox()).asked, (await run.inbox()).answers) == (0, 1)
    async with desk.backends.database.statement() as tx:
        undelivered = await rows.first_undelivered(tx, run.run.id)
    assert undelivered is not None
    assert undelivered.id == "r"
    await run.deliver()
    await run.deliver()  # a second worker, or the same one after a crash
    await run.says(resolved(outcome="selected", optionId="yes"))
    assert (await run.inbox()).answers == 0
    assert (await run.one()).delivered_at is not None
    assert [what for what, _ in await run.told()] == ["asked", "answered", "delivered", "resolved"]


async def test_the_agent_servers_own_word_counts_where_the_worker_died(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.answer()
    await run.says(resolved(outcome="selected", optionId="yes"))
    await run.deliver()
    assert [what for what, _ in await run.told()] == ["asked", "answered", "resolved", "delivered"]


async def test_an_answer_that_went_to_the_agent_server_itself_is_the_answer(desk: Desk) -> None:
    run = await at_work(desk)
    await run.says(asked(), resolved(outcome="selected", optionId="no"))
    request = await run.one()
    assert request.answer is not None
    assert (request.state, request.answer.option_id, request.answered_by) == (RequestState.ANSWERED, "no", None)
    assert request.delivered_at is not None
    assert (await run.answer())["error"]["data"]["optionId"] == "no"


@pytest.mark.parametrize(("reason", "why"), [("turn_cancelled", WITHDRAWN), ("session_ended", SESSION_OVER)])
async def test_what_the_agent_waits_for_no_more_is_void(desk: Desk, reason: str, why: str) -> None:
    run = await at_work(desk)
    await run.asks("answered")
    await run.answer(request_id="answered")
    await run.asks()
    await run.note(state={**run.run.state, "sandbox_url": "http://worker.test/sandboxes/1"})
    for request_id in ("answered", "r", "unknown"):
        await run.says(resolved(request_id, outcome="cancelled", reason=reason))
    assert [(request.state, request.reason) for request in await run.all()] == [(RequestState.VOID, UNHEARD), (RequestState.VOID, why)]
    error = (await run.answer())["error"]
    assert (error["code"], error["data"]["state"]) == (-32000, "void")
    await run.deliver(request_id="answered")
    assert [what for what, _ in await run.told()].count("delivered") == 0


async def test_an_answer_that_the_agent_server_does_not_want_is_void_and_told_so(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.answer()
    await run.deliver(taken=False)
    assert ((await run.one()).state, (await run.one()).reason) == (RequestState.VOID, UNHEARD)
    assert (await run.told())[-1] == ("void", {"requestId": "r", "reason": UNHEARD})


@pytest.mark.parametrize("status", [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED])
async def test_an_end_leaves_no_request_that_waits(desk: Desk, status: RunStatus) -> None:
    run = await at_work(desk)
    await run.asks()
    await update_run(desk.backends, desk.caller, desk.project, run.run.task_id, run.run.id, RunPatch(status=status))
    assert ((await run.one()).state, (await run.one()).reason) == (RequestState.VOID, RUN_OVER)
    assert await run.told() == [("asked", {}), ("void", {"requestId": "r", "reason": RUN_OVER})]
    with pytest.raises(RefusedError, match="No active sandbox"):
        await run.answer()
    await run.asks("late")
    assert {request.state for request in await run.all()} == {RequestState.VOID}


@pytest.mark.parametrize(
    "facts",
    [
        {"ending": executions.stored_ending(Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST))},
        {"restarting": True},
        {"environment": "local"},
    ],
)
async def test_a_run_that_is_about_to_leave_its_agent_takes_no_answer(desk: Desk, facts: dict[str, Any]) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.note(**facts)
    error = (await run.answer())["error"]
    assert (error["code"], "its run is about to leave" in error["message"]) == (-32000, True)


async def test_an_answer_that_another_one_overtook_is_void(desk: Desk) -> None:
    run = await at_work(desk)
    await run.asks()
    await run.answer("yes")
    await run.says(resolved(outcome="selected", optionId="no"))
    assert ((await run.one()).state, (await run.one()).reason) == (RequestState.VOID, OVERTAKEN)
    assert [what for what, _ in await run.told()] == ["asked", "answered", "resolved", "void"]


async def test_in_the_background_a_request_is_rejected_once_its_time_is_over(desk: Desk) -> None:
    clock = FixedClock(NOW)
    desk = replace(desk, backends=replace(desk.backends, clock=clock)).with_rules(permission_timeout_seconds=600)
    run = await at_work(desk, RunMode.BACKGROUND)
    await run.asks()
    await run.asks("silent", options=[OPTIONS[0]])
    assert (await run.inbox()).answer_by == NOW + timedelta(minutes=10)
    clock.advance(timedelta(minutes=10) - timedelta(microseconds=1))
    await run.expire()
    assert {request.state for request in await run.all()} == {RequestState.WAITING}
    clock.advance(timedelta(microseconds=1))
    await run.expire()
    await run.expire()
    answers = [(request.state, request.answer and request.answer.option_id, request.reason) for request in await run.all()]
    why = "Nobody answered within 10 minutes."
    assert answers == [(RequestState.EXPIRED, "no", why), (RequestState.EXPIRED, None, why)]
    assert ("answered", {"requestId": "r", "state": "expired", "optionId": "no", "reason": why}) in await run.told()
    error = (await run.answer())["error"]
    assert (error["code"], error["data"]["state"], why in error["message"]) == (-32000, "expired", True)
    assert (await run.inbox()).answers == 2
    found = await audit.read_audit(desk.backends, desk.caller, desk.project, AuditFilters(run_id=run.run.id), Paging(limit=1))
    assert (found.items[0].note.actor, found.items[0].note.detail["expired"]) == (ActorKind.SERVER, True)


async def test_an_answer_and_the_deadline_at_once_leave_one_answer(desk: Desk) -> None:
    clock = FixedClock(NOW)
    desk = replace(desk, backends=replace(desk.backends, clock=clock)).with_rules(permission_timeout_seconds=600)
    run = await at_work(desk, RunMode.BACKGROUND)
    for number in range(10):
        await run.asks(f"r{number}")
    clock.advance(timedelta(minutes=10))
    answers, *_ = await asyncio.gather(asyncio.gather(*(run.answer(request_id=f"r{number}") for number in range(10))), run.expire())
    states = [request.state for request in await run.all()]
    assert [RequestState.ANSWERED if "result" in answer else RequestState.EXPIRED for answer in answers] == states
    assert [what for what, _ in await run.told()].count("answered") == 10


async def test_requests_are_listed_by_run_and_by_project(desk: Desk) -> None:
    first, second, other = await at_work(desk), await at_work(desk), await at_work(await new_desk(desk.backends))
    for run in (first, second, other):
        await run.asks("a")
        await run.asks("b")
    await first.answer(request_id="a")
    assert [request.id for request in await first.all()] == ["a", "b"]
    assert [request.id for request in await first.all(RequestState.WAITING)] == ["b"]
    found = await permission_requests.list_project_permission_requests(
        desk.backends, desk.caller, desk.project, RequestState.WAITING, Paging(limit=2)
    )
    assert (found.count, [(request.run_id, request.id) for request in found.items]) == (
        3,
        [(first.run.id, "b"), (second.run.id, "a")],
    )
    with pytest.raises(NotFoundError):
        await permission_requests.list_permission_requests(
            desk.backends, desk.caller, desk.project, first.run.task_id, other.run.id, None, Paging()
        )
