"""What an agent may do: approved at once, or asked of a person, who may never answer."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import RunMode

# Session modes in which an agent's own requests are a formality (the names that the known agents give them).
BYPASS_MODES = frozenset({"bypassPermissions", "dontAsk", "full-access", "agent-full-access"})
CANCELLED = {"outcome": {"outcome": "cancelled"}}


class UnknownRequestError(Exception):
    """Nobody waits for this answer (any more)."""


class UnknownOptionError(Exception):
    """The answer is none of the options that were offered."""


class Permissions:
    """Answers `session/request_permission`.

    `ask` publishes a request to people. `tell_thread`, where there is one, posts what the agent wants to know into a thread: the
    request counts as cancelled then, and the person's answer is the next message.
    """

    def __init__(
        self, mode: RunMode, ask: Callable[[str, Mapping[str, Any]], None], tell_thread: Callable[[str], None] | None = None
    ) -> None:
        self._mode = mode
        self._ask = ask
        self._tell_thread = tell_thread
        self._pending: dict[str, tuple[Mapping[str, Any], asyncio.Future[dict[str, Any]]]] = {}

    async def decide(self, params: Mapping[str, Any], session_mode: str | None) -> dict[str, Any]:
        """The ACP result of a permission request; waits for a person where one has to be asked."""
        if self._tell_thread is not None and is_question(params):
            self._tell_thread(question_text(params))
            return CANCELLED
        if not needs_person(params, self._mode, session_mode):
            return approval(params)
        request_id = str(uuid7())
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = (params, answer)
        try:
            self._ask(request_id, params)
            return await answer
        finally:
            self._pending.pop(request_id, None)

    def answer(self, request_id: str, option_id: str, meta: Mapping[str, Any]) -> None:
        """A person's answer. Raises UnknownRequestError or UnknownOptionError; then the request still waits."""
        params, future = self._pending.get(request_id, (None, None))
        if params is None or future is None or future.done():
            raise UnknownRequestError(f"No permission request {request_id} is waiting for an answer.")
        offered = [option["optionId"] for option in _options(params)]
        if option_id not in offered:
            raise UnknownOptionError(f"optionId must be one of: {', '.join(offered)}.")
        result: dict[str, Any] = {"outcome": {"outcome": "selected", "optionId": option_id}}
        future.set_result(result | ({"_meta": dict(meta)} if meta else {}))

    def cancel_all(self) -> None:
        """The turn is being cancelled: nobody's answer counts any more."""
        for _, future in self._pending.values():
            if not future.done():
                future.set_result(CANCELLED)

    def reject_all(self) -> None:
        """The session is being closed: what was asked is refused where the agent offers that."""
        for params, future in self._pending.values():
            if not future.done():
                future.set_result(_first(params, ("reject_once", "reject_always")) or CANCELLED)


def needs_person(params: Mapping[str, Any], mode: RunMode, session_mode: str | None) -> bool:
    """Whether a person has to be asked: never in the background; else plans and questions always, the rest as the mode says."""
    if mode is RunMode.BACKGROUND:
        return False
    tool_call = params.get("toolCall")
    if isinstance(tool_call, dict) and (tool_call.get("kind") == "switch_mode" or is_question(params)):
        return True
    return session_mode not in BYPASS_MODES


def is_question(params: Mapping[str, Any]) -> bool:
    """Whether the agent wants to know something of a person, and not to do something."""
    return _question_meta(params).get("codeToolKind") == "question"


def question_text(params: Mapping[str, Any]) -> str:
    """What the agent wants to know, in plain text, with the answers that it offers."""
    questions = _question_meta(params).get("questions")
    texts = [_one_question(question) for question in questions if isinstance(question, dict)] if isinstance(questions, list) else []
    return "\n\n".join(filter(None, texts)) or _title(params)


def _one_question(question: Mapping[str, Any]) -> str:
    options = question.get("options")
    lines = [_text(question.get("question"))]
    for option in options if isinstance(options, list) else []:
        label, description = (_text(option.get(name)) for name in ("label", "description")) if isinstance(option, dict) else ("", "")
        lines.append(f"• {label}: {description}" if label and description else f"• {label}" if label else "")
    return "\n".join(filter(None, lines))


def _title(params: Mapping[str, Any]) -> str:
    tool_call = params.get("toolCall")
    title = _text(tool_call.get("title")) if isinstance(tool_call, dict) else ""
    return title or "The agent has a question."


def _question_meta(params: Mapping[str, Any]) -> Mapping[str, Any]:
    tool_call = params.get("toolCall")
    meta = tool_call.get("_meta") if isinstance(tool_call, dict) else None
    return meta if isinstance(meta, dict) else {}


def _text(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def approval(params: Mapping[str, Any]) -> dict[str, Any]:
    """The answer that allows what is asked, this once where that is offered; chosen by kind, for ids differ among agents."""
    return _first(params, ("allow_once", "allow_always")) or CANCELLED


def _first(params: Mapping[str, Any], kinds: tuple[str, ...]) -> dict[str, Any] | None:
    for kind in kinds:
        for option in _options(params):
            if option.get("kind") == kind:
                return {"outcome": {"outcome": "selected", "optionId": option["optionId"]}}
    return None


def _options(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    options = params.get("options")
    if not isinstance(options, list):
        return []
    return [option for option in options if isinstance(option, dict) and isinstance(option.get("optionId"), str)]
