"""The one table from error codes to HTTP, and the bodies of errors (contract 1.4).

E1 `{"type", "code", "detail", "attr"}` · E2 `{"error"}` · E3 `{"detail"}`, the last two with `missing_artifact_ids` where ids were unknown.
"""

from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from hedgerow.api.json_bytes import JsonResponse
from hedgerow.api.protocol_errors import UnreachableError
from hedgerow.domain.errors import HedgerowError, MissingArtifactError, RefusedError


@dataclass(frozen=True, slots=True)
class HttpError:
    """How an error looks over HTTP: its status, and the type and default code of its E1 body."""

    status: int
    type: str
    code: str


HTTP_ERRORS: dict[str, HttpError] = {
    "invalid": HttpError(400, "validation_error", "invalid_input"),
    "malformed": HttpError(400, "invalid_request", "parse_error"),
    "too_large": HttpError(400, "invalid_request", "body_too_large"),
    "unauthenticated": HttpError(401, "authentication_error", "not_authenticated"),
    "forbidden": HttpError(403, "authentication_error", "permission_denied"),
    "not_found": HttpError(404, "invalid_request", "not_found"),
    "method_not_allowed": HttpError(405, "invalid_request", "method_not_allowed"),
    "not_acceptable": HttpError(406, "invalid_request", "not_acceptable"),
    "conflict": HttpError(409, "invalid_request", "conflict"),
    "unsupported_media_type": HttpError(415, "invalid_request", "unsupported_media_type"),
    "limit_exceeded": HttpError(429, "throttled_error", "throttled"),
    "error": HttpError(500, "server_error", "error"),
    "unavailable": HttpError(503, "server_error", "unavailable"),
    "timed_out": HttpError(504, "server_error", "timed_out"),
}

_TOLD_AS_PARSE_ERRORS = frozenset({"parse_error"})
"""Refinements of "invalid" that operations find, and that the contract counts among the unreadable requests."""


def framework_body(error: HedgerowError) -> dict[str, Any]:
    """The E1 body of an error."""
    code = "malformed" if error.detail_code in _TOLD_AS_PARSE_ERRORS else error.code
    kind = HTTP_ERRORS.get(code, HTTP_ERRORS["error"])
    return {"type": kind.type, "code": error.detail_code or kind.code, "detail": error.message, "attr": error.attr}


def refusal_body(message: str, family: str = "error", missing_artifact_ids: list[str] | None = None) -> dict[str, Any]:
    """The E2 ("error") or E3 ("detail") body of a refusal."""
    body: dict[str, Any] = {family: message}
    if missing_artifact_ids is not None:
        body["missing_artifact_ids"] = missing_artifact_ids
    return body


def error_response(error: HedgerowError) -> Response:
    """The answer that tells an error."""
    if isinstance(error, RefusedError):
        return JsonResponse(refusal_body(error.message, error.family, error.missing_artifact_ids), 400)
    if isinstance(error, MissingArtifactError):
        return JsonResponse(refusal_body(error.message), 404)
    if isinstance(error, UnreachableError):
        return JsonResponse(refusal_body(error.message), 504 if error.late else 502)
    kind = HTTP_ERRORS.get(error.code, HTTP_ERRORS["error"])
    headers = {"WWW-Authenticate": "Bearer"} if kind.status == 401 else None
    return JsonResponse(framework_body(error), kind.status, headers)


def unexpected_response() -> Response:
    """The answer to a bug of ours: nothing of it is shown."""
    return error_response(HedgerowError("A server error occurred."))
