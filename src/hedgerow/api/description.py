"""What FastAPI is told of an endpoint, so that it stands in the OpenAPI document with everything it may answer."""

import re
from typing import Any

from starlette.responses import JSONResponse, Response

from hedgerow.api.endpoints import Endpoint
from hedgerow.api.schemas.problems import Problem

_SENTENCES = {
    400: "The request does not make sense as it stands.",
    401: "No key, or one that is not known.",
    403: "The key lacks a scope, or its owner is no member of the project.",
    404: "Not found.",
    405: "This method is not allowed here.",
    406: "The Accept header leaves no form in which this could be answered.",
    409: "The Idempotency-Key was used with another body.",
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
        found |= {400, 415}
    if endpoint.idempotent:
        found.add(409)
    return sorted(found)


def _responses(endpoint: Endpoint) -> dict[int | str, dict[str, Any]]:
    problem = {"application/json": {"schema": {"$ref": f"#/components/schemas/{Problem.__name__}"}}}
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": _SENTENCES[status], "content": problem} for status in _statuses(endpoint)
    }
    success: dict[str, Any] = {"description": "Done."}
    if endpoint.headers:
        success["headers"] = {name: {"description": text, "schema": {"type": "string"}} for name, text in endpoint.headers.items()}
    if endpoint.answers is None and endpoint.status != 204:
        success["content"] = {endpoint.media_type: {"schema": _plain_schema(endpoint)}}
    return answers | {endpoint.status: success}


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
    extra["security"] = [] if endpoint.open else [{"personal_api_key": [endpoint.scope.value] if endpoint.scope else []}]
    return extra


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
