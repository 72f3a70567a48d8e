"""The record of who did what, over the wire."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, Field

from hedgerow.api.schemas.fields import LARGEST_INTEGER, Moment, Optionally, RequestModel, Words
from hedgerow.api.schemas.users import UserBasic, user_basic
from hedgerow.domain.audit import ActorKind, AuditAction, AuditFilters
from hedgerow.domain.audit import AuditEntry as DomainAuditEntry
from hedgerow.domain.errors import InvalidError
from hedgerow.domain.journal import wire_time


class AuditEntryActor(BaseModel):
    """Who did it."""

    kind: ActorKind
    user: UserBasic | None
    key_id: UUID | None = Field(description="The personal key that was used.")
    run_id: UUID | None = Field(description="The run whose agent did it.")


class AuditEntry(BaseModel):
    """Something that was done. It holds no texts and no secrets."""

    id: int
    at: datetime
    actor: AuditEntryActor
    action: AuditAction
    project: int | None
    task: UUID | None
    run: UUID | None
    subject: str | None = Field(description="The id of what else was changed: a key, a person, a sandbox environment.")
    detail: dict[str, Any]
    request_id: str | None


class AuditPage(BaseModel):
    """A page of the record, newest first."""

    count: int
    next: str | None
    previous: str | None
    results: list[AuditEntry]


class AuditQuery(RequestModel):
    """What the record is narrowed by."""

    task: Optionally[UUID] = Field(None, description="Of this task and its runs.")
    run: Optionally[UUID] = Field(None, description="Of this run.")
    actor: Optionally[Words] = Field(None, description="A person's id; or user, run, operator or server.")
    action: Optionally[AuditAction] = None
    after: Optionally[Moment] = Field(None, description="Only what was done after this moment.")

    def filters(self) -> AuditFilters:
        """What the operation is asked for. Raises InvalidError where `actor` is neither."""
        kind, user_id = _actor(self.actor)
        return AuditFilters(task_id=self.task, run_id=self.run, action=self.action, actor=kind, user_id=user_id, after=self.after)


def _actor(text: str | None) -> tuple[ActorKind | None, int | None]:
    if text is None:
        return None, None
    if text.isascii() and text.isdecimal() and len(text) <= 10:
        return None, min(int(text), LARGEST_INTEGER)
    kind = next((kind for kind in ActorKind if kind == text), None)
    if kind is None:
        raise InvalidError(f"Name a person's id, or one of {', '.join(ActorKind)}.", attr="actor", detail_code="invalid_choice")
    return kind, None


def audit_entry(entry: DomainAuditEntry) -> dict[str, Any]:
    """An entry of the record as the API shows it."""
    note = entry.note
    return {
        "id": entry.number,
        "at": wire_time(note.at),
        "actor": {
            "kind": note.actor.value,
            "user": None if entry.user is None else user_basic(entry.user),
            "key_id": _text(note.key_id),
            "run_id": _text(note.acting_run_id),
        },
        "action": note.action.value,
        "project": note.project_id,
        "task": _text(note.task_id),
        "run": _text(note.run_id),
        "subject": note.subject,
        "detail": dict(note.detail),
        "request_id": note.request_id,
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
