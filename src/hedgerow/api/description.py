"""What FastAPI is told of an endpoint, so that it stands in the OpenAPI document with everything it may answer."""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from hedgerow.api.endpoints import Endpoint
from hedgerow.api.errors import HTTP_ERRORS
from hedgerow.api.groups import group_of
from hedgerow.api.schemas.problems import FAMILIES, Problem

_SENTENCES = {
    400: "The request does not make sense as it stands.",
    401: "No key, or one that is not known.",
    403: "The key lacks a scope, or its owner is no member of the project.",
    404: "Not found.",
    405: "This method is not allowed here.",
    408: "The body came too slowly, or stopped coming.",
    413: "The body is larger than this endpoint takes.",
    406: "The Accept header leaves no form in which this could be answered.",
    409: "The Idempotency-Key was used with another body, or what is to be changed is not to be changed any more.",
    415: "The body is neither JSON nor a form.",
    429: "Too many requests.",
    500: "An error of the server.",
    502: "The agent did not answer, or refused.",
    503: "Something that the server depends on did not answer.",
    504: "The agent, or a service that the server asks, did not answer in time.",
}

_PATH_FIELDS = {
    "project_id": "The project's number, or @current.",
    "task_id": "The task's id, a UUID.",
    "run_id": "The run's id, a UUID.",
    "integration_id": "The integration's number.",
    "installation_id": "The installation_id of one of the caller's own integrations.",
    "environment_id": "The sandbox environment's id, a UUID.",
    "key_id": "The personal key's id, a UUID.",
    "message_id": "The message's id, a UUID.",
}


def fastapi_options(endpoint: Endpoint) -> dict[str, Any]:
    """The arguments of APIRoute for an endpoint."""
    return {
        "endpoint": _described(endpoint) if endpoint.direct else endpoint.handler,
        "methods": [endpoint.method],
        "status_code": endpoint.status,
        "response_model": endpoint.answers,
        "response_class": JSONResponse if endpoint.answers else Response,
        "response_description": "Done.",
        "operation_id": endpoint.operation_id,
        "name": endpoint.operation_id,
        "summary": endpoint.operation_id.replace("_", " ").capitalize(),
        "responses": _responses(endpoint),
        "tags": [group_of(endpoint)],
        "openapi_extra": _extra(endpoint),
    }


def _described(endpoint: Endpoint) -> Any:
    """A stand-in with the name and docstring of a plain handler: its parameters mean nothing to FastAPI."""

    async def stand_in() -> Response:
        raise AssertionError("a plain endpoint is not called through FastAPI")

    stand_in.__doc__ = endpoint.handler.__doc__
    return stand_in


def _statuses(endpoint: Endpoint) -> list[int]:
    found = {404, 405, 500, 503, *endpoint.errors}
    if not endpoint.open:
        found |= {400, 401, 403, 429}
    if endpoint.takes_body:
        found |= {400, 408, 413, 415}
    if endpoint.idempotent:
        found.add(409)
    return sorted(found)


def _responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    answers: dict[int | str, dict[str, Any]] = {status: _error_answer(endpoint, status) for status in _statuses(endpoint)}
    success: dict[str, Any] = {"description": "Done."}
    if endpoint.headers:
        success["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in endpoint.headers.items()}
    if endpoint.answers is None and endpoint.status != 204:
        success["content"] = {endpoint.media_type: {"schema": _plain_schema(endpoint)}}
    return answers | {endpoint.status: success}


_REFUSED = frozenset({502, 504})
"""Statuses that only refusals have: no request is at fault."""


def _families(endpoint: Endpoint, status: int) -> tuple[str, ...]:
    """The families of refusals among the answers of a status (contract 1.4)."""
    return endpoint.refuses if status in endpoint.refuses_at or status in _REFUSED else ()


def _error_answer(endpoint: Endpoint, status: int) -> dict[str, Any]:
    """What a status of the endpoint says: an E1 body, a refusal, or either."""
    names = ([] if status in _REFUSED else [Problem.__name__]) + [FAMILIES[family].__name__ for family in _families(endpoint, status)]
    kinds = [{"$ref": f"#/components/schemas/{name}"} for name in names]
    content = {"schema": kinds[0] if len(kinds) == 1 else {"oneOf": kinds}}
    answer: dict[str, Any] = {"description": _SENTENCES[status], "content": {"application/json": content}}
    if status == 401:
        answer["headers"] = {"WWW-Authenticate": {"description": "Bearer", "schema": {"type": "string"}}}
    return answer


def error_examples(endpoint: Endpoint, status: int) -> dict[str, Any]:
    """An example of each body that a status of the endpoint may have."""
    examples = {} if status in _REFUSED else {"problem": {"value": _problem_example(status)}}
    return examples | {FAMILIES[family].__name__: {"value": {family: _SENTENCES[status]}} for family in _families(endpoint, status)}


def _problem_example(status: int) -> dict[str, Any]:
    if status == 400:
        return {"type": "validation_error", "code": "required", "detail": "This field is required.", "attr": "title"}
    kind = next(kind for kind in HTTP_ERRORS.values() if kind.status == status)
    return {"type": kind.type, "code": kind.code, "detail": _SENTENCES[status], "attr": None}


def _plain_schema(endpoint: Endpoint) -> dict[str, Any]:
    if endpoint.lists:
        return {"type": "array", "items": {}}
    if endpoint.media_type == "text/event-stream":
        return {"description": "Server-sent events. The data of each is one JSON object."}
    return {"type": "string"}


def _extra(endpoint: Endpoint) -> dict[str, Any]:
    extra: dict[str, Any] = {"parameters": [*_path_parameters(endpoint), *endpoint.parameters]}
    if endpoint.idempotent:
        extra["parameters"].append(_idempotency_key())
    if endpoint.takes is not None:
        reference = {"schema": {"$ref": f"#/components/schemas/{endpoint.takes.__name__}"}}
        extra["requestBody"] = {"required": True, "content": {"application/json": reference}}
    if endpoint.takes_form:
        extra["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}
    extra["security"] = [] if endpoint.open else [{"personal_api_key": [endpoint.scope.value] if endpoint.scope else []}]
    return extra


_FORM = {
    "type": "object",
    "description": "Every field of the form that was given, and the file as the last one.",
    "properties": {"file": {"type": "string", "format": "binary"}},
    "required": ["file"],
    "additionalProperties": {"type": "string"},
}


def _path_parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "description": _PATH_FIELDS[name], "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", endpoint.path)
    ]


def _idempotency_key() -> dict[str, Any]:
    return {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "The same key with the same body answers as the first time, and does nothing again.",
        "schema": {"type": "string", "maxLength": 255},
    }
