"""Who calls, and whether they may."""

import hashlib
from uuid import UUID

from hedgerow.db import keys, projects, runs
from hedgerow.db.database import Transaction
from hedgerow.domain import run_tokens
from hedgerow.domain.access import Caller, PersonalCaller, Project, RunCaller, Scope, permits
from hedgerow.domain.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from hedgerow.domain.runs import TaskRun
from hedgerow.operations.backends import Backends


def key_hash(value: str) -> bytes:
    """What is stored of a personal key: its SHA-256. The value has 256 random bits, so that a slow hash would add nothing."""
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()


async def authenticate(backends: Backends, token: str | None) -> Caller:
    """The caller that a personal key or a run token stands for.

    Raises UnauthenticatedError with detail_code `not_authenticated` (no token) or `authentication_failed`. The epoch of a
    run token is checked by the operations, against the run they touch.
    """
    if not token:
        raise UnauthenticatedError(detail_code="not_authenticated")
    if token.startswith(run_tokens.PREFIX):
        return _run_caller(backends, token)
    value_hash = key_hash(token)
    return backends.callers.get(value_hash) or await _find_caller(backends, value_hash)


async def _find_caller(backends: Backends, value_hash: bytes) -> PersonalCaller:
    async with backends.database.statement() as tx:
        found = await keys.find(tx, value_hash)
        if found is None:
            raise UnauthenticatedError("This key is not known.", detail_code="authentication_failed")
        await keys.note_use(tx, found, backends.clock.now())
    backends.callers.put(value_hash, found.caller)
    return found.caller


def _run_caller(backends: Backends, token: str) -> RunCaller:
    signed_for = run_tokens.read(backends.rules.secrets, token)
    if signed_for is None:
        raise UnauthenticatedError("This run token was not signed here.", detail_code="authentication_failed")
    run_id, epoch = signed_for
    return RunCaller(run_id=run_id, epoch=epoch)


async def project(backends: Backends, caller: Caller, project_ref: str) -> Project:
    """The project of a URL: an integer, or `@current`.

    Raises NotFoundError where there is none, ForbiddenError where the caller is no member or the key is limited to others.
    A run token sees the project of its own run only.
    """
    if isinstance(caller, RunCaller):
        async with backends.database.statement() as tx:
            return await _project_of_run(tx, caller, project_ref)
    if project_ref == "@current":
        return await _project_of_person(backends, caller, caller.user.current_project_id)
    question = (caller.key_id, project_ref)
    known = backends.projects.get(question)
    if known is None:
        known = await _project_of_person(backends, caller, _integer(project_ref))
        backends.projects.put(question, known)
    return known


async def _project_of_person(backends: Backends, caller: PersonalCaller, project_id: int | None) -> Project:
    async with backends.database.statement() as tx:
        found = None if project_id is None else await projects.find_for(tx, project_id, caller.user.id)
    if found is None:
        raise NotFoundError("Project not found.")
    its_project, is_member = found
    if not is_member:
        raise ForbiddenError("You are not a member of this project.")
    if caller.project_ids is not None and its_project.id not in caller.project_ids:
        raise ForbiddenError("This key is limited to other projects.")
    return its_project


async def _project_of_run(tx: Transaction, caller: RunCaller, project_ref: str) -> Project:
    run = await runs.load(tx, caller.run_id)
    if run is None or project_ref not in {"@current", str(run.project_id)}:
        raise NotFoundError("Project not found.")
    found = await projects.load(tx, run.project_id)
    assert found is not None
    return found


def _integer(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None


def require(caller: Caller, scope: Scope) -> None:
    """Raise ForbiddenError, naming the scope, where the caller's key lacks it. Run tokens are limited by each operation instead."""
    if isinstance(caller, PersonalCaller) and not permits(caller.scopes, scope):
        raise ForbiddenError(f"This key lacks the scope {scope.value}.")


def person(caller: Caller) -> PersonalCaller:
    """The caller as a person; ForbiddenError for a run token, which may only read and write its own run."""
    if isinstance(caller, RunCaller):
        raise ForbiddenError("A run token may only read and write its own run.")
    return caller


def check_epoch(caller: Caller, run: TaskRun) -> None:
    """Raise ForbiddenError where a run token was replaced by a newer one."""
    if isinstance(caller, RunCaller) and caller.run_id == run.id and caller.epoch != run.execution.epoch:
        raise stale_token()


def stale_token() -> ForbiddenError:
    """The error of a run token that was replaced."""
    return ForbiddenError("Another worker has taken this run over, so this run token is not valid any more.")


async def readable_run(tx: Transaction, caller: Caller, its_project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """A run that the caller may read. Raises NotFoundError; a run token reads its own run and those it resumes from."""
    run = await runs.find(tx, its_project.id, task_id, run_id)
    if run is None:
        raise NotFoundError("Run not found.")
    if isinstance(caller, RunCaller):
        own = run if run.id == caller.run_id else await runs.load(tx, caller.run_id)
        if own is None or run.id not in await runs.resume_chain(tx, own):
            raise NotFoundError("Run not found.")
        check_epoch(caller, own)
    return run


async def locked_run(tx: Transaction, caller: Caller, its_project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """A run that the caller may write, its row locked. Raises NotFoundError; ForbiddenError for a run token of another run or epoch."""
    check_own(caller, run_id)
    run = await runs.find(tx, its_project.id, task_id, run_id, lock=True)
    if run is None:
        raise NotFoundError("Run not found.")
    check_epoch(caller, run)
    return run


def check_own(caller: Caller, run_id: UUID) -> None:
    """Raise ForbiddenError where a run token was made for another run."""
    if isinstance(caller, RunCaller) and caller.run_id != run_id:
        raise ForbiddenError("A run token may only write its own run.")
