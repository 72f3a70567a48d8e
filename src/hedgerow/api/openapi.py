"""The OpenAPI document: FastAPI's description of the endpoints, put right where the contract says otherwise."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from pydantic import BaseModel

from hedgerow.api.description import error_examples, fastapi_options
from hedgerow.api.endpoints import Endpoint
from hedgerow.api.examples import Examples
from hedgerow.api.groups import GROUPS, group_of
from hedgerow.api.schemas.problems import FAMILIES, Problem

_SUMMARY = "Runs coding agents as tasks, in sandboxes, on your own machines."
_DESCRIPTION = (
    "A task says what is wanted; a run is one try at it by an agent in a sandbox; the journal of a run is everything that happened. "
    "Every path may be written without its last slash. Authenticate with `Authorization: Bearer <personal key>`. "
    "Errors have one of two shapes: `{type, code, detail, attr}` where the request is at fault, and `{error}` (or `{detail}` where a "
    "new run names something that is not there) where it is well formed and a rule forbids it. Only the first error is told. "
    "A field that may be null is described as OpenAPI 3.1 does it, by `anyOf` with `null`; OpenAPI 3.0 called that `nullable: true`."
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
    models: list[type[BaseModel]] = [Problem, *FAMILIES.values()]
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
    for endpoint in endpoints:
        _exemplify(document["paths"][endpoint.path][endpoint.method.lower()], endpoint, Examples(components["schemas"]))
    _share_errors(document)
    document["tags"] = _tags(endpoints)
    return document


def _tags(endpoints: Sequence[Endpoint]) -> list[dict[str, str]]:
    used = list(dict.fromkeys(group_of(endpoint) for endpoint in endpoints))
    ordered = [group for group in GROUPS if group in used] + [group for group in used if group not in GROUPS]
    return [{"name": group} | ({"description": GROUPS[group]} if group in GROUPS else {}) for group in ordered]


def _exemplify(operation: dict[str, Any], endpoint: Endpoint, examples: Examples) -> None:
    """Give the operation an example of what is sent and of what is answered."""
    for content in operation.get("requestBody", {}).get("content", {}).values():
        content["example"] = examples.body(content["schema"]) if endpoint.body_example is None else dict(endpoint.body_example)
    for status, answer in operation["responses"].items():
        if status >= "400":
            answer["content"]["application/json"]["examples"] = error_examples(endpoint, int(status))
    for media_type, content in operation["responses"][str(endpoint.status)].get("content", {}).items():
        if endpoint.answer_example is not None:
            content["example"] = endpoint.answer_example
        elif media_type == "application/json":
            content["example"] = examples.value(content["schema"])


def _share_errors(document: dict[str, Any]) -> None:
    """Write each error answer down once, however many operations give it."""
    shared: dict[str, Any] = document["components"].setdefault("responses", {})
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if status >= "400":
                    operation["responses"][status] = {"$ref": f"#/components/responses/{_shared_name(shared, status, answer)}"}


def _shared_name(shared: dict[str, Any], status: str, answer: dict[str, Any]) -> str:
    kinds = answer["content"]["application/json"]["schema"]
    references = [part["$ref"].rpartition("/")[2] for part in kinds.get("oneOf", [kinds])]
    name = f"{'Or'.join(references)}{status}"
    assert shared.setdefault(name, answer) == answer, "two error answers of one name differ"
    return name


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
