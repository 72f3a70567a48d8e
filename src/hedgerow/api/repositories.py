"""Which clone URL a repository's name stands for (contract 13.4)."""

from starlette.responses import Response

from hedgerow.api.calls import CurrentCall
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.paging import page
from hedgerow.api.schemas.repositories import RepositoryWrite, repository_detail
from hedgerow.operations import repositories


async def list_repositories(call: CurrentCall) -> Response:
    """The registered repositories of the project, by name."""
    part = call.window
    found = await repositories.list_repositories(call.backends, call.caller, call.project)
    shown = [repository_detail(repository) for repository in found[part.offset : part.offset + part.limit]]
    return JsonResponse(page(shown, len(found), part, call.url, call.request.query_params))


async def register_repository(call: CurrentCall, body: RepositoryWrite) -> Response:
    """Register where a repository is cloned from; the same name again replaces its URL."""
    repository = await repositories.register(
        call.backends,
        call.caller,
        call.project,
        name=body.name or None,
        clone_url=body.clone_url,
        setup_command=body.setup_command or None,
    )
    return JsonResponse(repository_detail(repository), 201)
