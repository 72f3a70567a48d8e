"""What a new run may be asked for, and the checks across its fields (contract 3.6)."""

from dataclasses import dataclass, field
from uuid import UUID

from hedgerow.domain.runs import RunMode
from hedgerow.operations.backends import Rules


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest:
    """The body of run/ and runs/. None: left out. The door has checked types and lengths, and the choices that never change.

    `runtime_adapter` and `initial_permission_mode` are plain strings here: `check` knows which ones exist.
    """

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


def check(request: RunRequest, rules: Rules) -> None:
    """Raise InvalidError for the first rule that the request breaks, in the contract's order."""
    raise NotImplementedError
