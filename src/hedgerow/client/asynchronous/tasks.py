"""Tasks (contract 3)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Unpack

from hedgerow.client import answers
from hedgerow.client.asynchronous.caller import Caller
from hedgerow.client.calls import Call, Repeat, delete, get, patch, post
from hedgerow.client.places import TaskPlace, task_path

if TYPE_CHECKING:
    from hedgerow.client.answers.pages import Page
    from hedgerow.client.answers.readiness import RepositoryReadiness
    from hedgerow.client.answers.tasks import Task, TaskSummary
    from hedgerow.client.fields import RunFields, TaskFields, TaskFilters


class TaskCalls(Caller):
    """What one can do with tasks."""

    async def list_tasks(self, *, limit: int = 100, offset: int = 0, **filters: Unpack[TaskFilters]) -> Page[Task]:
        """Tasks with their latest runs, newest first: one page of at most 1,000."""
        return await self._ask(get("tasks/", limit=limit, offset=offset, **filters), answers.pages.page_of(answers.tasks.task_from))

    async def iterate_tasks(self, *, page: int = 500, **filters: Unpack[TaskFilters]) -> AsyncIterator[Task]:
        """Every task that passes the filters, newest first, page by page.

        A task that is made meanwhile is not among them, and where one is deleted meanwhile another may be left out.
        """
        seen: set[str] = set()
        offset, more = 0, True
        while more:
            tasks = await self.list_tasks(limit=page, offset=offset, **filters)
            for task in tasks:
                if task.id not in seen:  # a new task moves the others to later pages
                    seen.add(task.id)
                    yield task
            offset, more = offset + len(tasks), tasks.has_more and len(tasks) > 0

    async def create_task(self, **fields: Unpack[TaskFields]) -> Task:
        """A new task; the server makes a title where none is given."""
        body = {"origin_product": "user_created", **fields}
        return await self._ask(post("tasks/", body, repeat=Repeat.UNDER_ITS_KEY), answers.tasks.task_from)

    async def retrieve_task(self, task: TaskPlace | str) -> Task:
        """The task as it stands now."""
        return await self._ask(get(task_path(task)), answers.tasks.task_from)

    async def update_task(self, task: TaskPlace | str, **fields: Unpack[TaskFields]) -> Task:
        """Change fields of a task; the others stay as they are."""
        return await self._ask(patch(task_path(task), {**fields}), answers.tasks.task_from)

    async def replace_task(self, task: TaskPlace | str, **fields: Unpack[TaskFields]) -> Task:
        """The same by PUT, which leaves fields that are not given as they are, too."""
        return await self._ask(Call(method="PUT", path=task_path(task), body={**fields}), answers.tasks.task_from)

    async def delete_task(self, task: TaskPlace | str) -> None:
        """Delete a task; its runs can no longer be reached."""
        await self._answer(delete(task_path(task)))

    async def run_task(self, task: TaskPlace | str, **fields: Unpack[RunFields]) -> Task:
        """Make a run and start it; the answered task has it as its latest run."""
        return await self._ask(post(f"{task_path(task)}run/", {**fields}, repeat=Repeat.UNDER_ITS_KEY), answers.tasks.task_from)

    async def summarize_tasks(self, ids: Sequence[str], *, limit: int = 100, offset: int = 0) -> Page[TaskSummary]:
        """Tasks in short, newest first: one page of those with the ids, of which 5,000 may be given. Unknown ones are left out."""
        call = post("tasks/summaries/", {"ids": list(ids)}, repeat=Repeat.FREELY, limit=limit, offset=offset)
        return await self._ask(call, answers.pages.page_of(answers.tasks.summary_from))

    async def task_repositories(self) -> list[str]:
        """The repositories that the project's tasks name, in alphabetical order."""
        return await self._ask(get("tasks/repositories/"), answers.tasks.repositories_from)

    async def repository_readiness(self, repository: str, *, window_days: int = 7, refresh: bool = False) -> RepositoryReadiness:
        """How ready a repository is for insights, by what was seen in it; `refresh` looks anew instead of answering from a cache."""
        call = get("tasks/repository_readiness/", repository=repository, window_days=window_days, refresh=refresh)
        return await self._ask(call, answers.readiness.readiness_from)
