"""relay_message, and the news of pull requests: what is to be posted is queued here (contract 5.8, 5.2). `relay_delivery` posts it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from hedgerow.db import relays, slack_threads
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.relays import Relay, RelayKind, Thread, new_pull_request, thread_of
from hedgerow.domain.runs import TaskRun
from hedgerow.operations import access, integrations
from hedgerow.operations.backends import Backends


async def relay_message(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, text: str) -> UUID | None:
    """Queue a text for the run's thread; the id of its relay. None: the run has ended, or no thread or no token is there for it.

    What was queued is posted once at most, after what was queued before it. Raises NotFoundError, ForbiddenError; UnavailableError
    also where as much of the run waits as may.
    """
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        thread = None if run.status.terminal else await _open_thread(backends, tx, run)
        if thread is None:
            return None
        if not await _has_room(backends, tx, run):
            raise UnavailableError(f"{backends.rules.slack_waiting} messages of this run wait to be posted to Slack; try again later.")
        relay = _new_relay(backends, run, RelayKind.MESSAGE, thread, text)
        await relays.add(tx, relay)
    return relay.id


async def queue_pull_request(backends: Backends, tx: Transaction, run: TaskRun, columns: Mapping[str, Any]) -> dict[str, Any]:
    """The columns of a change of a run, whose row is locked; where they name a new pull request, its thread is going to be told.

    A run's thread is told of a URL once. `state.slack_notified_pr_url` then says of which.
    """
    changes = dict(columns)
    if "output" not in changes:
        return changes
    state = changes.get("state", run.state)
    url = new_pull_request(run.output, changes["output"], state)
    thread = None if url is None else await _open_thread(backends, tx, replace(run, state=state))
    if url is None or thread is None or not await _has_room(backends, tx, run):
        return changes
    await relays.add(tx, _new_relay(backends, run, RelayKind.PULL_REQUEST, thread, url))
    return {**changes, "state": {**state, "slack_notified_pr_url": url}}


async def _has_room(backends: Backends, tx: Transaction, run: TaskRun) -> bool:
    """Whether one more of a run, whose row is locked, may wait."""
    return await relays.count_queued(tx, run.id) < backends.rules.slack_waiting


def _new_relay(backends: Backends, run: TaskRun, kind: RelayKind, thread: Thread, text: str) -> Relay:
    now = backends.clock.now()
    return Relay(
        id=uuid7(int(now.timestamp() * 1000)),
        run_id=run.id,
        project_id=run.project_id,
        kind=kind,
        thread=thread,
        text=backends.rules.mask.text(text),
        attempt_at=now,
        created_at=now,
    )


async def is_told(backends: Backends, run: TaskRun) -> bool:
    """Whether what the agent of a run says is to be posted: somebody waits for it in a thread."""
    async with backends.database.transaction() as tx:
        return await _open_thread(backends, tx, run) is not None


def comes_from_slack(run: TaskRun) -> bool:
    """Whether a person asked for the run in Slack, and is asked back there."""
    return run.state.get("interaction_origin") == "slack"


async def _open_thread(backends: Backends, tx: Transaction, run: TaskRun) -> Thread | None:
    """The thread that a run is told in: the one its state names, else that of its task. None without a token to post with."""
    thread = thread_of(run.state.get("slack_thread_url"))
    if thread is None:
        mapped = await slack_threads.load(tx, run.task_id)
        thread = None if mapped is None else mapped.thread
    return thread if thread is not None and await _may_post(backends, tx, run.project_id) else None


async def _may_post(backends: Backends, tx: Transaction, project_id: int) -> bool:
    if not backends.messenger.needs_token or backends.rules.slack_bot_token:
        return True
    own = await integrations.first_of_kind(tx, project_id, IntegrationKind.SLACK)
    return own is not None and own.sealed_secret is not None


async def token_of(backends: Backends, project_id: int) -> str | None:
    """The token that a project posts with: its own, else the operator's; None without either.

    Raises UnavailableError where its own was encrypted with another secret key.
    """
    async with backends.database.statement() as tx:
        own = await integrations.first_of_kind(tx, project_id, IntegrationKind.SLACK)
    secret = None if own is None else integrations.secret_of(backends, own)
    return secret or backends.rules.slack_bot_token or (None if backends.messenger.needs_token else "")
