"""Where the files of a run come from, and how its task is called."""

from dataclasses import dataclass
from pathlib import Path

from hedgerow.db import executions
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.runs import EndReason, TaskRun
from hedgerow.lifecycle.ends import EndsRunError
from hedgerow.lifecycle.node import Node
from hedgerow.operations import repositories


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """A task's repository. `clone_url` is None for a task without one: its agent works in an empty folder."""

    task_slug: str
    task_title: str
    clone_url: str | None
    mirror: Path | None  # what the workspace borrows its objects from

    @property
    def mirror_folder(self) -> Path | None:
        """What the sandbox must see beside the workspace. It can be mounted before the mirror is made."""
        return None if self.mirror is None else self.mirror.parent


async def origin_of(node: Node, run: TaskRun) -> Origin:
    """The origin of a run. Raises EndsRunError where the repository's name leads nowhere."""
    async with node.backends.database.transaction() as tx:
        task = await executions.task_words(tx, run)
    if task.repository is None:
        return Origin(task_slug=task.slug, task_title=task.title, clone_url=None, mirror=None)
    try:
        clone_url = await repositories.resolve(node.backends, run.project_id, task.repository)
        mirror = node.repositories.mirror(project_id=run.project_id, clone_url=clone_url)
    except HedgerowError as error:
        raise EndsRunError(EndReason.START_FAILED, error.message) from error
    return Origin(task_slug=task.slug, task_title=task.title, clone_url=clone_url, mirror=mirror)
