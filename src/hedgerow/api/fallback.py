"""What answers where no endpoint does: OPTIONS, methods that a path does not have, paths that are not there."""

from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from hedgerow.api.bodies import READ_MEDIA_TYPES
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.errors import error_response
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.protocol_errors import MethodNotAllowedError
from hedgerow.domain.errors import NotFoundError


def fallback_routes(endpoints: Iterable[Endpoint]) -> Mapping[str, Route]:
    """For each path a route that takes what its endpoints do not. It must stand directly behind theirs."""
    methods: dict[str, set[str]] = {}
    for endpoint in endpoints:
        methods.setdefault(endpoint.path, set()).add(endpoint.method)
    return {path: fallback_route(path, known) for path, known in methods.items()}


def fallback_route(path: str, methods: Iterable[str]) -> Route:
    """The route for all but `methods` of one path. HEAD goes with GET."""
    known = {"OPTIONS", *methods}
    allowed = known | {"HEAD"} if "GET" in known else known
    return Route(path, _Fallback(", ".join(sorted(allowed))), include_in_schema=False)


class _Fallback:
    """An ASGI application for the remaining methods of one path."""

    def __init__(self, allowed: str) -> None:
        self._allowed = allowed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answer(Request(scope))(scope, receive, send)

    def _answer(self, request: Request) -> Response:
        if request.method == "OPTIONS":
            description = {"renders": ["application/json"], "parses": READ_MEDIA_TYPES}
            response: Response = JsonResponse(description)
        else:
            response = error_response(MethodNotAllowedError(f'Method "{request.method[:20]}" is not allowed here.'))
        response.headers["Allow"] = self._allowed
        return response


async def not_found(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer for a path that is not there."""
    if scope["type"] == "http":
        await error_response(NotFoundError())(scope, receive, send)
    else:
        await send({"type": "websocket.close", "code": 1000})
