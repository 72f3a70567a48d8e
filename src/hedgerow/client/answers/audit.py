"""The record of who did what."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import made_at, mapping


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """Something that was done. `actor` says by whom; it holds no texts and no secrets."""

    id: int
    at: datetime
    actor: Mapping[str, Any]
    action: str
    project_id: int | None
    task_id: str | None
    run_id: str | None
    subject: str | None
    detail: Mapping[str, Any]
    raw: Mapping[str, Any] = field(repr=False)


def audit_entry_from(body: Mapping[str, Any]) -> AuditEntry:
    """An entry of the record from its JSON object."""
    return AuditEntry(
        id=body["id"],
        at=made_at(body.get("at")),
        actor=mapping(body.get("actor")),
        action=body["action"],
        project_id=body.get("project"),
        task_id=body.get("task"),
        run_id=body.get("run"),
        subject=body.get("subject"),
        detail=mapping(body.get("detail")),
        raw=body,
    )
