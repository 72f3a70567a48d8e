"""What an agent may do: approved at once, or asked of a person, who may never answer."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from hedgerow.domain.ids import uuid7
from hedgerow.domain.permission_requests import PermissionPolicy, allowing, rejecting, sound_options
from hedgerow.domain.runs import RunMode

# Session modes in which an agent's own requests are a formality (the names that the known agents give them).
BYPASS_MODES = frozenset({"bypassPermissions", "dontAsk", "full-access", "agent-full-access"})
CANCELLED = {"outcome": {"outcome": "cancelled"}}


class UnknownRequestError(Exception):
    """Nobody waits for this answer (any more)."""


class UnknownOptionError(Exception):
    """The answer is none of the options that were offered."""


class Publish(Protocol):
    """How people learn of requests. Each call writes an entry of the journal."""

    def asked(self, request_id: str, params: Mapping[str, Any]) -> None:
        """A request waits for a person."""
        ...

    def resolved(self, request_id: str, result: Mapping[str, Any], reason: str | None) -> None:
        """A request has its result. `reason`: why nobody's answer counts any more; None: this is somebody's answer."""
        ...


class Permissions:
    """Answers `session/request_permission`.

    `publish` tells people of requests. `policy` is the operator's for the background; None: what is asked is allowed. `tell_thread`,
    where there is one, posts what the agent wants to know into a thread: the request counts as cancelled then, and the person's answer
    is the next message.
    """

    def __init__(
        self,
        mode: RunMode,
        publish: Publish,
        tell_thread: Callable[[str], None] | None = None,
        *,
        policy: PermissionPolicy | None = None,
    ) -> None:
        self._mode = mode
        self._publish = publish
        self._tell_thread = tell_thread
        self._policy = policy
        self._pending: dict[str, tuple[Mapping[str, Any], asyncio.Future[dict[str, Any]]]] = {}
        self._answers: dict[str, dict[str, Any]] = {}

    async def decide(self, params: Mapping[str, Any], session_mode: str | None) -> dict[str, Any]:
        """The ACP result of a permission request; waits for a person where one has to be asked."""
        if self._tell_thread is not None and is_question(params):
            self._tell_thread(question_text(params))
            return CANCELLED
        policy = policy_for(params, self._mode, session_mode, self._policy)
        if policy is not PermissionPolicy.ASK:
            return approval(params) if policy is PermissionPolicy.ALLOW else refusal(params)
        request_id = str(uuid7())
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._pending[request_id] = (params, answer)
        try:
            self._publish.asked(request_id, params)
            return await answer
        finally:
            if not answer.done() or answer.cancelled():
                self._publish.resolved(request_id, CANCELLED, "session_ended")
            self._pending.pop(request_id, None)

    def answer(self, request_id: str, option_id: str | None, meta: Mapping[str, Any], *, again: bool = False) -> None:
        """Somebody's answer; None cancels the request. `again`: the same answer may have been given before, and then that counts.

        Raises UnknownRequestError or UnknownOptionError; then the request still waits.
        """
        result = CANCELLED if option_id is None else _selected(option_id) | ({"_meta": dict(meta)} if meta else {})
        if again and self._answers.get(request_id) == result:
            return
        params, future = self._pending.get(request_id, (None, None))
        if params is None or future is None or future.done():
            raise UnknownRequestError(f"No permission request {request_id} is waiting for an answer.")
        offered = [option["optionId"] for option in sound_options(params.get("options"))]
        if option_id is not None and option_id not in offered:
            raise UnknownOptionError(f"optionId must be one of: {', '.join(offered)}.")
        self._answers[request_id] = result
        self._settle(request_id, future, result, None)

    def cancel_all(self) -> None:
        """The turn is being cancelled: nobody's answer counts any more."""
        for request_id, (_, future) in self._pending.items():
            if not future.done():
                self._settle(request_id, future, CANCELLED, "turn_cancelled")

    def reject_all(self) -> None:
        """The session is being closed: what was asked is refused where the agent offers that."""
        for request_id, (params, future) in self._pending.items():
            if not future.done():
                self._settle(request_id, future, refusal(params), "session_ended")

    def _settle(self, request_id: str, future: "asyncio.Future[dict[str, Any]]", result: dict[str, Any], reason: str | None) -> None:
        """Give a request its result. It is written down first, so that whoever hears of an answer finds it in the journal."""
        self._publish.resolved(request_id, result, reason)
        future.set_result(result)


def policy_for(params: Mapping[str, Any], mode: RunMode, session_mode: str | None, background: PermissionPolicy | None) -> PermissionPolicy:
    """How a request is answered. `background` is the operator's policy for background runs; None: yes, at once."""
    if mode is RunMode.BACKGROUND and background is not PermissionPolicy.ASK:
        return background or PermissionPolicy.ALLOW
    return PermissionPolicy.ASK if needs_person(params, session_mode) else PermissionPolicy.ALLOW


def needs_person(params: Mapping[str, Any], session_mode: str | None) -> bool:
    """Whether a person has to be asked, where one may look: of plans and questions always, of the rest as the mode says."""
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
    """The result that allows what is asked, where an option does."""
    option_id = allowing(params.get("options"))
    return CANCELLED if option_id is None else _selected(option_id)


def refusal(params: Mapping[str, Any]) -> dict[str, Any]:
    """The result that refuses what is asked, where an option does."""
    option_id = rejecting(params.get("options"))
    return CANCELLED if option_id is None else _selected(option_id)


def _selected(option_id: str) -> dict[str, Any]:
    return {"outcome": {"outcome": "selected", "optionId": option_id}}
