"""Runs over the wire: TaskRunDetail, and the bodies of run/, runs/ and PATCH (contract 2.1, 3.6, 4.2, 5.2)."""

from contextvars import ContextVar
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from hedgerow.api.json_bytes import moment
from hedgerow.api.schemas.fields import (
    FORM_JSON,
    FORM_LIST,
    Optionally,
    RequestModel,
    Text,
    Text128,
    Words,
    Words100,
    Words255,
    one_of,
    refuse_null,
)
from hedgerow.domain.reasoning import PERMISSION_MODES, PROVIDERS, REASONING_EFFORTS
from hedgerow.domain.runs import Environment, RunMode, RunStatus, VisibleRun
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.run_updates import RunPatch
from hedgerow.operations.starts import StartRequest

ReasoningEffort = Literal["low", "medium", "high", "xhigh", "max"]

AGENTS: ContextVar[tuple[str, ...]] = ContextVar("AGENTS")
"""The agents that the server has, as its settings say. Set while the fields of a request are checked, each in its turn."""

_PERMISSION_MODES = tuple(dict.fromkeys(mode for modes in PERMISSION_MODES.values() for mode in modes))

_Agent = Annotated[Text, AfterValidator(lambda name: one_of(name, AGENTS.get()))]
_PermissionMode = Annotated[Text, AfterValidator(lambda mode: one_of(mode, _PERMISSION_MODES))]


class Artifact(BaseModel):
    """An entry of a run's manifest."""

    id: str | None = None
    name: str
    type: str
    source: str | None = None
    size: int | None = None
    content_type: str | None = None
    storage_path: str
    uploaded_at: str


class TaskRunDetail(BaseModel):
    """One try at a task."""

    id: UUID
    task: UUID
    stage: str | None
    branch: str | None
    status: RunStatus
    environment: Environment
    runtime_adapter: str | None
    provider: str | None
    model: str | None
    reasoning_effort: ReasoningEffort | None
    log_url: str | None = Field(description="The run's log as JSON lines; answered without a key for an hour.")
    error_message: str | None
    output: Any
    state: dict[str, Any]
    artifacts: list[Artifact]
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None


class TaskRunPage(BaseModel):
    """A page of runs."""

    count: int
    next: str | None
    previous: str | None
    results: list[TaskRunDetail]


_PROVIDERS = tuple(PROVIDERS.values())


def run_detail(run: VisibleRun, log_url: str, agents: tuple[str, ...]) -> dict[str, Any]:
    """A run as the API shows it. What `state` holds of unknown kind shows as null, and its secret key is left out."""
    state = run.state
    return {
        "id": run.id,
        "task": run.task_id,
        "stage": run.stage,
        "branch": run.branch,
        "status": run.status.value,
        "environment": run.environment.value,
        "runtime_adapter": _one_of(agents, state.get("runtime_adapter")),
        "provider": _one_of(_PROVIDERS, state.get("provider")),
        "model": state["model"] if isinstance(state.get("model"), str) else None,
        "reasoning_effort": _one_of(REASONING_EFFORTS, state.get("reasoning_effort")),
        "log_url": log_url,
        "error_message": run.error_message,
        "output": run.output,
        "state": {key: value for key, value in state.items() if key != "sandbox_connect_token"},
        "artifacts": run.artifacts,
        "created_at": moment(run.created_at),
        "updated_at": moment(run.updated_at),
        "completed_at": moment(run.completed_at),
    }


def _one_of(known: tuple[str, ...], value: Any) -> str | None:
    return value if isinstance(value, str) and value in known else None


class _Opening(RequestModel):
    mode: RunMode = RunMode.BACKGROUND
    branch: Words255 | None = Field(None, description="What is checked out.")


class _Resumption(RequestModel):
    resume_from_run_id: Optionally[UUID] = Field(None, description="A run of this task to go on from.")


class _Prompt(RequestModel):
    pending_user_message: Optionally[Text] = Field(None, description="The first message; else the task's description.")
    pending_user_artifact_ids: Annotated[list[Text128], FORM_LIST] = Field(default_factory=list)


class _Runtime(RequestModel):
    sandbox_environment_id: Optionally[UUID] = None
    pr_authorship_mode: Optionally[Literal["user", "bot"]] = None
    run_source: Optionally[Literal["manual", "signal_report"]] = None
    signal_report_id: Optionally[Words] = None
    runtime_adapter: Optionally[_Agent] = Field(None, description="The agent: claude, codex, or another one of this server.")
    model: Optionally[Words] = None
    reasoning_effort: Optionally[ReasoningEffort] = None
    github_user_token: Optionally[Words] = Field(None, repr=False)
    initial_permission_mode: Optionally[_PermissionMode] = None


class _Deadlines(RequestModel):
    wall_clock_minutes: Optionally[float] = Field(None, description="How long the run may take; the server's own limit holds as well.")
    inactivity_timeout_minutes: Optionally[float] = Field(None, description="How long it may wait for a message.")
    turn_silence_minutes: Optionally[float] = Field(None, description="How long nothing may come of a running turn.")
    sandbox_minutes: Optionally[float] = Field(None, description="How long one sandbox of it may live.")


class TaskRunStart(_Deadlines, _Runtime, _Prompt, _Resumption, _Opening):
    """The body of run/."""

    def request(self) -> RunRequest:
        """What the operation is asked for."""
        fields = self.given() | {"pending_user_artifact_ids": tuple(self.pending_user_artifact_ids)}
        return RunRequest(**fields | {"pending_user_message": self.pending_user_message or None})


class TaskRunCreate(_Deadlines, _Runtime, _Opening):
    """The body of runs/."""

    environment: Environment = Environment.LOCAL

    def request(self) -> RunRequest:
        """What the operation is asked for."""
        fields = self.given()
        fields.pop("environment", None)
        return RunRequest(**fields)


class TaskRunBegin(_Prompt):
    """The body of start/."""

    def request(self) -> StartRequest:
        """What the operation is asked for."""
        return StartRequest(
            pending_user_message=self.pending_user_message or None, pending_user_artifact_ids=tuple(self.pending_user_artifact_ids)
        )


class TaskRunUpdate(RequestModel):
    """The body of PATCH on a run."""

    status: Optionally[RunStatus] = None
    branch: Words255 | None = None
    stage: Words100 | None = None
    output: Annotated[Any, FORM_JSON] = Field(None, description="An object is merged into the stored one; anything else replaces it.")
    state: Optionally[Annotated[dict[str, Any], FORM_JSON]] = Field(
        None, description="Merged into the stored state, after state_remove_keys."
    )
    state_remove_keys: Optionally[Annotated[list[Words], FORM_LIST, Field(min_length=1)]] = None
    error_message: Text | None = None
    environment: Optionally[Literal["local"]] = None
    end_reason: Optionally[Words] = Field(None, description="Heard from the run's own agent server alone, beside status failed.")

    def patch(self) -> RunPatch:
        """What the operation is asked for."""
        environment = {} if self.environment is None else {"environment": Environment(self.environment)}
        return RunPatch(**self.given() | environment | {"state_remove_keys": tuple(self.state_remove_keys or ())})


class TaskRunOutput(RequestModel):
    """The body of set_output."""

    output: Annotated[Any, FORM_JSON, AfterValidator(refuse_null)] = Field(
        description="Anything but null. It replaces the stored output, and must fit the task's json_schema where there is one."
    )
