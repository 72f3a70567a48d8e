"""How ready a repository is for an agent that works on its own (contract 10), and the counts that this is reckoned from."""

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from hedgerow.db import projects, readiness, repository_scans
from hedgerow.db import repositories as db_repositories
from hedgerow.db.database import Transaction
from hedgerow.db.readiness import Question
from hedgerow.db.repository_scans import RepositoryScan
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import InvalidError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.readiness import LONGEST_WINDOW_DAYS, CapabilityState, InsightCount, Readiness, assess, window_start, without_scan
from hedgerow.domain.repository_scans import Scan
from hedgerow.operations import access, github, integrations, repositories
from hedgerow.operations.backends import Backends

_NET_SECONDS = 0.5  # a result whose announcement was lost is seen after this time

_NO_INTEGRATION = "This repository is not registered, and the project has no GitHub integration."
_NO_TOKEN = "The project's GitHub integration has no token, so the repository cannot be looked into."  # noqa: S105 - a sentence
_NOT_YET = "The repository is being read; ask again in a moment."


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedReadiness:
    """An answer, when it was generated, and how old it is."""

    readiness: Readiness
    generated_at: datetime
    age_seconds: int = 0


@dataclass(frozen=True, slots=True)
class _Reach:
    """How a repository is reached: as a registered one, or through an integration, which may lack its token."""

    integration_id: int = 0
    usable: bool = True


async def repository_readiness(
    backends: Backends, caller: Caller, project: Project, *, repository: str, window_days: int, refresh: bool = False
) -> DatedReadiness:
    """The readiness of `repository` (org/repo, lower case) over the last `window_days` days.

    An answer of the last minutes is given again, unless `refresh`. Otherwise a worker scans the repository, for which this waits for a
    few seconds; where that is not enough, the answer says so, and is not kept. Raises ForbiddenError for a run token.
    """
    access.person(caller)
    now = backends.clock.now()
    async with backends.database.transaction() as tx:
        reach = await _reach(backends, tx, project.id, repository)
        if reach is None:
            answer = without_scan(repository, window_days, CapabilityState.NEEDS_SETUP, _NO_INTEGRATION)
            return DatedReadiness(readiness=answer, generated_at=now)
        question = Question(project_id=project.id, integration_id=reach.integration_id, repository=repository, window_days=window_days)
        kept = None if refresh else await readiness.cached(tx, question, now - timedelta(seconds=backends.rules.readiness_cache_seconds))
    if kept is not None:
        answer, generated_at = kept
        return DatedReadiness(readiness=answer, generated_at=generated_at, age_seconds=max(0, int((now - generated_at).total_seconds())))
    if not reach.usable:
        answer = without_scan(repository, window_days, CapabilityState.UNKNOWN, _NO_TOKEN)
        return await _kept(backends, question, answer)
    return await _from_scan(backends, question, await _latest_scan(backends, question, refresh=refresh))


async def _reach(backends: Backends, tx: Transaction, project_id: int, repository: str) -> _Reach | None:
    integration = await integrations.first_of_kind(tx, project_id, IntegrationKind.GITHUB)
    if await db_repositories.find(tx, project_id, repository) is not None:
        return _Reach(0 if integration is None else integration.id)
    if integration is None or repositories.is_local(repository):
        return None
    return _Reach(integration.id, usable=github.usable(backends, integration))


async def _latest_scan(backends: Backends, question: Question, *, refresh: bool) -> RepositoryScan:
    """The repository's scan, once a worker has made it anew where it was old, or as it is when the waiting is over."""
    now, rules = backends.clock.now(), backends.rules
    fetched_before = now - timedelta(seconds=rules.readiness_fetch_seconds)
    async with backends.database.statement() as tx:
        scan = await repository_scans.request(
            tx,
            uuid7(int(now.timestamp() * 1000)),
            question.project_id,
            question.repository,
            now=now,
            older_than=fetched_before if refresh else now - timedelta(seconds=rules.readiness_cache_seconds),
            failed_before=fetched_before,
        )
    if scan.pending:
        await backends.jobs.nudge_scan(scan.id)
        scan = await _awaited(backends, scan)
    return scan


async def _awaited(backends: Backends, scan: RepositoryScan) -> RepositoryScan:
    time = asyncio.get_running_loop().time
    deadline = time() + backends.rules.readiness_wait_seconds
    async with backends.hub.subscribe(scan.id) as changes:
        while True:
            async with backends.database.statement() as tx:
                latest = await repository_scans.load(tx, scan.id)
            assert latest is not None
            left = deadline - time()
            if latest.done >= scan.wanted or left <= 0:
                return latest
            await changes.wait(min(left, _NET_SECONDS))


async def _from_scan(backends: Backends, question: Question, scan: RepositoryScan) -> DatedReadiness:
    if scan.result is None:
        reason = f"The repository could not be read: {scan.problem}" if scan.problem and not scan.pending else _NOT_YET
        answer = without_scan(question.repository, question.window_days, CapabilityState.UNKNOWN, reason)
        return DatedReadiness(readiness=answer, generated_at=backends.clock.now())
    answer = await _assessed(backends, question, scan.result)
    if scan.pending or scan.problem is not None:
        return DatedReadiness(readiness=answer, generated_at=backends.clock.now())
    return await _kept(backends, question, answer)


async def _assessed(backends: Backends, question: Question, scan: Scan) -> Readiness:
    since = window_start(backends.clock.now(), question.window_days)
    async with backends.database.transaction() as tx:
        project = await projects.load(tx, question.project_id)
        assert project is not None
        counts = await readiness.counts(tx, question.project_id, question.repository, scan.event_names, since)
    return assess(question.repository, question.window_days, scan, project.switches, counts)


async def _kept(backends: Backends, question: Question, answer: Readiness) -> DatedReadiness:
    now = backends.clock.now()
    async with backends.database.statement() as tx:
        await readiness.cache(tx, question, answer, now)
    return DatedReadiness(readiness=answer, generated_at=now)


async def report_count(backends: Backends, caller: Caller, project: Project, reported: InsightCount) -> InsightCount:
    """Take down what an analytics system has counted for a day (UTC); the same day again replaces it.

    Raises InvalidError (attr `day`) for a day that has not come, or that no window of days reaches back to.
    """
    access.person(caller)
    today = backends.clock.now().date()
    if not today - timedelta(days=LONGEST_WINDOW_DAYS) <= reported.day <= today + timedelta(days=1):
        message = f"This must be one of the last {LONGEST_WINDOW_DAYS} days."
        raise InvalidError(message, attr="day", detail_code="invalid_input")
    async with backends.database.statement() as tx:
        await readiness.put_count(tx, project.id, reported)
    return reported
