"""What calls may be given. Whatever is left out is left to the server; None is said where it stands for something."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict

ArtifactType = Literal["plan", "context", "reference", "output", "artifact", "tree_snapshot", "user_attachment"]
ReasoningEffort = Literal["low", "medium", "high", "xhigh", "max"]
RunStatusName = Literal["not_started", "queued", "in_progress", "completed", "failed", "cancelled"]


class TaskFields(TypedDict, total=False):
    """A new or a changed task."""

    title: str
    title_manually_set: bool
    description: str
    origin_product: str
    repository: str | None  # organisation/repository
    github_integration: int | None
    github_user_integration: str | None
    signal_report: str | None
    signal_report_task_relationship: Literal["implementation"] | None
    json_schema: Any  # a JSON Schema that the output of runs must fit
    internal: bool
    ci_prompt: str | None


class TaskFilters(TypedDict, total=False):
    """What a list of tasks is narrowed to; None is the same as leaving a filter out."""

    origin_product: str | None
    stage: str | None  # any run of the task has this stage
    organization: str | None  # the part of the repository before the slash
    repository: str | None  # the whole name, or the part after the slash
    created_by: int | None
    internal: bool | None
    search: str | None  # a part of the title or the description, or a task number
    status: RunStatusName | None  # of the latest run


class RuntimeFields(TypedDict, total=False):
    """Who works on a run, where, and for how long."""

    mode: Literal["interactive", "background"]
    branch: str | None  # what is checked out
    runtime_adapter: str  # claude, codex, or another agent of the server; needs model
    model: str
    reasoning_effort: ReasoningEffort
    initial_permission_mode: str
    sandbox_environment_id: str
    pr_authorship_mode: Literal["user", "bot"]
    run_source: Literal["manual", "signal_report"]
    signal_report_id: str
    github_user_token: str
    wall_clock_minutes: float  # how long the run may take; the server's own limits hold as well
    inactivity_timeout_minutes: float  # how long it may wait for a message
    turn_silence_minutes: float  # how long nothing may come of a running turn
    sandbox_minutes: float  # how long one sandbox of it may live


class NewRunFields(RuntimeFields, total=False):
    """A run that is made without being started."""

    environment: Literal["local", "cloud"]  # local, unless given


class StartFields(TypedDict, total=False):
    """What the agent of a run that starts is told first."""

    pending_user_message: str  # else the task's description
    pending_user_artifact_ids: Sequence[str]


class RunFields(RuntimeFields, StartFields, total=False):
    """A run that is made and started."""

    resume_from_run_id: str  # a run of the same task to go on from


class RunChanges(TypedDict, total=False):
    """Changes to a run. Objects in `output` and `state` are merged into what is there."""

    status: RunStatusName
    branch: str | None
    stage: str | None
    output: Any
    state: Mapping[str, Any]
    state_remove_keys: Sequence[str]
    error_message: str | None
    environment: Literal["local"]


class LogFilters(TypedDict, total=False):
    """What the entries of a log are narrowed to."""

    after: datetime | str | None  # only later ones
    event_types: Sequence[str]  # only these
    exclude_types: Sequence[str]  # not these


class EnvironmentFields(TypedDict, total=False):
    """A new or a changed sandbox environment."""

    name: str
    network_access_level: Literal["trusted", "full", "custom"]
    allowed_domains: Sequence[str]
    include_default_domains: bool
    repositories: Sequence[str]
    environment_variables: Mapping[str, str]
    private: bool


class ProjectSwitches(TypedDict, total=False):
    """What the readiness of a project's repositories depends on."""

    proactive_tasks_enabled: bool
    session_recording_opt_in: bool
    autocapture_exceptions_opt_in: bool


class AuditFilters(TypedDict, total=False):
    """What the record of who did what is narrowed to."""

    task: str | None  # of this task and its runs
    run: str | None
    actor: int | str | None  # a person's id; or user, run, operator or server
    action: str | None
    after: datetime | str | None  # only later


class GitState(TypedDict, total=False):
    """How a local checkout stands when a run is closed."""

    head: str | None
    branch: str | None
    upstreamHead: str | None
    upstreamRemote: str | None
    upstreamMergeRef: str | None
