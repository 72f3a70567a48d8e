"""What many tasks have in common, or look like in short (contract 3.4, 3.5)."""

from collections.abc import Sequence
from uuid import UUID

from hedgerow.db import task_overviews
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.tasks import TaskSummary
from hedgerow.operations import access
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging


async def task_repositories(backends: Backends, caller: Caller, project: Project) -> list[str]:
    """The repositories that the project's tasks name, each once, in alphabetical order; internal tasks do not count."""
    access.person(caller)
    async with backends.database.statement() as tx:
        return await task_overviews.repositories(tx, project.id)


async def summarize_tasks(backends: Backends, caller: Caller, project: Project, ids: Sequence[UUID], paging: Paging) -> Page[TaskSummary]:
    """The named tasks in short, newest first. What is unknown, deleted or of another project is left out; internal tasks are not."""
    access.person(caller)
    async with backends.database.statement() as tx:
        count, found = await task_overviews.summaries(tx, project.id, ids, paging.bounded_limit, paging.bounded_offset)
    return Page(count=count, items=found)
