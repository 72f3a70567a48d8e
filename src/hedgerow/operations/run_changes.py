"""What every change of a run has in common: its state on the journal in the same transaction, and the word of it after the commit."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID

from hedgerow.db import journal, permission_requests, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.audit import Actor, AuditAction
from hedgerow.domain.journal import EventKind, JournalEvent, NewEvent, entry_timestamp, event_type, notification, state_event
from hedgerow.domain.permission_requests import OVERTAKEN, RUN_OVER, UNHEARD, PermissionRequest, RequestState
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.operations import audit
from hedgerow.operations.backends import Backends
from hedgerow.operations.relays import queue_pull_request


def server_entry(entry: Mapping[str, Any]) -> NewEvent:
    """A log entry that the server itself writes."""
    return NewEvent(EventKind.ENTRY, event_type(entry), entry_timestamp(entry), _line(entry))


def _line(event: Mapping[str, Any]) -> str:
    """One line of JSON in ASCII, so that whatever a client put into a run's fields can be stored."""
    return json.dumps(event, separators=(",", ":"))


async def add_events(backends: Backends, tx: Transaction, run_id: UUID, events: Sequence[NewEvent], epoch: int | None = None) -> int | None:
    """Append events of the server, and tell the readers after the commit; the number of the last.

    None where the journal has moved to another epoch than the one given: nothing is appended then.
    """
    head = await journal.append(tx, run_id, events, epoch)
    if head is not None:
        tell(backends, tx, run_id, head, events)
    return head


def tell(backends: Backends, tx: Transaction, run_id: UUID, head: int, events: Sequence[NewEvent]) -> None:
    """Tell the readers of a run, after the commit, that `events` are the last of its journal, up to number `head`."""
    first = head - len(events) + 1
    numbered = [JournalEvent(first + index, event.kind, event.text) for index, event in enumerate(events)]
    tx.after_commit(partial(_publish, backends, run_id, head, numbered))


async def _publish(backends: Backends, run_id: UUID, head: int, events: Sequence[JournalEvent]) -> None:
    backends.hub.publish(run_id, head, events)


async def add_state(backends: Backends, tx: Transaction, run: TaskRun) -> None:
    """Put the run's state on its journal: once for each change of it."""
    event = NewEvent(EventKind.STATE, "task_run_state", run.updated_at, _line(state_event(run)))
    await add_events(backends, tx, run.id, [event])
    tx.after_commit(partial(_changed, backends, run.id))


async def add_states(backends: Backends, tx: Transaction, changed: Sequence[TaskRun]) -> None:
    """As `add_state`, for many runs in one go."""
    events = {run.id: NewEvent(EventKind.STATE, "task_run_state", run.updated_at, _line(state_event(run))) for run in changed}
    for run_id, head in (await journal.append_each(tx, events)).items():
        tell(backends, tx, run_id, head, [events[run_id]])
        tx.after_commit(partial(_changed, backends, run_id))


async def _changed(backends: Backends, run_id: UUID) -> None:
    backends.hub.changed(run_id)


async def change_run(backends: Backends, tx: Transaction, run: TaskRun, columns: Mapping[str, Any], actor: Actor) -> TaskRun:
    """Change the named columns of a run whose row is locked, with one state event that its readers get after the commit.

    A pull request that the run's output newly names is told in its thread, where it has one. `actor` is who is recorded as having
    moved the run to another status, or to its client.
    """
    changed = await runs.change(tx, run, await queue_pull_request(backends, tx, run, columns), backends.clock.now())
    if changed.status.terminal and not run.status.terminal:
        await void_requests(backends, tx, run.id, RUN_OVER)
    await add_state(backends, tx, changed)
    if changed.status is not run.status:
        moved = {"from": run.status.value, "to": changed.status.value}
        await audit.note_run(backends, tx, actor, AuditAction.RUN_MOVE, changed, **moved)
    if changed.environment is Environment.LOCAL and run.environment is Environment.CLOUD:
        await audit.note_run(backends, tx, actor, AuditAction.RUN_HAND_OVER, changed)
    return changed


async def void_requests(backends: Backends, tx: Transaction, run_id: UUID, reason: str) -> None:
    """Let no permission request of a run, whose row is locked, wait any longer, each with an event. `reason`: of those unanswered."""
    for request in await permission_requests.open_of_run(tx, run_id):
        await void_request(backends, tx, request, reason)


async def void_request(backends: Backends, tx: Transaction, request: PermissionRequest, reason: str) -> None:
    """As `void_requests`, of one request. What was answered is void since the answer was not heard, or since another one was."""
    why = reason if request.state is RequestState.WAITING or reason == OVERTAKEN else UNHEARD
    await permission_requests.save(tx, replace(request, state=RequestState.VOID, reason=why))
    await add_events(backends, tx, request.run_id, [permission_event(backends, "void", requestId=request.id, reason=why)])


def permission_event(backends: Backends, what: str, **params: Any) -> NewEvent:
    """What became of a permission request, as its readers see it: `answered`, `delivered` or `void`. It is no entry of the log."""
    told = {name: value for name, value in params.items() if value is not None}
    event = notification(f"_posthog/permission_{what}", told, backends.clock.now()) | {"type": f"permission_{what}"}
    return NewEvent(EventKind.PERMISSION, event_type(event), entry_timestamp(event), _line(event))


def message_event(backends: Backends, message_id: UUID, status: str, **params: Any) -> NewEvent:
    """Where a message stands from now on, as its readers see it; what it says is in the inbox. It is no entry of the log."""
    told = {"messageId": str(message_id), "status": status} | {name: value for name, value in params.items() if value is not None}
    event = notification("_posthog/message_status", told, backends.clock.now()) | {"type": "message_status"}
    return NewEvent(EventKind.MESSAGE, event_type(event), entry_timestamp(event), _line(event))


def nudge(backends: Backends, tx: Transaction, run: TaskRun) -> None:
    """After the commit, have a worker look at the run and those who wait for it look up. The transaction sets `wake_at` itself."""
    tx.after_commit(partial(_changed, backends, run.id))
    tx.after_commit(partial(backends.jobs.nudge, run.id, run.execution.node_id))
