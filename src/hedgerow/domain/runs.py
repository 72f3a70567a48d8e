"""A run: one try at a task."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class RunStatus(StrEnum):
    """Where a run stands. The API imposes no transition table: a person may set any status at any time (contract 2.4)."""

    NOT_STARTED = "not_started"
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def terminal(self) -> bool:
        """Whether a run in this status has ended."""
        return self in {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELLED}


class Environment(StrEnum):
    """Who drives a run: its client, or hedgerow."""

    LOCAL = "local"
    CLOUD = "cloud"


class RunMode(StrEnum):
    """Whether a run ends by itself after its turn, or waits for a person's next message."""

    INTERACTIVE = "interactive"
    BACKGROUND = "background"


class EndReason(StrEnum):
    """Why a run has ended; `state.end_reason` of every terminal run (contract 13.2)."""

    FINISHED = "finished"  # the turn ended and nothing more was asked
    OUTPUT_ACCEPTED = "output_accepted"  # the structured output fits the task's schema
    CANCELLED = "cancelled"  # the agent was asked to cancel, and did
    INACTIVITY = "inactivity"  # an interactive run waited too long for a message
    WALL_CLOCK = "wall_clock"  # the run took longer than it may
    BUDGET = "budget"  # the run cost more than it may
    AGENT_FAILED = "agent_failed"  # the agent answered with an error
    AGENT_LOST = "agent_lost"  # the agent's process died or stopped answering
    SANDBOX_FAILED = "sandbox_failed"  # the sandbox could not be made
    SANDBOX_LOST = "sandbox_lost"  # the sandbox died
    START_FAILED = "start_failed"  # a step before the first message failed: repository, branch, agent, key
    CLIENT = "client"  # a person's PATCH ended it


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxHandle:
    """Enough to find a sandbox again from any worker of its node. `id` belongs to the provider."""

    provider: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a run is going to end, once its work has been collected."""

    status: RunStatus
    reason: EndReason
    message: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Execution:
    """What the server knows of a run that it drives. Facts, not plans: `decide` makes the plan from them."""

    started_at: datetime | None = None  # set once somebody asked the server to drive this run
    claimed_at: datetime | None = None  # a node took it first; until it is cleaned up it holds one of the places that there are
    place: int | None = None  # where it stands in the line of its project, 1 is next; None: in no line
    epoch: int = 0  # raised at every takeover; effects of an older epoch are refused
    node_id: UUID | None = None  # the machine that holds the sandbox and the workspace
    sandbox: SandboxHandle | None = None
    sandbox_made_at: datetime | None = None
    prepare_attempts: int = 0  # how often preparing it has failed for a reason that may pass
    retry_at: datetime | None = None  # when that is tried again
    checked_out_at: datetime | None = None  # the workspace holds the repository
    base_commit: str | None = None  # what was checked out
    session_ready_at: datetime | None = None  # the agent takes messages
    turn_started_at: datetime | None = None
    turn_ended_at: datetime | None = None
    stop_reason: str | None = None  # of the last turn, as the agent gave it
    failure: Ending | None = None  # the last turn failed: how a run ends that does nothing after it
    active_at: datetime | None = None  # the last sign of work or of a person
    cancel_requested_at: datetime | None = None
    stopping: Ending | None = None  # its agent was asked to stop its turn: how the run ends after that
    stop_by: datetime | None = None  # when it ends at the latest, stopped or not
    ending: Ending | None = None  # decided, and being landed
    landed_at: datetime | None = None  # the result is committed and pushed, or there was none
    cleaned_at: datetime | None = None  # no process and no workspace is left
    checkpoint: Mapping[str, Any] | None = None  # the newest git checkpoint of its files, as its journal entry describes it
    checkpointed_at: datetime | None = None  # when the last try to take one began, whatever came of it
    checkpointed_turn: datetime | None = None  # `turn_ended_at` as it was then
    checkpointed_at_rest: bool = False  # no sandbox could change the files any more
    checkpoint_failed: bool = False  # that try came to nothing: what was done since the newest checkpoint is in none
    restarting: bool = False  # it was started again, and what its node holds is of the earlier start
    wake_at: datetime | None = None  # the next time somebody must look at this run

    @property
    def worked(self) -> bool:
        """Whether its agent has worked in this start. A turn may be over before its beginning is written down, which is not done then."""
        return self.turn_started_at is not None or self.turn_ended_at is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class VisibleRun:
    """One try at a task, as its clients see it."""

    id: UUID
    task_id: UUID
    project_id: int
    number: int  # the n-th run of its task, from 1
    status: RunStatus
    environment: Environment
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    stage: str | None = None
    branch: str | None = None
    error_message: str | None = None
    output: Any = None
    state: dict[str, Any] = field(default_factory=dict)
    artifacts: list[dict[str, Any]] = field(default_factory=list)

    @property
    def mode(self) -> RunMode:
        """The run's mode; anything unknown in `state` counts as interactive, as the agent server reads it."""
        return RunMode.BACKGROUND if self.state.get("mode") == RunMode.BACKGROUND else RunMode.INTERACTIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRun(VisibleRun):
    """A run with what the server knows of its execution."""

    execution: Execution = field(default_factory=Execution)


PENDING_MESSAGE_KEYS = ("pending_user_message", "pending_user_artifact_ids", "pending_user_message_ts")

_PROTECTED_KEYS = frozenset(
    {"sandbox_id", "sandbox_connect_token", "pr_authorship_mode", "github_credential_source", "end_reason", "queue_position"}
)


def is_protected(key: str) -> bool:
    """Whether a key of `state` belongs to the server, so that callers can neither set nor remove it (contract 13.3)."""
    return key in _PROTECTED_KEYS or key.startswith("_")


def merge_state(stored: Mapping[str, Any], changes: Mapping[str, Any], remove: list[str]) -> dict[str, Any]:
    """`stored` without the keys of `remove`, then shallowly merged with `changes`. Protected keys are left alone (contract 5.2)."""
    kept = {key: value for key, value in stored.items() if key not in remove or is_protected(key)}
    return kept | {key: value for key, value in changes.items() if not is_protected(key)}


def merge_output(stored: Any, given: Any) -> Any:
    """An object is merged shallowly into the stored object; anything else replaces it (contract 5.2)."""
    if not isinstance(given, dict):
        return given
    return {**(stored if isinstance(stored, dict) else {}), **given}
