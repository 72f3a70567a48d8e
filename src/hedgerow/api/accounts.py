"""The caller, their projects and their keys (contract 11.2, 13.4)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.schemas.users import CurrentUserWrite, PersonalKeyWrite, ProjectUpdate, current_user, new_personal_key, project_detail
from hedgerow.domain.errors import HedgerowError
from hedgerow.operations import access, accounts, projects


async def retrieve_current_user(call: CurrentCall) -> Response:
    """The person whose key is used, with the project that `@current` stands for."""
    person = access.person(call.caller)
    try:
        project = await access.project(call.backends, call.caller, "@current")
    except HedgerowError:
        project = None  # no current project, or none that this key may see
    own = await accounts.own_projects(call.backends, call.caller)
    team = next((each for each in own if project is not None and each.id == project.id), None)
    return JsonResponse(current_user(person.user, team, own))


async def update_current_user(call: CurrentCall, body: CurrentUserWrite) -> Response:
    """Choose the current organization. Everybody belongs to the one that there is, so that nothing else can be chosen."""
    accounts.choose_organization(call.caller, body.set_current_organization)
    return await retrieve_current_user(call)


async def retrieve_project(call: CurrentCall) -> Response:
    """A project that the caller is a member of."""
    return JsonResponse(project_detail(await projects.retrieve_project(call.backends, call.caller, call.project)))


async def update_project(call: CurrentCall, body: ProjectUpdate) -> Response:
    """Turn on or off what the readiness of the project's repositories depends on. What is not sent stays as it is."""
    return JsonResponse(project_detail(await projects.update_project(call.backends, call.caller, call.project, body.switches())))


async def create_personal_key(call: CurrentCall, body: PersonalKeyWrite) -> Response:
    """Make a further personal key. Its value is shown this once; only a hash of it is kept."""
    scopes = [scope.value for scope in body.scopes]
    key, value = await accounts.create_own_key(
        call.backends, call.caller, label=body.label, scopes=scopes, project_ids=body.scoped_teams or []
    )
    return JsonResponse(new_personal_key(key, value), 201, {"Cache-Control": "no-store"})
