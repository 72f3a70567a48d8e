"""The preparation steps of a run, as grouped progress entries of its journal (`_posthog/progress`)."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from hedgerow.domain.journal import notification


class StepStatus(StrEnum):
    """How a step stands."""

    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    FAILED = "failed"


class Step(StrEnum):
    """A step that the server takes before an agent's first message, or after its last."""

    INSTALL = "install"
    SANDBOX = "sandbox"
    CHECKOUT = "checkout"
    RESTORE = "restore"
    AGENT = "agent"
    RESULT = "result"


STEP_LABELS = {
    Step.INSTALL: "Install the agent",
    Step.SANDBOX: "Start the sandbox",
    Step.CHECKOUT: "Check out the repository",
    Step.RESTORE: "Restore the checkpoint",
    Step.AGENT: "Start the agent",
    Step.RESULT: "Collect the result",
}


@dataclass(frozen=True, slots=True)
class Progress:
    """One change of one step. `duration_seconds` is given once the step is over."""

    step: Step
    status: StepStatus
    detail: str | None = None
    duration_seconds: float | None = None


def progress_entry(progress: Progress, now: datetime) -> dict[str, Any]:
    """The journal entry of a step's change (shape: contract 7.1, method `_posthog/progress`)."""
    params: dict[str, Any] = {
        "group": "result" if progress.step is Step.RESULT else "setup",
        "step": progress.step.value,
        "label": STEP_LABELS[progress.step],
        "status": progress.status.value,
    }
    if progress.detail is not None:
        params["detail"] = progress.detail
    if progress.duration_seconds is not None:
        params["duration_seconds"] = round(progress.duration_seconds, 3)
    return notification("_posthog/progress", params, now)
