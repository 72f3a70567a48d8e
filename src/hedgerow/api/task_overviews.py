"""What many tasks have in common, or look like in short (contract 3.4, 3.5)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.task_overviews import TaskSummaryRequest, task_summary
from hedgerow.operations import task_overviews
from hedgerow.operations.pages import Paging


async def task_repositories(call: CurrentCall) -> Response:
    """The repositories that the project's tasks name, for a picker. Internal tasks do not count."""
    return JsonResponse({"repositories": await task_overviews.task_repositories(call.backends, call.caller, call.project)})


async def summarize_tasks(call: CurrentCall, body: TaskSummaryRequest) -> Response:
    """The named tasks in short, newest first. To get the next page, send the same body to `next`."""
    part = call.window
    paging = Paging(limit=part.limit, offset=part.offset)
    found = await task_overviews.summarize_tasks(call.backends, call.caller, call.project, body.ids, paging)
    shown = [task_summary(summary) for summary in found.items]
    return JsonResponse(page(shown, found.count, part, call.url, call.request.query_params))
