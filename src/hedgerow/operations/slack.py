"""Slack: the token of a project, and the threads that tasks are told in."""

from uuid import UUID

from hedgerow.db import projects, slack_threads
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.audit import Actor, ActorKind, AuditAction
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.domain.relays import MappedThread, thread_of
from hedgerow.integrations.base import MessengerError
from hedgerow.operations import access, audit, integrations
from hedgerow.operations.backends import Backends
from hedgerow.operations.tasks import find_task, locked_task


async def connect_slack(backends: Backends, *, project_id: int, token: str) -> Integration:
    """Give a project its own bot token, in the place of an earlier one, once Slack has said whose it is.

    Raises InvalidError where Slack does not take the token, NotFoundError for an unknown project, UnavailableError where Slack does not
    answer; then nothing is changed.
    """
    token = token.strip()
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise InvalidError("A bot token of Slack is one word, such as xoxb-….", attr="token")
    async with backends.database.statement() as tx:
        if await projects.load(tx, project_id) is None:
            raise NotFoundError(f"There is no project {project_id}.")
    workspace = await _whose(backends, token)
    return await integrations.connect(backends, project_id, IntegrationKind.SLACK, display_name=workspace, secret=token, alone=True)


async def _whose(backends: Backends, token: str) -> str:
    try:
        return await backends.messenger.whose(token)
    except MessengerError as problem:
        if problem.permanent:
            raise InvalidError(f"{problem.message} The token was not stored.", attr="token") from problem
        raise


async def disconnect_slack(backends: Backends, *, project_id: int) -> int:
    """Forget a project's own token; how many there were. Raises NotFoundError where there was none."""
    forgotten = await integrations.disconnect_kind(backends, project_id, IntegrationKind.SLACK)
    if not forgotten:
        raise NotFoundError(f"Project {project_id} has no Slack token of its own.")
    return forgotten


async def map_thread(backends: Backends, caller: Caller, project: Project, task_id: UUID, url: str) -> MappedThread:
    """Have the runs of a task told in the thread that a permalink leads to. Raises InvalidError (attr `url`), NotFoundError."""
    person = access.person(caller)
    mapped = _mapped(url)
    async with backends.database.transaction() as tx:
        await _map(backends, tx, caller, project, task_id, mapped, person.user.id)
    return mapped


async def map_thread_of_task(backends: Backends, *, project_id: int, task_id: UUID, url: str) -> MappedThread:
    """As `map_thread`, for the operator."""
    mapped = _mapped(url)
    async with backends.database.transaction() as tx:
        project = await projects.load(tx, project_id)
        if project is None:
            raise NotFoundError(f"There is no project {project_id}.")
        await _map(backends, tx, ActorKind.OPERATOR, project, task_id, mapped, None)
    return mapped


async def _map(
    backends: Backends, tx: Transaction, actor: Actor, project: Project, task_id: UUID, mapped: MappedThread, created_by: int | None
) -> None:
    await locked_task(tx, project, task_id)
    await slack_threads.put(tx, task_id, mapped, created_by, backends.clock.now())
    await audit.note(backends, tx, actor, AuditAction.SLACK_THREAD_MAP, project_id=project.id, task_id=task_id)


def _mapped(url: str) -> MappedThread:
    thread = thread_of(url)
    if thread is None:
        message = "This is no permalink of a Slack message, such as https://team.slack.com/archives/C0123456789/p1700000000000100."
        raise InvalidError(message, attr="url", detail_code="invalid_input")
    return MappedThread(thread, url.strip())


async def mapped_thread(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> MappedThread:
    """The thread that a task is mapped to. Raises NotFoundError."""
    access.person(caller)
    async with backends.database.transaction() as tx:
        await find_task(tx, project, task_id)
        mapped = await slack_threads.load(tx, task_id)
    if mapped is None:
        raise NotFoundError("This task is mapped to no Slack thread.")
    return mapped


async def unmap_thread(backends: Backends, caller: Caller, project: Project, task_id: UUID) -> None:
    """Forget the thread of a task. What is queued already is still posted. Raises NotFoundError."""
    access.person(caller)
    async with backends.database.transaction() as tx:
        await locked_task(tx, project, task_id)
        if not await slack_threads.remove(tx, task_id):
            raise NotFoundError("This task is mapped to no Slack thread.")
        await audit.note(backends, tx, caller, AuditAction.SLACK_THREAD_UNMAP, project_id=project.id, task_id=task_id)
