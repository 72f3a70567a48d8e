"""Tasks: list, create, retrieve, change, delete (contract 3.1 to 3.3), POST run/ (3.6) and start/ (5.5)."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hedgerow.api.calls import Call, CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.runs import show_run
from hedgerow.api.schemas.runs import TaskRunBegin, TaskRunStart
from hedgerow.api.schemas.tasks import TaskQuery, TaskWrite, task_detail
from hedgerow.domain.tasks import Task
from hedgerow.operations import runs, starts, tasks
from hedgerow.operations.pages import Paging


def show_task(call: Call, task: Task) -> dict[str, object]:
    """A task in the shape of the contract, with its latest run."""
    return task_detail(task, None if task.latest_run is None else show_run(call, task.latest_run))


async def list_tasks(call: CurrentCall, query: Annotated[TaskQuery, Query()]) -> Response:
    """The project's tasks, newest first. All filters combine."""
    part = call.window
    found = await tasks.list_tasks(call.backends, call.caller, call.project, query.filters(), Paging(limit=part.limit, offset=part.offset))
    shown = [show_task(call, task) for task in found.items]
    return JsonResponse(page(shown, found.count, part, call.url, call.request.query_params))


async def create_task(call: CurrentCall, body: TaskWrite) -> Response:
    """Make a task."""
    task = await tasks.create_task(call.backends, call.caller, call.project, body.draft())
    return JsonResponse(show_task(call, task), 201)


async def retrieve_task(call: CurrentCall) -> Response:
    """A task with its latest run."""
    return JsonResponse(show_task(call, await tasks.retrieve_task(call.backends, call.caller, call.project, call.task_id)))


async def update_task(call: CurrentCall, body: TaskWrite) -> Response:
    """Change the fields that are sent."""
    task = await tasks.update_task(call.backends, call.caller, call.project, call.task_id, body.draft())
    return JsonResponse(show_task(call, task))


async def delete_task(call: CurrentCall) -> Response:
    """Hide a task and its runs."""
    await tasks.delete_task(call.backends, call.caller, call.project, call.task_id)
    return Response(status_code=204)


async def run_task(call: CurrentCall, body: TaskRunStart) -> Response:
    """Make a run and let an agent work on it. The answer is the task, with the new run as its latest."""
    task = await runs.run_task(call.backends, call.caller, call.project, call.task_id, body.request())
    return JsonResponse(show_task(call, task))


async def start_run(call: CurrentCall, body: TaskRunBegin) -> Response:
    """Let an agent work on a cloud run that was only created. The answer is the task, with its latest run."""
    task = await starts.start_run(call.backends, call.caller, call.project, call.task_id, call.run_id, body.request())
    return JsonResponse(show_task(call, task))
