"""Sandbox environments: list, create, retrieve, change, delete (contract 11.1)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.sandbox_environments import SandboxEnvironmentUpdate, SandboxEnvironmentWrite, detail, list_item
from hedgerow.operations import sandbox_environments
from hedgerow.operations.pages import Paging

_ID = "environment_id"


async def list_sandbox_environments(call: CurrentCall) -> Response:
    """The project's public sandbox environments and the caller's own, newest first."""
    part = call.window
    paging = Paging(limit=part.limit, offset=part.offset)
    found = await sandbox_environments.list_sandbox_environments(call.backends, call.caller, call.project, paging)
    return JsonResponse(page([list_item(each) for each in found.items], found.count, part, call.url, call.request.query_params))


async def create_sandbox_environment(call: CurrentCall, body: SandboxEnvironmentWrite) -> Response:
    """Make a sandbox environment. It is the caller's alone unless `private` is false."""
    made = await sandbox_environments.create_sandbox_environment(call.backends, call.caller, call.project, body.draft())
    return JsonResponse(detail(made), 201)


async def retrieve_sandbox_environment(call: CurrentCall) -> Response:
    """A sandbox environment. Whether it has variables is shown, and none of them."""
    found = await sandbox_environments.retrieve_sandbox_environment(call.backends, call.caller, call.project, call.path_id(_ID))
    return JsonResponse(detail(found))


async def update_sandbox_environment(call: CurrentCall, body: SandboxEnvironmentUpdate) -> Response:
    """Change the fields that are sent, for the runs that begin afterwards."""
    environment_id = call.path_id(_ID)
    changed = await sandbox_environments.update_sandbox_environment(call.backends, call.caller, call.project, environment_id, body.draft())
    return JsonResponse(detail(changed))


async def delete_sandbox_environment(call: CurrentCall) -> Response:
    """Forget a sandbox environment with its variables."""
    await sandbox_environments.delete_sandbox_environment(call.backends, call.caller, call.project, call.path_id(_ID))
    return Response(status_code=204)
