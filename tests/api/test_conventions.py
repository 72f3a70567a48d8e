"""What holds for every endpoint (contract 1.1, 1.4, 13.1)."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from hedgerow.api import create_api
from hedgerow.api.bodies import ORDINARY_BODY_BYTES
from hedgerow.api.json_bytes import DEEPEST_NESTING
from hedgerow.db.database import Database
from tests.api.conftest import MISSING, PUBLIC_URL, Served
from tests.api.test_authentication import error


async def test_the_last_slash_may_be_left_out_everywhere(served: Served) -> None:
    without = served.tasks.rstrip("/")
    task = (await served.client.post(without, json={"title": "t"})).json()
    assert (await served.client.get(without)).json()["count"] == 1
    for method, path, status in (
        ("GET", "", 200),
        ("PATCH", "", 200),
        ("PUT", "", 200),
        ("GET", "/runs", 200),
        ("POST", "/runs", 201),
        ("DELETE", "", 204),
    ):
        response = await served.client.request(method, f"{without}/{task['id']}{path}", json={} if method != "GET" else None)
        assert response.status_code == status, (method, path)


@pytest.mark.parametrize("path", ["/nothing", "/api/", "/api/projects/", "/api/projects/1/tasks//", "/api/projects/1/tasks/a/b/c/"])
async def test_a_path_that_is_not_there_is_404(served: Served, path: str) -> None:
    assert error(await served.client.get(path)) == (404, "invalid_request", "not_found", None)


async def test_runs_are_neither_put_nor_deleted(served: Served) -> None:
    run, _ = await served.a_run()
    for method in ("PUT", "DELETE", "POST", "TRACE"):
        response = await served.client.request(method, run)
        assert error(response) == (405, "invalid_request", "method_not_allowed", None)
        assert response.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"


async def test_the_pages_are_only_read(served: Served) -> None:
    for path in ("/", "/api/docs/", "/api/schema"):
        response = await served.client.post(path)
        assert error(response) == (405, "invalid_request", "method_not_allowed", None)
        assert response.headers["allow"] == "GET, HEAD, OPTIONS"
        assert (await served.client.options(path)).status_code == 200


async def test_options_tells_the_methods(served: Served) -> None:
    response = await served.client.options(f"{served.tasks}{MISSING}/runs/{MISSING}/")
    assert response.status_code == 200
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, PATCH"
    assert response.json()["parses"] == ["application/json", "application/x-www-form-urlencoded", "multipart/form-data"]


async def test_head_answers_as_get_does_without_the_body(served: Served) -> None:
    run, _ = await served.a_run()
    for path in (served.tasks, run, f"{run}logs", f"{run}session_logs/", f"{run}stream/", "/health", "/"):
        head = await served.client.head(path)
        assert (head.status_code, head.content) == (200, b""), path
    assert (await served.client.head(f"{served.tasks}{MISSING}/")).status_code == 404
    assert (await served.client.head(run, headers={"Authorization": ""})).status_code == 401


async def test_an_empty_post_counts_as_an_empty_object(served: Served) -> None:
    task = await served.a_task()
    response = await served.client.post(f"{served.tasks}{task['id']}/run/", headers={"Content-Type": "application/json"})
    assert response.status_code == 200
    assert (await served.client.post(f"{served.tasks}{task['id']}/run/")).status_code == 200


async def test_unknown_fields_are_ignored(served: Served) -> None:
    task = await served.a_task(nonsense=1, id=MISSING, slug="x", latest_run={}, created_at="never")
    assert task["id"] != MISSING
    assert (await served.client.get(served.tasks, params={"nonsense": "1"})).status_code == 200


async def test_a_form_is_read_as_well(served: Served) -> None:
    response = await served.client.post(served.tasks, data={"title": "From a form", "internal": "true"})
    assert response.status_code == 201
    assert (response.json()["title"], response.json()["internal"]) == ("From a form", True)
    response = await served.client.post(served.tasks, files={"title": (None, "In parts")})
    assert response.json()["title"] == "In parts"
    assert (await served.client.post(served.tasks, files={"title": ("a.txt", b"x")})).status_code == 400


async def test_a_form_holds_lists_and_json_documents(served: Served) -> None:
    url, _ = await served.a_run()
    changed = await served.client.patch(url, data={"state": '{"kept": [1], "a": 1, "b": 2}', "output": '{"pr_url": "u"}'})
    assert (changed.status_code, changed.json()["output"]) == (200, {"pr_url": "u"})
    assert (await served.client.patch(url, data={"state_remove_keys": "a"})).json()["state"]["b"] == 2
    state = (await served.client.patch(url, data={"state_remove_keys": ["a", "b"]})).json()["state"]
    assert (state["kept"], "a" in state, "b" in state) == ([1], False, False)
    task_id = url.split("/")[5]
    assert (await served.client.post(f"{served.tasks}summaries/", data={"ids": task_id})).json()["count"] == 1
    sent = await served.client.patch(f"{url}set_output/", data={"output": "undefined"})
    assert error(sent) == (400, "validation_error", "invalid_input", "output")
    assert error(await served.client.patch(url, data={"state": "[1]"})) == (400, "validation_error", "not_a_dict", "state")
    assert error(await served.client.patch(url, json={"state_remove_keys": "a"})) == (
        400,
        "validation_error",
        "not_a_list",
        "state_remove_keys",
    )
    assert (await served.client.patch(url, json={"output": '{"a": 1}'})).json()["output"] == '{"a": 1}'


@pytest.mark.parametrize("media_type", ["text/plain", "application/xml", "application/octet-stream", ""])
async def test_other_media_types_are_415(served: Served, media_type: str) -> None:
    response = await served.client.post(served.tasks, content=b'{"title": "x"}', headers={"Content-Type": media_type})
    assert error(response) == (415, "invalid_request", "unsupported_media_type", None)


@pytest.mark.parametrize(
    "body",
    [b"{", b"nonsense", b'{"title": "\xff"}', b'{"output": NaN}', b'{"output": 1e999}', b'{"a": %b}' % (b"9" * 5000)],
)
async def test_what_is_no_json_is_a_parse_error(served: Served, body: bytes) -> None:
    for path in (served.tasks, f"{served.tasks}{MISSING}/runs/"):
        response = await served.client.post(path, content=body, headers={"Content-Type": "application/json"})
        assert error(response) == (400, "invalid_request", "parse_error", None)


async def test_deep_nesting_is_a_parse_error(served: Served) -> None:
    for depth in (DEEPEST_NESTING + 1, 100_000):
        body = b'{"json_schema": ' + b"[" * depth + b"]" * depth + b"}"
        response = await served.client.post(served.tasks, content=body, headers={"Content-Type": "application/json"})
        assert error(response) == (400, "invalid_request", "parse_error", None)


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"x"', b"true"])
async def test_a_body_that_is_no_object_is_refused(served: Served, body: bytes) -> None:
    response = await served.client.post(served.tasks, content=body, headers={"Content-Type": "application/json"})
    assert error(response) == (400, "validation_error", "not_a_dict", None)


async def test_a_body_over_the_limit_is_413(served: Served) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(ORDINARY_BODY_BYTES // 2**20 + 1):
            yield b" " * 2**20

    for content in (b" " * (ORDINARY_BODY_BYTES + 1), chunks()):
        response = await served.client.post(served.tasks, content=content, headers={"Content-Type": "application/json"})
        assert error(response) == (413, "invalid_request", "body_too_large", None)


async def test_a_bad_body_is_told_before_a_missing_object(served: Served) -> None:
    response = await served.client.patch(f"{served.tasks}{MISSING}/runs/{MISSING}/", json={"status": "odd"})
    assert error(response) == (400, "validation_error", "invalid_choice", "status")


async def test_only_the_first_error_is_told_in_the_order_of_the_fields(served: Served) -> None:
    response = await served.client.post(served.tasks, json={"internal": None, "description": 5, "title": "x" * 256})
    assert error(response) == (400, "validation_error", "max_length", "title")


async def test_every_answer_carries_a_request_id(served: Served) -> None:
    for path in ("/health", served.tasks, "/nothing", "/"):
        assert (await served.client.get(path)).headers["x-request-id"]
    assert (await served.client.get("/health", headers={"X-Request-Id": "mine-7"})).headers["x-request-id"] == "mine-7"
    for unsound in (b"a b", b"x" * 129, b"\xe9", b""):
        given = (await served.client.get("/health", headers={b"X-Request-Id": unsound})).headers["x-request-id"]
        assert given.encode() not in {unsound, b""}


async def test_an_unexpected_error_tells_nothing_of_itself(served: Served) -> None:
    closed = replace(served.backends, database=Database(served.backends.database.url))
    transport = httpx.ASGITransport(create_api(closed))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=served.client.headers) as client:
        response = await client.get(served.tasks)
    assert response.status_code in {500, 503}
    assert response.json()["type"] == "server_error"
    assert "pool" not in response.text.lower()


async def test_health_needs_no_key(served: Served) -> None:
    response = await served.client.get("/health", headers={"Authorization": ""})
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_the_pages_load_nothing_from_elsewhere(served: Served) -> None:
    front = await served.client.get("/", headers={"Authorization": ""})
    assert 'href="/api/docs/"' in front.text
    docs = await served.client.get("/api/docs/")
    assert docs.headers["content-type"].startswith("text/html")
    assert "append_log" in docs.text
    for page in (front.text, docs.text):
        assert "<script" not in page
        for loads in ("src=", "<link", "<iframe", "@import", "url(", 'href="http'):
            assert loads not in page


async def test_the_document_of_the_api_is_served(served: Served) -> None:
    document = (await served.client.get("/api/schema")).json()
    assert document["openapi"].startswith("3.1")


async def test_pages_link_to_the_public_url(served: Served) -> None:
    for _ in range(3):
        await served.a_task()
    first = (await served.client.get(served.tasks, params={"limit": 2})).json()
    assert first["count"] == 3
    assert first["next"].startswith(f"{PUBLIC_URL}{served.tasks}?")
    second: httpx.Response = await served.client.get(first["next"])
    assert len(second.json()["results"]) == 1
    assert second.json()["next"] is None
    assert (await served.client.get(second.json()["previous"])).json()["results"] == first["results"]


async def test_who_calls_too_often_hears_when_to_come_again(served: Served) -> None:
    limited = replace(served.backends, rules=replace(served.backends.rules, most_calls={3600: 2}))
    transport = httpx.ASGITransport(create_api(limited), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=served.client.headers) as client:
        answers = [await client.get(served.tasks) for _ in range(4)]
    refused = answers[-1]
    assert refused.status_code == 429
    assert 1 <= int(refused.headers["Retry-After"]) <= 3600
    assert refused.json()["type"] == "throttled_error"
    assert refused.json()["code"] == "throttled"
