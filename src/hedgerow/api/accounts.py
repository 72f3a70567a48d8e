"""The caller and their projects (contract 11.2)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.schemas.users import current_user, project_detail
from hedgerow.domain.errors import HedgerowError
from hedgerow.operations import access


async def retrieve_current_user(call: CurrentCall) -> Response:
    """The person whose key is used, with the project that `@current` stands for."""
    person = access.person(call.caller)
    try:
        project = await access.project(call.backends, call.caller, "@current")
    except HedgerowError:
        project = None  # no current project, or none that this key may see
    return JsonResponse(current_user(person.user, project))


async def retrieve_project(call: CurrentCall) -> Response:
    """A project that the caller is a member of."""
    access.person(call.caller)
    return JsonResponse(project_detail(call.project))
