"""Scans a repository that somebody has asked about, on this machine's own mirror of it."""

from dataclasses import dataclass
from uuid import UUID

import structlog

from hedgerow.db import repository_scans
from hedgerow.db.repository_scans import RepositoryScan
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.repository_scans import Scan
from hedgerow.lifecycle.github import project_login
from hedgerow.lifecycle.node import Node
from hedgerow.operations import repositories

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    commit: str | None
    result: Scan | None
    problem: str | None = None


async def scan_repository(node: Node, scan_id: UUID) -> None:
    """Do a scan that is wanted, and write down what came of it. Safe to call at any time, twice, or after a crash of an earlier call."""
    async with node.backends.database.statement() as tx:
        wanted = await repository_scans.load(tx, scan_id)
    if wanted is None or not wanted.pending:
        return
    tried_at = node.backends.clock.now()
    with structlog.contextvars.bound_contextvars(project_id=wanted.project_id, repository=wanted.repository):
        outcome = await _outcome(node, wanted)
    async with node.backends.database.statement() as tx:
        await repository_scans.finish(tx, wanted, tried_at=tried_at, commit=outcome.commit, result=outcome.result, problem=outcome.problem)
    node.backends.hub.changed(scan_id)


async def _outcome(node: Node, wanted: RepositoryScan) -> _Outcome:
    try:
        return await _scanned(node, wanted)
    except HedgerowError as error:
        log.warning("a repository could not be scanned", reason=error.message)
        return await _failed(node, wanted, error.message)
    except Exception:
        log.exception("a repository could not be scanned")
        return await _failed(node, wanted, "An error of the server; its log tells more.")


async def _scanned(node: Node, wanted: RepositoryScan) -> _Outcome:
    clone_url = await repositories.resolve(node.backends, wanted.project_id, wanted.repository)
    login = await project_login(node, wanted.project_id, clone_url)
    commit = await node.repositories.fetch_default_branch(project_id=wanted.project_id, clone_url=clone_url, login=login)
    result = await node.repositories.scan(project_id=wanted.project_id, clone_url=clone_url, commit=commit, limits=node.scan_limits)
    log.info("a repository was scanned", commit=commit, files=result.files_scanned)
    return _Outcome(commit=commit, result=result)


async def _failed(node: Node, wanted: RepositoryScan, problem: str) -> _Outcome:
    """What an earlier scan has found stays. Otherwise a repository that this machine has a mirror of counts as one with nothing in it."""
    if wanted.result is not None:
        return _Outcome(commit=wanted.commit, result=wanted.result, problem=problem)
    return _Outcome(commit=None, result=Scan() if await _has_mirror(node, wanted) else None, problem=problem)


async def _has_mirror(node: Node, wanted: RepositoryScan) -> bool:
    try:
        clone_url = await repositories.resolve(node.backends, wanted.project_id, wanted.repository)
        return node.repositories.mirror(project_id=wanted.project_id, clone_url=clone_url).exists()
    except HedgerowError:
        return False
