"""Who calls: the key in the header, the body or the query, in this order (contract 1.2)."""

from starlette.requests import Request

from hedgerow.api.bodies import RequestBody, parse_body
from hedgerow.domain.access import Caller, Project, Scope
from hedgerow.domain.errors import HedgerowError
from hedgerow.operations import access
from hedgerow.operations.backends import Backends

KEY_FIELD = "personal_api_key"
KEY_BODY_BYTES = 1024 * 1024
"""The largest body that is read in search of a key, since anybody may send it."""


async def authenticate(backends: Backends, request: Request, body: RequestBody, scope: Scope | None) -> Caller:
    """The caller of a request, who holds `scope`. Raises UnauthenticatedError, ForbiddenError."""
    token = _bearer(request) or await _key_in_body(request, body) or request.query_params.get(KEY_FIELD) or None
    caller = await access.authenticate(backends, token)
    if scope is not None:
        access.require(caller, scope)
    return caller


async def project_of(backends: Backends, request: Request, caller: Caller) -> Project | None:
    """The project that the URL names, None where it names none. Raises NotFoundError, ForbiddenError."""
    reference = request.path_params.get("project_id")
    return None if reference is None else await access.project(backends, caller, reference)


def _bearer(request: Request) -> str | None:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    return value.strip() or None if scheme.lower() == "bearer" else None


async def _key_in_body(request: Request, body: RequestBody) -> str | None:
    if request.method not in {"POST", "PUT", "PATCH"}:
        return None
    try:
        fields = await parse_body(await body.read(KEY_BODY_BYTES), request.headers.get("content-type", ""))
    except HedgerowError:
        return None  # whoever shows no key hears of that first, whatever else is wrong
    value = fields.get(KEY_FIELD)
    return value.strip() or None if isinstance(value, str) else None
