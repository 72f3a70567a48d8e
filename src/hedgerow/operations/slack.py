"""Slack: the token of a project, and the threads that tasks are told in."""

from uuid import UUID

from hedgerow.db import integrations as rows
from hedgerow.db import projects, slack_threads
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import InvalidError, NotFoundError
from hedgerow.domain.integrations import Integration, IntegrationKind
from hedgerow.domain.relays import MappedThread, thread_of
from hedgerow.integrations.base import MessengerError
from hedgerow.operations import access, integrations
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
    async with backends.database.transaction() as tx:
        if await projects.load(tx, project_id) is None:
            raise NotFoundError(f"There is no project {project_id}.")
        earlier = await rows.of_project(tx, project_id, IntegrationKind.SLACK)
    workspace = await _whose(backends, token)
    made = await integrations.connect(backends, project_id, IntegrationKind.SLACK, display_name=workspace, secret=token)
    for old in earlier:
        await integrations.disconnect(backends, project_id, old.id)
    return made


async def _whose(backends: Backends, token: str) -> str:
    try:
        return await backends.messenger.whose(token)
    except MessengerError as problem:
        if problem.permanent:
            raise InvalidError(f"{problem.message} The token was not stored.", attr="token") from problem
        raise


async def disconnect_slack(backends: Backends, *, project_id: int) -> int:
    """Forget a project's own token; how many there were. Raises NotFoundError where there was none."""
    async with backends.database.transaction() as tx:
        connected = await rows.of_project(tx, project_id, IntegrationKind.SLACK)
    if not connected:
        raise NotFoundError(f"Project {project_id} has no Slack token of its own.")
    for integration in connected:
        await integrations.disconnect(backends, project_id, integration.id)
    return len(connected)


async def map_thread(backends: Backends, caller: Caller, project: Project, task_id: UUID, url: str) -> MappedThread:
    """Have the runs of a task told in the thread that a permalink leads to. Raises InvalidError (attr `url`), NotFoundError."""
    person = access.person(caller)
    mapped = _mapped(url)
    async with backends.database.transaction() as tx:
        await locked_task(tx, project, task_id)
        await slack_threads.put(tx, task_id, mapped, person.user.id, backends.clock.now())
    return mapped


async def map_thread_of_task(backends: Backends, *, project_id: int, task_id: UUID, url: str) -> MappedThread:
    """As `map_thread`, for the operator."""
    mapped = _mapped(url)
    async with backends.database.transaction() as tx:
        project = await projects.load(tx, project_id)
        if project is None:
            raise NotFoundError(f"There is no project {project_id}.")
        await locked_task(tx, project, task_id)
        await slack_threads.put(tx, task_id, mapped, None, backends.clock.now())
    return mapped


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
