"""The document that describes the API."""

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

from hedgerow.api.docs import documentation_page
from hedgerow.api.openapi import describe, text_of
from hedgerow.api.routes import ENDPOINTS

COMMITTED = Path(__file__).parents[2] / "openapi.json"


@cache
def _document() -> dict[str, Any]:
    """The document, written once for all tests here, which only read it."""
    return describe(ENDPOINTS)


def test_the_committed_document_is_the_one_that_the_endpoints_give() -> None:
    assert COMMITTED.read_text() == text_of(_document()), "run scripts/openapi and commit the result"


def test_every_endpoint_is_described_once() -> None:
    document = _document()
    described = [(path, method.upper()) for path, methods in document["paths"].items() for method in methods]
    assert sorted(described) == sorted((endpoint.path, endpoint.method) for endpoint in ENDPOINTS)
    names = [operation["operationId"] for methods in document["paths"].values() for operation in methods.values()]
    assert len(set(names)) == len(names)


def test_every_reference_of_the_document_leads_somewhere() -> None:
    document = _document()
    known = {f"#/components/{kind}/{name}" for kind in ("schemas", "responses") for name in document["components"][kind]}
    assert set(_references(document)) <= known


def test_every_operation_tells_what_it_does_and_which_scope_it_needs() -> None:
    for methods in _document()["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert "security" in operation


def _references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for child in part.values() for found in _references(child)]
    return [found for child in part for found in _references(child)] if isinstance(part, list) else []


def _operations() -> list[tuple[str, dict[str, Any]]]:
    document = _document()
    return [(operation["operationId"], operation) for methods in document["paths"].values() for operation in methods.values()]


def test_every_operation_shows_what_is_sent_and_answered_and_the_examples_fit_their_schemas() -> None:
    document = _document()
    for name, operation in _operations():
        success = next(answer for status, answer in operation["responses"].items() if status < "300")
        contents = [*operation.get("requestBody", {}).get("content", {}).values(), *success.get("content", {}).values()]
        assert contents or "204" in operation["responses"], name
        for content in contents:
            schema = {"components": document["components"], **content["schema"]}
            jsonschema_rs.validator_for(schema).validate(content["example"])
    for shared in document["components"]["responses"].values():
        content = shared["content"]["application/json"]
        for example in content["examples"].values():
            jsonschema_rs.validator_for({"components": document["components"], **content["schema"]}).validate(example["value"])


def test_both_families_of_errors_stand_where_they_occur() -> None:
    told = {name: operation["responses"]["400"]["$ref"] for name, operation in _operations() if "400" in operation["responses"]}
    assert told["create_task"].endswith("/Problem400")
    assert told["send_command"].endswith("/ProblemOrRefusal400")
    assert told["run_task"].endswith("/ProblemOrRunRefusal400")
    assert told["start_run"].endswith("/ProblemOrRefusalOrRunRefusal400")
    command = dict(_operations())["send_command"]["responses"]
    assert command["502"]["$ref"].endswith("/Refusal502")


def test_every_operation_stands_in_a_group_and_those_that_need_no_key_say_so() -> None:
    groups = {tag["name"] for tag in _document()["tags"]}
    for name, operation in _operations():
        assert set(operation["tags"]) <= groups, name
    open_ones = {name for name, operation in _operations() if operation["security"] == []}
    assert open_ones == {endpoint.operation_id for endpoint in ENDPOINTS if endpoint.open}


def test_the_document_is_what_the_standard_asks_for() -> None:
    import schemathesis  # not above: it takes a second, which every worker that collects tests would spend

    schemathesis.openapi.from_dict(_document()).validate()


def test_the_page_shows_every_operation_with_its_examples_and_runs_no_script() -> None:
    document = _document()
    page = documentation_page(document)
    for name, operation in _operations():
        assert f'<article id="{name}">' in page
        assert f'href="#{name}"' in page
        assert operation["summary"] in page
    assert page.count("<pre>") >= len(_operations())
    assert "<script" not in page
    assert "src=" not in page
