"""The HTTP API: tasks, runs, logs, streams and commands. `routes` lists every endpoint."""

from functools import cache
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from hedgerow.api.docs import documentation_page, front_page
from hedgerow.api.fallback import fallback_route, fallback_routes, not_found
from hedgerow.api.front import Front
from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.openapi import describe
from hedgerow.api.routes import ENDPOINTS
from hedgerow.api.routing import ContractRoute
from hedgerow.operations.backends import Backends

__all__ = ["create_api"]


def create_api(backends: Backends) -> ASGIApp:
    """The API as an ASGI application on `backends`. It opens and closes nothing: its owner does."""
    routes: list[BaseRoute] = []
    for path, fallback in fallback_routes(ENDPOINTS).items():
        # Path by path: the fallback of `tasks/repositories/` stands before the endpoints of `tasks/{task_id}/`.
        routes += [ContractRoute(endpoint, backends) for endpoint in ENDPOINTS if endpoint.path == path]
        routes.append(fallback)
    app = FastAPI(
        routes=[*_pages(), *routes],
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.router.default = not_found
    return Front(app)


def _pages() -> list[Route]:
    """What people and tools read: the front page, the documentation and the document that it is made from."""
    shown = {"/": _show_front, "/api/schema/": _show_document, "/api/docs/": _show_documentation}
    return [route for path, show in shown.items() for route in (Route(path, show), fallback_route(path, {"GET"}))]


@cache
def _document() -> dict[str, Any]:
    """Made when it is first asked for: a server that starts need not wait for it."""
    return describe(ENDPOINTS)


async def _show_front(_request: Request) -> Response:
    return HTMLResponse(front_page())


async def _show_document(_request: Request) -> Response:
    return JsonResponse(_document())


async def _show_documentation(_request: Request) -> Response:
    return HTMLResponse(documentation_page(_document()))
