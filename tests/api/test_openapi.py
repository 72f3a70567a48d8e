"""The document that describes the API."""

from pathlib import Path

from hedgerow.api.openapi import describe, text_of
from hedgerow.api.routes import ENDPOINTS

COMMITTED = Path(__file__).parents[2] / "openapi.json"


def test_the_committed_document_is_the_one_that_the_endpoints_give() -> None:
    assert COMMITTED.read_text() == text_of(describe(ENDPOINTS)), "run scripts/openapi and commit the result"


def test_every_endpoint_is_described_once() -> None:
    document = describe(ENDPOINTS)
    described = [(path, method.upper()) for path, methods in document["paths"].items() for method in methods]
    assert sorted(described) == sorted((endpoint.path, endpoint.method) for endpoint in ENDPOINTS)
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = describe(ENDPOINTS)
    known = {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}
    assert set(_references(document)) <= known


def test_every_operation_tells_what_it_does_and_which_scope_it_needs() -> None:
    for methods in describe(ENDPOINTS)["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert "security" in operation


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for child in part.values() for found in _references(child)]
    return [found for child in part for found in _references(child)] if isinstance(part, list) else []
