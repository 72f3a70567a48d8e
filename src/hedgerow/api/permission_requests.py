"""What agents ask leave for, and how it was answered. The answer itself is a command."""

from typing import Annotated

from fastapi import Query
from starlette.responses import Response

from hedgerow.api.calls import Call, CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.permission_requests import PermissionRequestQuery, permission_request_detail
from hedgerow.domain.permission_requests import PermissionRequest
from hedgerow.operations import permission_requests
from hedgerow.operations.pages import Page, Paging

StateQuery = Annotated[PermissionRequestQuery, Query()]


async def list_permission_requests(call: CurrentCall, query: StateQuery) -> Response:
    """The permission requests of a run, oldest first."""
    found = await permission_requests.list_permission_requests(
        call.backends, call.caller, call.project, call.task_id, call.run_id, query.state, _paging(call)
    )
    return _page(call, found)


async def list_project_permission_requests(call: CurrentCall, query: StateQuery) -> Response:
    """The permission requests of all runs of a project, oldest first. `state=waiting`: those that somebody has to answer."""
    found = await permission_requests.list_project_permission_requests(call.backends, call.caller, call.project, query.state, _paging(call))
    return _page(call, found)


def _paging(call: Call) -> Paging:
    return Paging(limit=call.window.limit, offset=call.window.offset)


def _page(call: Call, found: Page[PermissionRequest]) -> Response:
    shown = [permission_request_detail(request) for request in found.items]
    return JsonResponse(page(shown, found.count, call.window, call.url, call.request.query_params))
