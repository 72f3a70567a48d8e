from typing import Any

import pytest

from hedgerow.cli.items import Answered, Item, Plan, Prompted, Question, Remark, Said, StepOver, Thought, ToolOver
from hedgerow.cli.transcript import Transcript
from hedgerow.domain.runs import RunStatus
from tests.client.fake_server import notification, prompt, said, step, turn_complete, update


def fold(*events: dict[str, Any]) -> tuple[Transcript, list[Item]]:
    transcript = Transcript()
    return transcript, [item for event in events for item in transcript.apply(event)]


def test_a_step_is_shown_once_it_is_over_with_how_long_it_took() -> None:
    transcript, items = fold(
        step("checkout", "in_progress", "Check out"), step("sandbox", "failed", "Start", detail="no bwrap", duration_seconds=0.5)
    )
    assert items == [StepOver("Start", True, "no bwrap", 0.5)]
    assert [running.label for running in transcript.steps.values()] == ["Check out"]


def test_a_durable_message_takes_the_place_of_its_live_chunks() -> None:
    transcript, items = fold(said("Hel", "agent_message_chunk"), said("lo", "agent_message_chunk"))
    assert (transcript.message, items) == ("Hello", [])
    assert transcript.apply(said("Hello there")) == [Said("Hello there")]
    assert transcript.message == ""


def test_a_message_whose_chunks_were_all_lost_is_shown_the_same() -> None:
    assert fold(said("Hello"))[1] == [Said("Hello")]


def test_a_message_that_was_never_finished_is_kept_at_the_end() -> None:
    transcript, _ = fold(said("I was just about", "agent_message_chunk"))
    assert transcript.finish() == [Said("I was just about")]


def test_thoughts_flow_together_until_something_else_happens() -> None:
    _, items = fold(said("Where ", "agent_thought_chunk"), said("is it?", "agent_thought_chunk"), said("There."))
    assert items == [Thought("Where is it?"), Said("There.")]


def test_a_tool_call_is_shown_once_when_it_is_over() -> None:
    _, items = fold(
        update("tool_call", toolCallId="1", title="Read a.py", kind="read", status="pending"),
        update("tool_call_update", toolCallId="1", status="completed"),
        update("tool_call_update", toolCallId="1", status="completed", rawOutput="again"),
    )
    assert [(item.call.line, item.call.status) for item in items if isinstance(item, ToolOver)] == [("a.py", "completed")]


def test_a_tool_call_that_its_turn_left_behind_is_shown_as_unfinished() -> None:
    _, items = fold(update("tool_call", toolCallId="1", title="sleep 99", kind="execute"), turn_complete("cancelled"))
    assert [item.call.over for item in items if isinstance(item, ToolOver)] == [False]


def test_an_update_of_a_tool_call_from_an_earlier_turn_is_passed_over() -> None:
    assert fold(update("tool_call_update", toolCallId="9", status="completed"))[1] == []


def test_a_question_stays_open_until_its_answer_is_in_the_journal() -> None:
    asked = {
        "type": "permission_request",
        "requestId": "q1",
        "toolCall": {"toolCallId": "t1", "title": "Write a.py"},
        "options": [{"optionId": "ok", "name": "Allow", "kind": "allow_once"}, {"optionId": "no", "name": "Reject", "kind": "reject_once"}],
    }
    raw = notification("session/request_permission", {"toolCall": {"toolCallId": "t1"}}, id=7)
    transcript, items = fold(raw, asked, asked)
    assert [item.title for item in items if isinstance(item, Question)] == ["Write a.py"]
    assert list(transcript.questions) == ["q1"]
    answer = {
        "type": "notification",
        "notification": {"jsonrpc": "2.0", "id": 7, "result": {"outcome": {"outcome": "selected", "optionId": "ok"}}},
    }
    assert transcript.apply(answer) == [Answered("Allow")]
    assert transcript.questions == {}


def test_a_question_whose_agent_is_gone_is_open_no_more() -> None:
    asked = {"type": "permission_request", "requestId": "q1", "options": [{"optionId": "ok", "kind": "allow_once"}]}
    void = notification("_posthog/permission_void", {"requestId": "q1", "reason": "The session ended."}) | {"type": "permission_void"}
    transcript, items = fold(asked, void, void)
    assert items[1:] == [Remark("The question is over: The session ended.")]
    assert transcript.questions == {}


def test_an_error_that_is_told_twice_is_shown_once() -> None:
    failure = {"type": "notification", "notification": {"jsonrpc": "2.0", "id": 2, "error": {"code": -1, "message": "No credit left."}}}
    _, items = fold(prompt("Go"), failure, notification("_posthog/error", {"message": "No credit left."}))
    assert items == [Prompted("Go"), Remark("No credit left.", "error")]


def test_a_message_that_failed_is_told_once_with_its_reason() -> None:
    def told(**of_message: str) -> dict[str, Any]:
        return notification("_posthog/message_status", {"messageId": "m", **of_message}) | {"type": "message_status"}

    def failed(error: str) -> dict[str, Any]:
        return told(status="failed", error=error)

    said_by_the_agent = notification("_posthog/error", {"message": "No credit left."})
    _, items = fold(said_by_the_agent, prompt("next"), failed("No credit left."), failed("The run ended."))
    assert items == [
        Remark("No credit left.", "error"),
        Prompted("next"),
        Remark("A message got no answer: The run ended.", "warning"),
    ]
    assert fold(told(status="delivered"))[1] == []
    assert fold(failed("A lie") | {"type": "notification"})[1] == [], "an agent may say that, too"


@pytest.mark.parametrize("method", ["_hedgerow/journal_damaged", "_hedgerow/journal_removed"])
def test_what_a_journal_has_lost_is_told_in_its_place(method: str) -> None:
    _, items = fold(prompt("Go"), notification(method, {"first": 2, "last": 3, "message": "The events 2 to 3 are missing."}))
    assert items == [Prompted("Go"), Remark("The events 2 to 3 are missing.", "warning")]


def test_a_file_that_comes_with_a_prompt_is_called_by_its_name() -> None:
    blocks = [
        {"type": "text", "text": "Read it"},
        {"type": "resource_link", "name": "notes\x1b[31m.txt", "uri": "file:///n"},
        {"type": "image"},
    ]
    assert fold(notification("session/prompt", {"prompt": blocks}, id=2))[1] == [Prompted("Read it\n[file notes.txt]\n[image]")]


def test_an_error_reply_to_something_else_than_a_prompt_is_the_agents_own_affair() -> None:
    assert fold({"type": "notification", "notification": {"jsonrpc": "2.0", "id": 40, "error": {"message": "no such file"}}})[1] == []


def test_a_plan_is_shown_when_it_changes() -> None:
    entries = [{"content": "Read", "status": "completed"}]
    _, items = fold(update("plan", entries=entries), update("plan", entries=entries))
    assert [type(item) for item in items] == [Plan]


def test_warnings_are_shown_and_chatter_is_not() -> None:
    _, items = fold(
        notification("_posthog/console", {"level": "info", "message": "chatter"}),
        notification("__posthog/console", {"level": "warn", "message": "The disk is nearly full."}),
    )
    assert items == [Remark("The disk is nearly full.", "warning")]


def test_what_has_no_known_shape_is_passed_over() -> None:
    strange: list[dict[str, Any]] = [
        {},
        {"type": 3},
        {"type": "info", "message": "x"},
        {"type": "task_run_state", "status": "somewhere"},
        {"type": "notification", "notification": []},
        {"type": "notification", "notification": {"method": "session/update", "params": []}},
        {"type": "notification", "notification": {"method": "session/update", "params": {"update": {"sessionUpdate": "tool_call"}}}},
        {
            "type": "notification",
            "notification": {"method": "session/update", "params": {"update": {"sessionUpdate": "plan", "entries": [None]}}},
        },
        {"type": "permission_request", "requestId": 4},
        notification("_posthog/progress", {}),
    ]
    transcript, items = fold(*strange)
    assert not any(isinstance(item, Said | Question | Plan) for item in items)
    assert transcript.status is None


def test_the_status_of_the_run_is_followed() -> None:
    assert fold({"type": "task_run_state", "status": "in_progress"})[0].status is RunStatus.IN_PROGRESS


def test_a_place_in_line_is_known_while_the_run_waits_there() -> None:
    waits = {"type": "task_run_state", "status": "queued", "queue_position": 3}
    assert fold(waits)[0].place == 3
    assert fold(waits, {"type": "task_run_state", "status": "queued"})[0].place is None
