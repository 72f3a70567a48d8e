"""Changing a run: PATCH of a person or of the agent's own run token (contract 5.2, 13.2, 13.3)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.runs import Environment, RunStatus, TaskRun
from hedgerow.operations.backends import Backends
from hedgerow.operations.patches import UNSET, Unset


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPatch:
    """The body of PATCH. UNSET: the field was not sent. The door has checked types, lengths and choices."""

    status: RunStatus | Unset = UNSET
    branch: str | Unset | None = UNSET
    stage: str | Unset | None = UNSET
    output: Any | Unset = UNSET
    state: dict[str, Any] | Unset = UNSET
    state_remove_keys: tuple[str, ...] = ()
    error_message: str | Unset | None = UNSET
    environment: Environment | Unset = UNSET
    end_reason: str | Unset = UNSET  # heard from a run token alone, beside status failed


async def update_run(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, patch: RunPatch) -> TaskRun:
    """Apply a patch to the freshest row under its lock; exactly one state event; `updated_at` grows by a millisecond at least.

    A run token may report in_progress and failed of its own run while it is not terminal; other statuses from it are ignored.
    Raises NotFoundError; ForbiddenError for another run's token or one of an older epoch.
    """
    raise NotImplementedError
