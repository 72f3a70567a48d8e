"""What the agent server says of its turns on the journal, and what that does to the run and its inbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.db import executions, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.end_reasons import given_by_agent, plain_words
from hedgerow.domain.journal import method_of, tells_of_a_turn
from hedgerow.domain.masking import Mask
from hedgerow.domain.runs import Ending, RunStatus, TaskRun
from hedgerow.operations import inbox, run_changes
from hedgerow.operations.backends import Backends

_FAILED_STOP_REASON = "error"
_NOTHING_SAID = "The agent failed without saying why."


@dataclass(frozen=True, slots=True)
class TurnReport:
    """A turn has ended. `message_id` None: of whatever message was delivered. `failure`: the agent could not do it."""

    message_id: UUID | None
    stop_reason: str | None
    failure: Ending | None = None


def read(entry: Mapping[str, Any], mask: Mask) -> TurnReport | None:
    """The report that an entry is; None for any other entry, and for the turn of a message that never was in an inbox.

    Such a one was said to the agent server itself, with an id of its sender's or none. Where an entry leaves out whose turn it tells of,
    it is that of the message that was delivered.
    """
    method = method_of(entry)
    if not tells_of_a_turn(method):
        return None
    given = entry["notification"].get("params")
    params: dict[str, Any] = given if isinstance(given, dict) else {}
    message_id = _uuid(params.get("messageId"))
    if message_id is None and "messageId" in params:
        return None
    if method.endswith("turn_complete"):
        return TurnReport(message_id, _words(params.get("stopReason"), mask))
    if message_id is None:
        return None
    message = _words(params.get("message"), mask) or _NOTHING_SAID
    failure = Ending(status=RunStatus.FAILED, reason=given_by_agent(params.get("endReason")), message=message)
    return TurnReport(message_id, _FAILED_STOP_REASON, failure)


def _words(given: Any, mask: Mask) -> str | None:
    """What an agent has chosen the words of, as it may be kept and shown; None where it says nothing."""
    return plain_words(mask.text(given)) if isinstance(given, str) and given.strip() else None


def _uuid(text: Any) -> UUID | None:
    try:
        return UUID(text) if isinstance(text, str) else None
    except ValueError:
        return None


async def record(backends: Backends, tx: Transaction, run: TaskRun, report: TurnReport) -> TaskRun:
    """End the turn of a run whose row is locked, and have a worker look. A turn that ended before ends nothing again."""
    failure = report.failure
    if not await inbox.finish(backends, tx, run.id, report.message_id, None if failure is None else failure.message):
        return run
    now = backends.clock.now()
    facts = {
        "turn_ended_at": now,
        "stop_reason": report.stop_reason,
        "failure": None if failure is None else executions.stored_ending(failure),
        "active_at": now,
        "wake_at": now,
    }
    run_changes.nudge(backends, tx, run)
    return await runs.note(tx, run.id, facts)
