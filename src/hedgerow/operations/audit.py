"""The record of who did what. `note` is called by whatever changes something, in the transaction that changes it."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import structlog

from hedgerow.db import audit
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, PersonalCaller, Project, RunCaller, Scope
from hedgerow.domain.audit import Actor, ActorKind, AuditAction, AuditEntry, AuditFilters, AuditNote
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging

_LONGEST_WORD = 64


async def note(
    backends: Backends,
    tx: Transaction,
    actor: Actor,
    action: AuditAction,
    *,
    project_id: int | None = None,
    task_id: UUID | None = None,
    run_id: UUID | None = None,
    subject: object = None,
    **detail: Any,
) -> None:
    """Record what is being done in `tx`, so that both stand or fall together.

    `subject` is the id of what else is changed; `detail` holds ids, names of fields and values out of closed lists: no texts of people,
    no secrets.
    """
    await audit.add(
        tx,
        AuditNote(
            at=backends.clock.now(),
            **_who(actor),
            action=action,
            project_id=project_id,
            task_id=task_id,
            run_id=run_id,
            subject=None if subject is None else str(subject),
            detail=detail,
            request_id=structlog.contextvars.get_contextvars().get("request_id"),
        ),
    )


async def note_run(backends: Backends, tx: Transaction, actor: Actor, action: AuditAction, run: TaskRun, **detail: Any) -> None:
    """As `note`, of a run."""
    await note(backends, tx, actor, action, project_id=run.project_id, task_id=run.task_id, run_id=run.id, **detail)


def _who(actor: Actor) -> dict[str, Any]:
    match actor:
        case PersonalCaller():
            return {"actor": ActorKind.USER, "user_id": actor.user.id, "key_id": actor.key_id}
        case RunCaller():
            return {"actor": ActorKind.RUN, "acting_run_id": actor.run_id}
        case _:
            return {"actor": actor}


def word(value: Any) -> str:
    """An identifier that a client chose, as it may stand in `detail`: cut off where it is longer than identifiers are."""
    text = str(value)
    return text if len(text) <= _LONGEST_WORD else text[:_LONGEST_WORD] + "…"


async def read_audit(backends: Backends, caller: Caller, project: Project, filters: AuditFilters, paging: Paging) -> Page[AuditEntry]:
    """What was done in a project, newest first. Raises ForbiddenError for a key without scope `*`."""
    access.require(access.person(caller), Scope.ALL)
    async with backends.database.transaction() as tx:
        count, found = await audit.select(tx, replace(filters, project_id=project.id), paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)


async def read_whole_audit(backends: Backends, filters: AuditFilters, paging: Paging) -> Page[AuditEntry]:
    """What was done in any project, or in none, newest first. For the operator."""
    async with backends.database.transaction() as tx:
        count, found = await audit.select(tx, filters, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)
