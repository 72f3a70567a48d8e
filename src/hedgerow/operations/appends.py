"""append_log: what a client, or the agent server of a run, puts on the journal (contract 5.3 and 13.1)."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from hedgerow.db import idempotency, journal, runs
from hedgerow.db.database import Transaction
from hedgerow.db.journal import Answer, OnceKey, Place
from hedgerow.domain.access import Caller, Project, RunCaller
from hedgerow.domain.errors import ConflictError, NotFoundError
from hedgerow.domain.journal import EventKind, NewEvent, Preview, entry_timestamp, event_type, is_message_chunk
from hedgerow.domain.masking import Mask
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access, checkpoints, permission_reports, run_changes, turn_reports
from hedgerow.operations.backends import Backends
from hedgerow.operations.checkpoints import HandedOver
from hedgerow.operations.entries import Entry, parse
from hedgerow.operations.permission_reports import PermissionReport
from hedgerow.operations.turn_reports import TurnReport

Report = TurnReport | PermissionReport | HandedOver


@dataclass(frozen=True, slots=True)
class Appended:
    """The answer to append_log. `replayed`: the same Idempotency-Key was used before, and nothing was appended now."""

    run: TaskRun
    replayed: bool


@dataclass(frozen=True, slots=True)
class _Batch:
    """What a body asks for: events to store, chunks to show (each with how many events come before it), and what the run learns.

    `reports`: turns that ended, permission requests that were made or have their result, and files that a client has handed over.
    """

    events: list[NewEvent]
    chunks: list[tuple[int, str]]
    reports: list[Report]


async def append_log(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, body: bytes, *, idempotency_key: str | None = None
) -> Appended:
    """Append the entries of `body`, the request's own bytes: `{"entries": [object, ...]}`.

    Raises InvalidError (detail_code `parse_error` for bytes that are no JSON, otherwise attr `entries` or `entries__i`), then
    NotFoundError, ForbiddenError (a run token of another run or an older epoch), ConflictError (the key with another body).
    """
    batch = _batch(parse(body), caller, backends.rules.mask)
    access.check_own(caller, run_id)
    epoch, heard_at = (caller.epoch, backends.clock.now()) if isinstance(caller, RunCaller) else (None, None)
    place = Place(project.id, task_id, run_id, epoch, heard_at)
    once = None if idempotency_key is None else _once_key(caller, place, idempotency_key, body, backends.clock.now())
    opened = backends.database.transaction if batch.reports else backends.database.statement
    async with opened() as tx:
        answer = await _store(backends, tx, place, batch, once)
        if answer.head is None and once is not None and await _key_was_old(tx, once):
            answer = await _store(backends, tx, place, batch, once)
        if answer.head is None and once is not None:
            await _check_same_body(tx, once)
            return Appended(answer.run, replayed=True)
        run = await _report(backends, tx, answer.run, batch.reports)
    await _show(backends, run_id, answer.head or 0, batch)
    return Appended(run, replayed=False)


def _batch(entries: list[Entry], caller: Caller, mask: Mask) -> _Batch:
    batch = _Batch([], [], [])
    from_agent = isinstance(caller, RunCaller)
    for entry in entries:
        text = mask.text(entry.text)
        if is_message_chunk(entry.value):
            batch.chunks.append((len(batch.events), text))
            continue
        batch.events.append(_event(entry, text, from_agent))
        report = _report_of(entry, text, mask, from_agent=from_agent)
        if report is not None:
            batch.reports.append(report)
    return batch


def _report_of(entry: Entry, text: str, mask: Mask, *, from_agent: bool) -> Report | None:
    """What an entry says to the server. Of files only a client's word counts: an agent must not choose what its run goes on from."""
    if from_agent:
        return turn_reports.read(entry.value, mask) or permission_reports.read(entry.value, text)
    return checkpoints.read(entry.value, text)


def _event(entry: Entry, text: str, from_agent: bool) -> NewEvent:
    kind = EventKind.PERMISSION if from_agent and permission_reports.is_stream_only(entry.value) else EventKind.ENTRY
    return NewEvent(kind, event_type(entry.value), entry_timestamp(entry.value), text)


def _once_key(caller: Caller, place: Place, key: str, body: bytes, now: datetime) -> OnceKey:
    return OnceKey(caller.identity, f"append_log {place.run_id}", key, hashlib.sha256(body).digest(), now)


def _request(once: OnceKey) -> idempotency.Request:
    return idempotency.Request(once.caller, "POST", once.path, once.key)


async def _key_was_old(tx: Transaction, once: OnceKey) -> bool:
    """Whether the key was taken so long ago that it counts as free again."""
    return await idempotency.forget(tx, _request(once), once.now - idempotency.KEPT)


async def _check_same_body(tx: Transaction, once: OnceKey) -> None:
    kept = await idempotency.load(tx, _request(once))
    if kept is not None and kept.body_hash != once.body_hash:
        raise ConflictError("This Idempotency-Key was used with another body.", detail_code="idempotency_conflict")


async def _store(backends: Backends, tx: Transaction, place: Place, batch: _Batch, once: OnceKey | None) -> Answer:
    if batch.reports:
        # The run first, then its journal: the order in which everybody locks the two.
        await runs.load_for_update(tx, place.run_id)
    answer = await (journal.append_to(tx, place, batch.events, once) if batch.events else journal.peek(tx, place))
    if answer is None:
        raise NotFoundError("Run not found.")
    if answer.fenced:
        raise access.stale_token()
    if answer.head is not None and batch.events:
        run_changes.tell(backends, tx, place.run_id, answer.head, batch.events)
    return answer


async def _report(backends: Backends, tx: Transaction, run: TaskRun, reports: list[Report]) -> TaskRun:
    for report in reports:
        if isinstance(report, TurnReport):
            run = await turn_reports.record(backends, tx, run, report)
        elif isinstance(report, HandedOver):
            run = await checkpoints.record(backends, tx, run, report)
        else:
            run = await permission_reports.record(backends, tx, run, report)
    return run


async def _show(backends: Backends, run_id: UUID, head: int, batch: _Batch) -> None:
    """Give the chunks to those who watch, each after the event that it follows."""
    if not batch.chunks:
        return
    before = head - len(batch.events)
    for position, text in batch.chunks:
        backends.hub.preview(run_id, Preview(before + position, text))
    # The sender's next chunks may go to another process: these must be under way before.
    await backends.hub.sent()
