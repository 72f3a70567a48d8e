"""How a request becomes an answer: caller, body, fields, then the endpoint's own work (order of checks: contract 1.4).

FastAPI would read and check the body before any dependency runs, so that a stranger would hear of a bad field before a missing
key. Therefore the route itself authenticates and parses first, and gives FastAPI what it has parsed.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import structlog
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from hedgerow.api.authentication import authenticate, project_of
from hedgerow.api.bodies import RequestBody, parse_body
from hedgerow.api.calls import SCOPE_KEY, Call
from hedgerow.api.description import fastapi_options
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.errors import error_response, unexpected_response
from hedgerow.api.keeping import answered, once, sound_key
from hedgerow.api.proxies import facing
from hedgerow.api.schemas.runs import AGENTS
from hedgerow.api.validation import first_error
from hedgerow.domain.access import Caller, Project
from hedgerow.domain.errors import HedgerowError
from hedgerow.operations import throttles
from hedgerow.operations.backends import Backends

_LONG_SECONDS = 1.0  # after which nobody relies on what was known of a caller, here as in `operations.recent`

_log = structlog.get_logger()


class ContractRoute(APIRoute):
    """The route of an endpoint. It answers every error itself, in the body that the contract wants."""

    def __init__(self, endpoint: Endpoint, backends: Backends) -> None:
        self.declared = endpoint
        self.backends = backends
        self._places = asyncio.Semaphore(backends.rules.artifacts.inline_at_once) if endpoint.few_at_once else None
        super().__init__(endpoint.path, **fastapi_options(endpoint))
        if endpoint.direct:
            self.app = self._answer_plainly

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        """The handler that stands before FastAPI's own."""
        self._fields_then_handler = super().get_route_handler()
        return self._answer

    async def _answer_plainly(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        try:
            return await self._checked(request)
        except HedgerowError as error:
            return error_response(error)
        except (RequestValidationError, ValidationError) as error:
            return error_response(first_error(error.errors()))
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets an answer, and the operator the reason
            _log.exception("a request failed", method=request.method, path=request.url.path)
            return unexpected_response()

    async def _checked(self, request: Request) -> Response:
        endpoint, body = self.declared, RequestBody(request, self.backends.rules.sender_stall_seconds)
        backends = facing(self.backends, request)
        _drop_empty_values(request)
        if endpoint.open:
            return await endpoint.handler(request, backends)
        caller, project = await self._who(backends, request, body)
        if project is not None:
            await throttles.count_call(backends, caller, project)
        call = Call(request=request, backends=backends, caller=caller, of_project=project)
        return await self._with_body(call, body) if endpoint.takes_body else await self._called(call)

    async def _who(self, backends: Backends, request: Request, body: RequestBody) -> tuple[Caller, Project | None]:
        caller = await authenticate(backends, request, body, self.declared.scope)
        return caller, await project_of(backends, request, caller)

    async def _with_body(self, call: Call, body: RequestBody) -> Response:
        """The answer to a call that has a body. Where that was long in coming, its key may have been revoked meanwhile."""
        clock = asyncio.get_running_loop().time
        began, place = clock(), self._places if self._places is not None and body.may_be_large else None
        async with place or nullcontext():
            seconds = None if place is None else call.backends.rules.artifacts.inline_seconds
            raw = await body.read(self.declared.limit_bytes, seconds)
            if clock() - began > _LONG_SECONDS:
                await self._who(call.backends, call.request, body)
            return await self._called(replace(call, raw=raw))

    async def _called(self, call: Call) -> Response:
        endpoint = self.declared
        if not endpoint.idempotent or endpoint.plain:
            return await self._carry_out(call)
        call = replace(call, key=sound_key(call.request))
        if endpoint.keeps_answer:
            return await answered(call) or await self._carry_out(call)
        return await once(call, self._carry_out, held=call.key is not None and await self._lingers(call))

    async def _carry_out(self, call: Call) -> Response:
        if self.declared.plain:
            return await self.declared.handler(call)
        call.request.scope[SCOPE_KEY] = call
        AGENTS.set(call.backends.rules.agents)
        if self.declared.takes_body:
            _give_parsed(call.request, await parse_body(call.raw, call.request.headers.get("content-type", "")))
        return await self._fields_then_handler(call.request)

    async def _lingers(self, call: Call) -> bool:
        lingers = self.declared.lingers
        return lingers is not None and lingers(await parse_body(call.raw, call.request.headers.get("content-type", "")))


def _drop_empty_values(request: Request) -> None:
    """An empty value in the query counts as absent (contract 7.3)."""
    items = request.query_params.multi_items()
    if any(not value.strip() for _, value in items):
        request._query_params = QueryParams([(name, value) for name, value in items if value.strip()])  # noqa: SLF001


def _give_parsed(request: Request, fields: dict[str, Any]) -> None:
    """Let FastAPI find the parsed fields where it would look for a JSON body."""
    request._body = b"{}"  # noqa: SLF001 - Starlette keeps what it has read there, and has no other way in
    request._json = fields  # noqa: SLF001
    request.scope["headers"] = [
        *((name, value) for name, value in request.scope["headers"] if name != b"content-type"),
        (b"content-type", b"application/json"),
    ]
    request.__dict__.pop("_headers", None)
