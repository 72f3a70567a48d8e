"""What a new run may be asked for, and the checks across its fields (contract 3.6)."""

from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from hedgerow.domain import deadlines
from hedgerow.domain.errors import InvalidError
from hedgerow.domain.reasoning import PERMISSION_MODES, PROVIDERS
from hedgerow.domain.runs import RunMode, TaskRun
from hedgerow.operations.backends import Rules

_LONGEST_TOKEN = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The body of run/ and runs/. None: left out. The door has checked types, lengths and choices."""

    mode: RunMode = RunMode.BACKGROUND
    branch: str | None = None
    resume_from_run_id: UUID | None = None
    pending_user_message: str | None = None
    pending_user_artifact_ids: tuple[str, ...] = ()
    sandbox_environment_id: UUID | None = None
    pr_authorship_mode: str | None = None
    run_source: str | None = None
    signal_report_id: str | None = None
    runtime_adapter: str | None = None
    model: str | None = None
    reasoning_effort: str | None = None
    github_user_token: str | None = field(default=None, repr=False)
    initial_permission_mode: str | None = None
    wall_clock_minutes: float | None = None
    inactivity_timeout_minutes: float | None = None
    turn_silence_minutes: float | None = None
    sandbox_minutes: float | None = None

    @property
    def deadlines(self) -> dict[str, float]:
        """The deadlines of its own that the run is to have, as keys of its `state`."""
        given = {key: getattr(self, key) for key in deadlines.DEADLINE_KEYS}
        return {key: minutes for key, minutes in given.items() if minutes is not None}


def check(request: RunRequest, rules: Rules) -> None:
    """Raise InvalidError for the first rule that the request breaks, in the contract's order."""
    _check_permission_mode(request)
    _check_runtime(request)
    check_effort(request, rules)
    _check_token(request)
    deadlines.check(request.deadlines)


def _check_token(request: RunRequest) -> None:
    """A token is one word: what could break out of a header or of git's credential protocol is none."""
    token = request.github_user_token
    if token is not None and (not token.isascii() or not token.isprintable() or " " in token or len(token) > _LONGEST_TOKEN):
        raise _invalid("github_user_token", "This is no token of GitHub: it is one word of plain characters.")


def _check_permission_mode(request: RunRequest) -> None:
    adapter, mode = request.runtime_adapter, request.initial_permission_mode
    if mode is None:
        return
    if adapter is None:
        raise _invalid("initial_permission_mode", "initial_permission_mode needs a runtime_adapter.")
    allowed = PERMISSION_MODES.get(adapter)
    if allowed is not None and mode not in allowed:
        raise _invalid("initial_permission_mode", f"{adapter} has no permission mode {mode}; it has {', '.join(allowed)}.")


def _check_runtime(request: RunRequest) -> None:
    if request.runtime_adapter is None:
        if request.model is not None or request.reasoning_effort is not None:
            raise _invalid("runtime_adapter", "A model or a reasoning effort needs a runtime_adapter.")
    elif request.model is None and request.runtime_adapter in PROVIDERS:
        raise _invalid("model", f"runtime_adapter {request.runtime_adapter} needs a model.")


def check_effort(request: RunRequest, rules: Rules) -> None:
    """Raise InvalidError where the agent and model do not understand the effort. Asked again once a resumed run has inherited."""
    effort, adapter, model = request.reasoning_effort, request.runtime_adapter, request.model
    if effort is None:
        return
    allowed = rules.reasoning.allowed(adapter or "", model or "")
    if effort not in allowed:
        names = ", ".join(allowed) or "none"
        raise _invalid(
            "reasoning_effort", f"Reasoning effort {effort} is not supported by {adapter} with model {model}; allowed are: {names}."
        )


def _invalid(attr: str, message: str) -> InvalidError:
    return InvalidError(message, attr=attr, detail_code="invalid_input")


_INHERITED = ("pr_authorship_mode", "run_source", "signal_report_id", "runtime_adapter", "model", "reasoning_effort")


def inherit(request: RunRequest, previous: TaskRun) -> RunRequest:
    """The request with what it left out taken from the run that it resumes. Permission mode and first message are not inherited."""
    taken = {name: previous.state.get(name) for name in _INHERITED if getattr(request, name) is None}
    if request.branch is None:
        taken["branch"] = previous.state.get("pr_base_branch")
    inherited: dict[str, Any] = {name: value for name, value in taken.items() if isinstance(value, str)}
    return replace(request, **inherited)


def initial_state(request: RunRequest, previous: TaskRun | None) -> dict[str, Any]:
    """The `state` of the new run: what was asked for, without the keys that nothing was asked for (contract 2.3)."""
    state: dict[str, Any] = {
        "mode": request.mode.value,
        "pending_user_message": request.pending_user_message or None,
        "pending_user_artifact_ids": list(request.pending_user_artifact_ids) or None,
        "pr_base_branch": request.branch,
        "pr_authorship_mode": authorship(request),
        "run_source": request.run_source,
        "signal_report_id": request.signal_report_id,
        "sandbox_environment_id": None if request.sandbox_environment_id is None else str(request.sandbox_environment_id),
        "runtime_adapter": request.runtime_adapter,
        "provider": PROVIDERS.get(request.runtime_adapter or ""),
        "model": request.model,
        "reasoning_effort": request.reasoning_effort,
        "initial_permission_mode": request.initial_permission_mode,
    }
    state |= request.deadlines
    if previous is not None:
        state["resume_from_run_id"] = str(previous.id)
        state["snapshot_external_id"] = previous.state.get("snapshot_external_id")
    return {key: value for key, value in state.items() if value is not None}


def authorship(request: RunRequest) -> str | None:
    """Who authors the pull request: a run made from a signal report is always the bot's."""
    return "bot" if request.run_source == "signal_report" else request.pr_authorship_mode
