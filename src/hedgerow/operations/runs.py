"""Runs: start one, list, create, retrieve (contract 3.6, 4, 5.1). `update_run` is in `run_updates`."""

from uuid import UUID

from hedgerow.domain.access import Caller, Project
from hedgerow.domain.runs import Environment, TaskRun
from hedgerow.domain.tasks import Task
from hedgerow.operations.backends import Backends
from hedgerow.operations.pages import Page, Paging
from hedgerow.operations.run_requests import RunRequest


async def run_task(backends: Backends, caller: Caller, project: Project, task_id: UUID, request: RunRequest) -> Task:
    """Create a cloud run and have it driven; the task with the new run as its latest (POST run/).

    Raises, in this order: InvalidError (fields), NotFoundError (task), RefusedError family "detail" (resume_from_run_id),
    InvalidError (effort after inheritance, authorship), RefusedError (sandbox environment, artifacts).
    """
    raise NotImplementedError


async def create_run(
    backends: Backends, caller: Caller, project: Project, task_id: UUID, request: RunRequest, environment: Environment
) -> TaskRun:
    """Create a run that nobody drives yet (POST runs/). Errors as `run_task`."""
    raise NotImplementedError


async def list_runs(backends: Backends, caller: Caller, project: Project, task_id: UUID, paging: Paging) -> Page[TaskRun]:
    """The runs of a task, newest first. Raises NotFoundError."""
    raise NotImplementedError


async def retrieve_run(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID) -> TaskRun:
    """A run. Raises NotFoundError; a run token reads its own run and those it resumes from."""
    raise NotImplementedError
