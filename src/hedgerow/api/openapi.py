"""The OpenAPI document: FastAPI's description of the endpoints, put right where the contract says otherwise."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from hedgerow.api.description import fastapi_options
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.schemas.problems import Problem

_SUMMARY = "Runs coding agents as tasks, in sandboxes, on your own machines."
_DESCRIPTION = (
    "A task says what is wanted; a run is one try at it by an agent in a sandbox; the journal of a run is everything that happened. "
    "Every path may be written without its last slash. Authenticate with `Authorization: Bearer <personal key>`."
)


def describe(endpoints: Sequence[Endpoint]) -> dict[str, Any]:
    """The document of `endpoints`, in OpenAPI 3.1."""
    routes = [APIRoute(endpoint.path, **fastapi_options(endpoint)) for endpoint in endpoints]
    document = get_openapi(
        title="hedgerow", version=version("hedgerow"), summary=_SUMMARY, description=_DESCRIPTION, routes=routes, openapi_version="3.1.0"
    )
    components = document.setdefault("components", {})
    components["securitySchemes"] = {"personal_api_key": {"type": "http", "scheme": "bearer"}}
    schemas = components.setdefault("schemas", {})
    models: list[type[BaseModel]] = [Problem]
    models += [endpoint.takes for endpoint in endpoints if endpoint.takes is not None]
    for model in models:
        _add(schemas, model)
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    for path in document["paths"].values():
        for operation in path.values():
            operation["responses"].pop("422", None)
    components["schemas"] = dict(sorted(schemas.items()))
    _drop_null_defaults(document)
    return document


def text_of(document: dict[str, Any]) -> str:
    """The document as the project keeps it: one line a value, so that a change can be read."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _add(schemas: dict[str, Any], model: type[BaseModel]) -> None:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[model.__name__] = schema


def _drop_null_defaults(part: Any) -> None:
    """A field that is left out is not the same as one that is null, so null is nowhere a default."""
    if isinstance(part, dict):
        if "default" in part and part["default"] is None:
            del part["default"]
        for child in part.values():
            _drop_null_defaults(child)
    elif isinstance(part, list):
        for child in part:
            _drop_null_defaults(child)
