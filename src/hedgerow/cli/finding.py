"""Finds the run that a person means, from as little as they care to type."""

from collections.abc import Iterator
from itertools import islice
from uuid import UUID

from hedgerow.client import Client, ClientError, Repository, Run, Task

_PAGE = 500
_MOST_TASKS = 10_000
_SHORT = 8
_FEWEST_CHARACTERS = 4


def short(run_id: str) -> str:
    """The end of a run's id, enough to name it: the beginning of a UUIDv7 is the time, alike for runs of one hour."""
    return run_id.replace("-", "")[-_SHORT:]


def find_run(client: Client, wanted: str) -> tuple[Task, Run]:
    """The run that `wanted` names: an id, the beginning or end of one, or the slug of a task for its latest run.

    Latest runs of all tasks are looked at first, in one call; only then the older runs. Raises ClientError where none or several fit.
    """
    slug, digits = wanted.strip().lower(), wanted.strip().lower().replace("-", "")
    tasks: list[Task] = []
    for task in islice(client.iterate_tasks(page=_PAGE), _MOST_TASKS):
        if task.slug.lower() == slug:
            return task, _latest(task)
        tasks.append(task)
    if len(digits) < _FEWEST_CHARACTERS or not set(digits) <= set("0123456789abcdef"):
        raise _unknown(wanted)
    latest = [(task, task.latest_run) for task in tasks if task.latest_run and _fits(task.latest_run, digits)]
    found = latest or list(_older(client, tasks, digits))
    if not found:
        raise _unknown(wanted)
    if len(found) > 1:
        names = ", ".join(run.id for _, run in found[:5])
        raise ClientError(f"{wanted!r} fits more than one run: {names}. Type more of the id.", code="usage")
    return found[0]


def find_task(client: Client, wanted: str) -> Task:
    """The task with that slug or id. Raises ClientError."""
    try:
        return client.retrieve_task(str(UUID(wanted)))
    except ValueError:
        pass
    for task in client.list_tasks(search=wanted):
        if task.slug.lower() == wanted.lower():
            return task
    raise ClientError(f"There is no task {wanted!r}.", code="usage")


def repository_of(client: Client, task: Task) -> Repository | None:
    """The registered repository of a task; one that is known by its name alone comes with that name as its address."""
    if task.repository is None:
        return None
    try:
        known = {repository.name: repository for repository in client.list_repositories()}
    except ClientError:
        known = {}
    return known.get(task.repository, Repository(name=task.repository, clone_url=task.repository))


def _latest(task: Task) -> Run:
    if task.latest_run is None:
        raise ClientError(f"The task {task.slug} has no run yet.", code="usage")
    return task.latest_run


def _older(client: Client, tasks: list[Task], digits: str) -> Iterator[tuple[Task, Run]]:
    """The fitting runs that are not the latest of their tasks. A whole id ends the search at its task."""
    for task in tasks:
        if task.latest_run is None:
            continue
        for run in client.iterate_runs(task):
            if _fits(run, digits):
                yield task, run
                if len(digits) == 32:
                    return


def _fits(run: Run, digits: str) -> bool:
    plain = run.id.replace("-", "").lower()
    return plain.startswith(digits) or plain.endswith(digits)


def _unknown(wanted: str) -> ClientError:
    return ClientError(f"There is no run {wanted!r}: name it by its id, the last characters of it, or the slug of its task.", code="usage")
