"""Posting what is queued: each relay once at most, those of a run in order.

Whoever finds a relay due takes it for a while, and notes before it posts that it might have. Should it die then, or hear nothing of
Slack, the next attempt looks into the thread first.
"""

import asyncio
from datetime import timedelta

import structlog

from hedgerow.db import relays, runs
from hedgerow.domain.audit import ActorKind
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.journal import notification
from hedgerow.domain.relays import Relay, RelayKind, pause_after, with_sent
from hedgerow.integrations.base import MessengerError
from hedgerow.operations import run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.relays import token_of

log = structlog.get_logger()

_AT_ONCE = 10
_ROUNDS = 100
_CALLS = 3  # a look of one page or more, then a post: an attempt that takes longer than so many timeouts is given up
_GRACE_SECONDS = 10.0  # between the end of an attempt and the moment at which others count it as lost


async def deliver_due(backends: Backends) -> int:
    """Post the relays whose time has come, ten at once, until none is left; how many attempts that took.

    Nothing that Slack does makes it raise. It may be cancelled at any moment.
    """
    attempts = 0
    for _ in range(_ROUNDS):
        now = backends.clock.now()
        async with backends.database.transaction() as tx:
            lost_at = now + timedelta(seconds=_attempt_seconds(backends) + _GRACE_SECONDS)
            due = await relays.take_due(tx, now, lost_at, _AT_ONCE)
        if not due:
            break
        attempts += len(due)
        outcomes = await asyncio.gather(*(_attempt(backends, relay) for relay in due), return_exceptions=True)
        for problem in outcomes:
            if problem is not None:
                raise problem
    return attempts


def _attempt_seconds(backends: Backends) -> float:
    return _CALLS * backends.rules.slack_timeout_seconds


async def _attempt(backends: Backends, relay: Relay) -> None:
    try:
        async with asyncio.timeout(_attempt_seconds(backends)):
            message_ts = await _post(backends, relay)
    except MessengerError as problem:
        await _record_problem(backends, relay, problem)
    except TimeoutError:
        await _record_problem(backends, relay, MessengerError("Slack took too long.", doubtful=True))
    else:
        await _record_sent(backends, relay, message_ts)


async def _post(backends: Backends, relay: Relay) -> str:
    """Post, unless an earlier attempt has. Errors say whether it may have gone through after all."""
    token = await _token(backends, relay)
    if relay.doubtful:
        found = await _find(backends, token, relay)
        if found is not None:
            return found
    is_link = relay.kind is RelayKind.PULL_REQUEST
    return await backends.messenger.post(token, relay.thread, relay.text, relay.id, link=is_link)


async def _token(backends: Backends, relay: Relay) -> str:
    try:
        token = await token_of(backends, relay.project_id)
    except HedgerowError as problem:
        raise MessengerError(problem.message, doubtful=relay.doubtful) from problem
    if token is None:
        raise MessengerError("The project is not connected with Slack any more.", permanent=True, doubtful=relay.doubtful)
    return token


async def _find(backends: Backends, token: str, relay: Relay) -> str | None:
    try:
        return await backends.messenger.find(token, relay.thread, relay.id, relay.created_at)
    except MessengerError as problem:
        raise MessengerError(
            problem.message, permanent=problem.permanent, doubtful=True, retry_after_seconds=problem.retry_after_seconds
        ) from problem


async def _record_sent(backends: Backends, relay: Relay, message_ts: str) -> None:
    async with backends.database.transaction() as tx:
        run = await runs.load_for_update(tx, relay.run_id)
        assert run is not None
        if await relays.mark_sent(tx, relay, message_ts):
            await run_changes.change_run(backends, tx, run, {"state": with_sent(run.state, relay.id)}, ActorKind.SERVER)


async def _record_problem(backends: Backends, relay: Relay, problem: MessengerError) -> None:
    if not problem.permanent and relay.attempts < backends.rules.slack_attempts:
        until = backends.clock.now() + pause_after(relay.attempts, problem.retry_after_seconds)
        async with backends.database.transaction() as tx:
            await relays.postpone(tx, relay, until, problem.message, doubtful=problem.doubtful)
        return
    doubt = " It is not known whether it was posted." if problem.doubtful else ""
    message = f"A message could not be posted to Slack, after {_times(relay.attempts)}: {problem.message}{doubt}"
    log.warning("a message could not be posted to Slack", run_id=str(relay.run_id), relay_id=str(relay.id), reason=problem.message)
    async with backends.database.transaction() as tx:
        await runs.load_for_update(tx, relay.run_id)  # the run, then its journal: the order in which everybody locks the two
        if await relays.mark_failed(tx, relay, problem.message + doubt):
            entry = notification("_posthog/console", {"level": "error", "message": message}, backends.clock.now())
            await run_changes.add_events(backends, tx, relay.run_id, [run_changes.server_entry(entry)])


def _times(attempts: int) -> str:
    return "1 attempt" if attempts == 1 else f"{attempts} attempts"
