"""Folds the events of a run into what a reader is shown (shapes: contract 7.1 and 8.2, ACP session updates)."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hedgerow.cli.items import Answered, Item, Option, Plan, PlanEntry, Prompted, Question, Remark, Said, StepOver, Thought, ToolOver
from hedgerow.cli.safe_text import one_line, safe
from hedgerow.cli.tool_calls import ToolCall
from hedgerow.domain.journal import entry_timestamp
from hedgerow.domain.runs import RunStatus

_LIVE_MESSAGE_LIMIT = 16_000  # characters of an unfinished message that are kept for showing its end


@dataclass(frozen=True, slots=True)
class RunningStep:
    """A step that has begun."""

    label: str
    detail: str
    since: datetime | None


class Transcript:
    """What has been seen of a run. `apply` returns the pieces that an event finishes; the attributes hold what is unfinished."""

    def __init__(self) -> None:
        self.status: RunStatus | None = None
        self.place: int | None = None  # in line, while the run waits there
        self.steps: dict[str, RunningStep] = {}
        self.tools: dict[str, ToolCall] = {}
        self.questions: dict[str, Question] = {}
        self.plan: Plan | None = None
        self.message = ""  # from chunks: a preview of the message that comes
        self.thought = ""
        self.turn_running = False
        self.turns = 0
        self._prompt_ids: set[Any] = set()
        self._asking: dict[Any, str] = {}  # JSON-RPC id of a permission request -> its tool call
        self.last_problem = ""  # the error that was shown last
        self._problems: set[str] = set()  # those that were shown at all

    def apply(self, data: Mapping[str, Any]) -> list[Item]:
        """Take in one event of the stream or one entry of the log. Whatever has no known shape is passed over."""
        match data.get("type"):
            case "task_run_state":
                return self._state(data)
            case "permission_request":
                return self._ask(data)
            case "permission_void":
                return self._void(_mapping(_mapping(data.get("notification")).get("params")))
            case "message_status":
                return self._message(_mapping(_mapping(data.get("notification")).get("params")))
        notification = data.get("notification")
        if not isinstance(notification, dict):
            return []
        method = notification.get("method")
        params = _mapping(notification.get("params"))
        at = entry_timestamp(data)
        if not isinstance(method, str):
            return self._response(notification)
        if method == "session/update":
            return self._update(_mapping(params.get("update")), at)
        return self._notification(method.removeprefix("_"), notification, params, at)

    def finish(self) -> list[Item]:
        """The run is over: what is still unfinished, as far as it came."""
        unfinished: list[Item] = [*self._flush_thought(), *([Said(self.message)] if self.message.strip() else [])]
        self.message = ""
        self.steps.clear()
        self.questions.clear()
        return [*unfinished, *self._end_turn()]

    def _state(self, data: Mapping[str, Any]) -> list[Item]:
        place = data.get("queue_position")
        self.place = place if isinstance(place, int) and place > 0 else None
        try:
            self.status = RunStatus(data.get("status", ""))
        except ValueError:
            return []
        return []

    def _ask(self, data: Mapping[str, Any]) -> list[Item]:
        request_id = data.get("requestId")
        if not isinstance(request_id, str) or request_id in self.questions:
            return []
        call = _mapping(data.get("toolCall"))
        known = self.tools.get(str(call.get("toolCallId")))
        title = one_line(call.get("title") or (known.line if known else "") or "something")
        options = tuple(
            Option(
                id=str(option.get("optionId")), name=one_line(option.get("name") or option.get("optionId")), kind=str(option.get("kind"))
            )
            for option in _mappings(data.get("options"))
        )
        question = Question(request_id, str(call.get("toolCallId")), title, options)
        self.questions[request_id] = question
        return [*self._flush_thought(), question]

    def _void(self, told: Mapping[str, Any]) -> list[Item]:
        """A question that nobody can answer any more, and that the agent has not said so of itself."""
        question = self.questions.pop(str(told.get("requestId")), None)
        return [] if question is None else [Remark(f"The question is over: {safe(told.get('reason') or '').strip()}")]

    def _response(self, response: Mapping[str, Any]) -> list[Item]:
        """A JSON-RPC answer: of a prompt that failed, or of a question."""
        error = _mapping(response.get("error"))
        if error and response.get("id") in self._prompt_ids:
            return self._problem(error.get("message"))
        outcome = _mapping(_mapping(response.get("result")).get("outcome"))
        if not outcome:
            return []
        tool_call_id = self._asking.pop(response.get("id"), None)
        question = self._answered(tool_call_id)
        if question is None:
            return []
        names = {option.id: option.name for option in question.options}
        chosen = outcome.get("optionId")
        return [Answered(names.get(str(chosen), one_line(chosen)) if chosen else one_line(outcome.get("outcome") or "withdrawn"))]

    def _answered(self, tool_call_id: str | None) -> Question | None:
        matching = [request for request, question in self.questions.items() if tool_call_id in {None, question.tool_call_id}]
        return self.questions.pop(matching[0]) if matching else None

    def _notification(self, method: str, notification: Mapping[str, Any], params: Mapping[str, Any], at: datetime | None) -> list[Item]:
        match method.removeprefix("_"):
            case "session/prompt":
                self._prompt_ids.add(notification.get("id"))
                return self._prompt(params)
            case "session/request_permission":
                self._asking[notification.get("id")] = str(_mapping(params.get("toolCall")).get("toolCallId"))
            case "posthog/progress":
                return self._progress(params, at)
            case "posthog/turn_complete":
                return [*self._flush_thought(), *self._end_turn()]
            case "posthog/error":
                return [*self._flush_thought(), *self._end_turn(), *self._problem(params.get("message"))]
            case "posthog/console" if params.get("level") in {"warn", "error"}:
                return [Remark(safe(params.get("message", "")), "error" if params["level"] == "error" else "warning")]
            case "hedgerow/journal_damaged" | "hedgerow/journal_removed":
                return [Remark(safe(params.get("message", "")), "warning")]
            case "posthog/status" if params.get("status") == "compacting" and not params.get("isComplete"):
                return [Remark("The agent shortens its memory of the conversation.")]
        return []

    def _message(self, told: Mapping[str, Any]) -> list[Item]:
        """What became of a message: only that it failed is shown, unless the agent has said so itself."""
        if told.get("status") != "failed":
            return []
        text = safe(told.get("error") or "").strip()
        return [] if text in self._problems else [Remark(f"A message got no answer: {text}", "warning")]

    def _prompt(self, params: Mapping[str, Any]) -> list[Item]:
        self.turn_running = True
        self.last_problem = ""
        text = "\n".join(_content_text(block) for block in _mappings(params.get("prompt")))
        return [*self._flush_thought(), Prompted(safe(text).strip())]

    def _progress(self, params: Mapping[str, Any], at: datetime | None) -> list[Item]:
        key = f"{params.get('group')}/{params.get('step')}"
        label, detail = one_line(params.get("label") or params.get("step")), one_line(params.get("detail") or "")
        status = params.get("status")
        if status == "in_progress":
            begun = self.steps.get(key)
            self.steps[key] = RunningStep(label, detail, begun.since if begun else at)
            return []
        begun = self.steps.pop(key, None)
        seconds = params.get("duration_seconds")
        if not isinstance(seconds, int | float):
            seconds = (at - begun.since).total_seconds() if begun and begun.since and at else None
        return [StepOver(label, status == "failed", detail, seconds)]

    def _update(self, update: Mapping[str, Any], at: datetime | None) -> list[Item]:
        match update.get("sessionUpdate"):
            case "agent_message_chunk":
                self.message = (self.message + _content_text(update.get("content")))[-_LIVE_MESSAGE_LIMIT:]
                return self._flush_thought()
            case "agent_message":
                self.message = ""
                text = safe(_content_text(update.get("content"))).strip("\n")
                return [*self._flush_thought(), *([Said(text)] if text.strip() else [])]
            case "agent_thought_chunk" | "agent_thought":
                self.thought += _content_text(update.get("content"))
                return []
            case "tool_call" | "tool_call_update":
                return [*self._flush_thought(), *self._tool(update, at)]
            case "plan":
                return [*self._flush_thought(), *self._new_plan(update)]
        return []

    def _tool(self, update: Mapping[str, Any], at: datetime | None) -> list[Item]:
        call_id = str(update.get("toolCallId"))
        if call_id not in self.tools and update["sessionUpdate"] == "tool_call_update":
            return []  # an afterthought to a turn that is over
        call = self.tools.setdefault(call_id, ToolCall(call_id))
        already_over = call.over
        call.apply(update, at)
        if not call.over or already_over:
            return []
        return [ToolOver(call)]

    def _new_plan(self, update: Mapping[str, Any]) -> list[Item]:
        entries = tuple(PlanEntry(one_line(entry.get("content")), str(entry.get("status"))) for entry in _mappings(update.get("entries")))
        plan = Plan(entries)
        if plan == self.plan or not entries:
            return []
        self.plan = plan
        return [plan]

    def _end_turn(self) -> list[Item]:
        self.turns += self.turn_running
        self.turn_running = False
        broken_off = [call for call in self.tools.values() if not call.over]
        self.tools.clear()
        self.plan = None
        return [ToolOver(call) for call in broken_off]

    def _flush_thought(self) -> list[Item]:
        text, self.thought = safe(self.thought).strip(), ""
        return [Thought(text)] if text else []

    def _problem(self, message: Any) -> list[Item]:
        """An error is told once, though the agent's answer and the agent server both report it."""
        text = safe(message or "The agent failed without saying why.").strip()
        if text == self.last_problem:
            return []
        self.last_problem = text
        self._problems.add(text)
        return [Remark(text, "error")]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _content_text(content: Any) -> str:
    """The text of a content block; a file is called by its name, and other kinds by their own."""
    if isinstance(content, list):
        return "".join(_content_text(item) for item in content)
    block = _mapping(content)
    if isinstance(block.get("text"), str):
        return str(block["text"])
    if block.get("type") == "resource_link" and isinstance(block.get("name"), str):
        return f"[file {one_line(block['name'], 80)}]"
    return f"[{one_line(block.get('type', 'content'), 30)}]" if block else ""
