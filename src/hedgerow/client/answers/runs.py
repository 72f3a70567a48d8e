"""Runs (contract 2.1)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.artifacts import Artifact, artifact_from
from hedgerow.client.answers.reading import made_at, mapping, moment
from hedgerow.domain.runs import EndReason, Environment, RunStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One try at a task, as its clients see it."""

    id: str
    task_id: str
    status: RunStatus
    environment: Environment
    stage: str | None
    branch: str | None
    runtime_adapter: str | None
    provider: str | None
    model: str | None
    reasoning_effort: str | None
    log_url: str | None = field(repr=False)  # whoever has it may read the log
    error_message: str | None
    output: Any
    state: Mapping[str, Any]
    artifacts: tuple[Artifact, ...]
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    raw: Mapping[str, Any] = field(repr=False)

    @property
    def end_reason(self) -> EndReason | None:
        """Why the run ended; None while it lives, or for a reason that this version does not know."""
        try:
            return EndReason(self.state.get("end_reason", ""))
        except ValueError:
            return None

    @property
    def queue_position(self) -> int | None:
        """Where the run stands in the line of its project, 1 is next; None where it waits for nobody."""
        place = self.state.get("queue_position")
        return place if isinstance(place, int) and place > 0 else None

    @property
    def interactive(self) -> bool:
        """Whether the run waits for messages after each turn."""
        return self.state.get("mode") != "background"


def run_from(body: Mapping[str, Any]) -> Run:
    """A run from its JSON object."""
    created_at = made_at(body.get("created_at"))
    return Run(
        id=body["id"],
        task_id=body["task"],
        status=RunStatus(body["status"]),
        environment=Environment(body.get("environment") or Environment.CLOUD),
        stage=body.get("stage"),
        branch=body.get("branch"),
        runtime_adapter=body.get("runtime_adapter"),
        provider=body.get("provider"),
        model=body.get("model"),
        reasoning_effort=body.get("reasoning_effort"),
        log_url=body.get("log_url"),
        error_message=body.get("error_message"),
        output=body.get("output"),
        state=mapping(body.get("state")),
        artifacts=tuple(artifact_from(item) for item in body.get("artifacts") or ()),
        created_at=created_at,
        updated_at=moment(body.get("updated_at")) or created_at,
        completed_at=moment(body.get("completed_at")),
        raw=body,
    )
