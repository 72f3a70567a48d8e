"""Changing a run: PATCH of a person or of the agent's own run token (contract 5.2, 13.2, 13.3)."""

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from hedgerow.db import executions, runs
from hedgerow.db.database import Transaction
from hedgerow.domain import deadlines
from hedgerow.domain.access import Caller, Project, RunCaller
from hedgerow.domain.end_reasons import given_by_agent
from hedgerow.domain.endings import settled_ending
from hedgerow.domain.housekeeping import WAITING_KEY
from hedgerow.domain.messages import HANDED_OVER, UNANSWERED
from hedgerow.domain.queue import POSITION_KEY
from hedgerow.domain.runs import EndReason, Environment, RunStatus, TaskRun, merge_output, merge_state
from hedgerow.operations import access, inbox, run_changes
from hedgerow.operations.backends import Backends, Rules
from hedgerow.operations.patches import UNSET, Unset
from hedgerow.operations.sandbox_environments import STATE_KEY
from hedgerow.operations.sandbox_urls import is_allowed

_NOT_THE_AGENTS = frozenset(deadlines.DEADLINE_KEYS) | frozenset(
    {STATE_KEY, "sandbox_url", "slack_thread_url", "interaction_origin", "slack_notified_pr_url", "slack_sent_relay_ids"}
)


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

    A run token may report in_progress and failed of its own run while the server drives it and no end of it is decided; other statuses from
    it are ignored, and so are a hand-over to the client and another sandbox environment. Where the run's end is settled by what was known
    before its agent failed, that is decided by the report. What waits in the inbox of a run that is handed
    over, opened again after its end, or ended while it has no sandbox, fails.
    Raises InvalidError (attr `state__<key>`) for a deadline that is no number of minutes; NotFoundError; ForbiddenError for another run's
    token or one of an older epoch.
    """
    if patch.state is not UNSET and not isinstance(caller, RunCaller):
        deadlines.check(patch.state, "state__")
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        if isinstance(caller, RunCaller) and patch.status is RunStatus.FAILED and not _is_over(run):
            run = await _settle(backends, tx, run)
        columns = _columns(backends, run, patch, caller)
        if run.execution.started_at is not None and _concerns_the_lifecycle(run, columns):
            columns["wake_at"] = backends.clock.now()
            run_changes.nudge(backends, tx, run)
            if run.status.terminal and "status" in columns and not RunStatus(columns["status"]).terminal:
                columns["started_at"] = None  # whoever opens an ended run again drives it, until somebody has the server do so
                await inbox.give_up(backends, tx, run.id, UNANSWERED)
            elif RunStatus(columns.get("status", run.status)).terminal and run.execution.sandbox is None:
                await inbox.give_up(backends, tx, run.id, UNANSWERED)
        changed = await run_changes.change_run(backends, tx, run, columns, caller)
        if changed.environment is not run.environment:
            await inbox.give_up(backends, tx, run.id, HANDED_OVER)
        return changed


async def _settle(backends: Backends, tx: Transaction, run: TaskRun) -> TaskRun:
    """The run, whose agent has failed, with its end decided where that was settled before."""
    found = await executions.look(tx, run.id)
    settled = None if found is None else settled_ending(*found)
    if settled is None:
        return run
    run_changes.nudge(backends, tx, run)
    return await runs.note(tx, run.id, {"ending": executions.stored_ending(settled), "wake_at": backends.clock.now()})


def _concerns_the_lifecycle(run: TaskRun, columns: dict[str, Any]) -> bool:
    """Whether whoever drives the run must look: it ends or begins anew, it goes to its client, or its deadlines have moved."""
    status = RunStatus(columns.get("status", run.status))
    state = columns.get("state", run.state)
    if any(state.get(key) != run.state.get(key) for key in deadlines.DEADLINE_KEYS):
        return True
    ends_or_begins = status is not run.status and (status.terminal or run.status.terminal)
    return ends_or_begins or Environment(columns.get("environment", run.environment)) is not run.environment


def _columns(backends: Backends, run: TaskRun, patch: RunPatch, caller: Caller) -> dict[str, Any]:
    """The columns that the patch writes, and no others: what it does not name may be changing elsewhere."""
    columns: dict[str, Any] = {}
    status = _status(run, patch, caller)
    heard = status is not None or patch.status is UNSET
    for name in ("branch", "stage", *(("error_message",) if heard else ())):  # why a run failed goes with its failing
        if getattr(patch, name) is not UNSET:
            columns[name] = getattr(patch, name)
    if patch.environment is not UNSET and not isinstance(caller, RunCaller):
        columns["environment"] = patch.environment.value
    if patch.output is not UNSET:
        columns["output"] = merge_output(run.output, patch.output)
    state = _state(backends.rules, run, patch, caller)
    if status is not None:
        columns["status"] = status.value
        state = _with_end_reason(run, state, status, _reason(patch, caller))
        if status.terminal and run.completed_at is None:
            columns["completed_at"] = backends.clock.now()
    if columns.get("environment") == Environment.LOCAL or (status is not None and status.terminal):
        state = {key: value for key, value in state.items() if key not in {POSITION_KEY, WAITING_KEY}}
    if state != run.state:
        columns["state"] = state
    return columns


def _status(run: TaskRun, patch: RunPatch, caller: Caller) -> RunStatus | None:
    """The status to write; None: it stays. The agent's own token reports, it does not decide."""
    if patch.status is UNSET:
        return None
    heard = not _is_over(run) and patch.status in {RunStatus.IN_PROGRESS, RunStatus.FAILED}
    return None if isinstance(caller, RunCaller) and not heard else patch.status


def _is_over(run: TaskRun) -> bool:
    """Whether what becomes of the run's agent is of no account any more: it ends, begins anew, or is somebody else's to drive."""
    execution = run.execution
    driven = execution.started_at is not None and run.environment is Environment.CLOUD
    return not driven or run.status.terminal or execution.restarting or execution.ending is not None


def _reason(patch: RunPatch, caller: Caller) -> EndReason:
    return given_by_agent(patch.end_reason) if isinstance(caller, RunCaller) else EndReason.CLIENT


def _with_end_reason(run: TaskRun, state: dict[str, Any], status: RunStatus, reason: EndReason) -> dict[str, Any]:
    """Every terminal run says why it ended; one that is not terminal does not."""
    if not status.terminal:
        return {key: value for key, value in state.items() if key != "end_reason"}
    if status is run.status and "end_reason" in state:
        return state
    return {**state, "end_reason": reason.value}


def _state(rules: Rules, run: TaskRun, patch: RunPatch, caller: Caller) -> dict[str, Any]:
    changes = {} if patch.state is UNSET else patch.state
    remove = list(patch.state_remove_keys)
    if isinstance(caller, RunCaller):  # an agent chooses neither what its sandbox reaches nor where words go, to it or from it
        changes = {key: value for key, value in changes.items() if key not in _NOT_THE_AGENTS}
        remove = [key for key in remove if key not in _NOT_THE_AGENTS]
    given_url, stored_url = changes.get("sandbox_url"), run.state.get("sandbox_url")
    if "sandbox_url" in changes and not (isinstance(given_url, str) and is_allowed(given_url, rules.sandbox_url_allowlist)):
        changes = {key: value for key, value in changes.items() if key != "sandbox_url"}
    if "sandbox_url" in remove and not (isinstance(stored_url, str) and is_allowed(stored_url, rules.sandbox_url_allowlist)):
        remove = [key for key in remove if key != "sandbox_url"]
    return merge_state(run.state, changes, remove)
