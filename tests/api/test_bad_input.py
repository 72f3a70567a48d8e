"""What is sent in error, or in bad faith: refused with its name, or kept as it is; never a 500, never changed silently."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from hedgerow.api.endpoints import Endpoint
from hedgerow.api.routes import ENDPOINTS
from hedgerow.operations.backends import Backends
from tests.api.conftest import MISSING, Served, somebody
from tests.api.live import reading
from tests.api.test_authentication import error

JSON = {"Content-Type": "application/json"}
WRITERS = [endpoint for endpoint in ENDPOINTS if endpoint.takes_body and not endpoint.open]
KEYED = [endpoint for endpoint in ENDPOINTS if not endpoint.open]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def served(backends: Backends, api: ASGIApp) -> AsyncIterator[Served]:
    """One person and project for all tests of this file: what is refused leaves nothing that others could stumble over."""
    async with somebody(backends, api) as served:
        yield served


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def standing(served: Served) -> str:
    """The URL of a run that nobody gets to change."""
    url, _ = await served.a_run()
    return url


def named(endpoint: Endpoint) -> str:
    """How a test of an endpoint is called."""
    return endpoint.operation_id


def address(endpoint: Endpoint, served: Served, url: str) -> str:
    """The path of an endpoint, filled in with the run at `url`."""
    parts = url.split("/")
    filled = endpoint.path.replace("{project_id}", str(served.project.id)).replace("{task_id}", parts[5]).replace("{run_id}", parts[7])
    while "{" in filled:
        filled = filled[: filled.index("{")] + MISSING + filled[filled.index("}") + 1 :]
    return filled


def nested(depth: int) -> Any:
    """Lists in lists."""
    value: Any = []
    for _ in range(depth - 1):
        value = [value]
    return value


@pytest.mark.parametrize("endpoint", WRITERS, ids=named)
async def test_every_endpoint_refuses_what_is_no_body(served: Served, standing: str, endpoint: Endpoint) -> None:
    path = address(endpoint, served, standing)
    for body in (b"{", b'{"a": NaN}', b'{"a": -Infinity}', b'{"a": "\xff"}', b'\xef\xbb\xbf{"a":', b"[" * 100_000, b'{"a":' * 100_000):
        response = await served.client.request(endpoint.method, path, content=body, headers=JSON)
        assert error(response) == (400, "invalid_request", "parse_error", None), body[:20]
    for body in (b"[]", b"1", b"null", b'"x"'):
        response = await served.client.request(endpoint.method, path, content=body, headers=JSON)
        assert error(response) == (400, "validation_error", "not_a_dict", None), body
    for media_type in ("text/plain", "application/xml", ""):
        response = await served.client.request(endpoint.method, path, content=b"{}", headers={"Content-Type": media_type})
        assert error(response) == (415, "invalid_request", "unsupported_media_type", None), media_type


@pytest.mark.parametrize("endpoint", WRITERS, ids=named)
async def test_every_endpoint_refuses_a_body_over_its_limit(served: Served, standing: str, endpoint: Endpoint) -> None:
    headers = {**JSON, "Content-Length": str(endpoint.limit_bytes + 1)}

    async def never() -> Any:
        raise AssertionError("the body is not read")
        yield b""

    response = await served.client.request(endpoint.method, address(endpoint, served, standing), content=never(), headers=headers)
    assert error(response) == (413, "invalid_request", "body_too_large", None)


@pytest.mark.parametrize("endpoint", WRITERS, ids=named)
async def test_every_endpoint_reads_no_body_as_an_empty_object(served: Served, endpoint: Endpoint) -> None:
    url, _ = await served.a_run()
    path = address(endpoint, served, url)
    answers = [await served.client.request(endpoint.method, path, headers=headers) for headers in ({}, JSON)]
    answers.append(await served.client.request(endpoint.method, path, json={}))
    assert len({answer.status_code for answer in answers}) == 1, [answer.text for answer in answers]
    assert answers[0].status_code in {200, 201, 400, 404}
    if answers[0].status_code == 400:
        assert answers[0].json().get("code") != "parse_error"


@pytest.mark.parametrize("endpoint", KEYED, ids=named)
async def test_every_endpoint_wants_a_key_before_anything_else(served: Served, standing: str, endpoint: Endpoint) -> None:
    headers = {**JSON, "Authorization": ""}
    for path in (address(endpoint, served, standing), address(endpoint, served, standing).rstrip("/")):
        response = await served.client.request(endpoint.method, path, headers=headers, content=b"{" if endpoint.takes_body else None)
        assert error(response) == (401, "authentication_error", "not_authenticated", None)
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", sorted({endpoint.path for endpoint in ENDPOINTS}))
async def test_every_path_tells_its_methods_and_refuses_others(served: Served, standing: str, path: str) -> None:
    known = {endpoint.method for endpoint in ENDPOINTS if endpoint.path == path}
    allowed = sorted(known | {"OPTIONS"} | ({"HEAD"} if "GET" in known else set()))
    endpoint = next(endpoint for endpoint in ENDPOINTS if endpoint.path == path)
    for address_ in (address(endpoint, served, standing), address(endpoint, served, standing).rstrip("/")):
        options = await served.client.options(address_)
        assert (options.status_code, options.headers["allow"]) == (200, ", ".join(allowed))
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "TRACE", "BREW"} - set(allowed):
            response = await served.client.request(method, address_)
            assert response.status_code == 405, method
            assert response.headers["allow"] == ", ".join(allowed)
            assert method == "HEAD" or error(response) == (405, "invalid_request", "method_not_allowed", None)


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in KEYED if "{project_id}" in endpoint.path], ids=named)
async def test_every_endpoint_knows_the_current_project_and_no_other_word_for_one(served: Served, endpoint: Endpoint) -> None:
    url, _ = await served.a_run()
    await served.client.patch(url, json={"status": "completed"})  # so that its stream ends
    path = address(endpoint, served, url)
    project = f"/projects/{served.project.id}/"
    body: dict[str, Any] | None = {} if endpoint.takes_body else None
    for word in ("0", "-1", "1e3", "\N{FULLWIDTH DIGIT NINE}", "9" * 400, "x", "@other", "%00", "1%00", "%2e%2e", "..%2f1"):
        response = await served.client.request(endpoint.method, path.replace(project, f"/projects/{word}/"), json=body)
        assert response.status_code == 404, word
    async with served.backends.database.statement() as tx:
        await tx.connection.execute("UPDATE users SET current_project_id = %s WHERE email = %s", [served.project.id, served.email])
    current = await served.client.request(
        endpoint.method, path.replace(project, "/projects/@current/"), json=body, headers=await served.key_with("*")
    )
    if current.status_code == 404:  # of something within the project
        assert current.json().get("detail") != "Project not found."


@pytest.mark.parametrize("endpoint", [endpoint for endpoint in KEYED if "_id}" in endpoint.path], ids=named)
async def test_ids_that_are_none_are_not_found(served: Served, standing: str, endpoint: Endpoint) -> None:
    parts = standing.split("/")
    artifact = {"id": "a", "name": "a.txt", "type": "plan", "content": "x", "size": 1, "storage_path": "a"}
    body = {"output": 1, "entries": [{}], "position": 1, "jsonrpc": "2.0", "method": "cancel", "ids": [MISSING], "name": "a/b"}
    body |= {
        "text": "x",
        "url": "https://team.slack.com/archives/C0123/p1700000000000100",
        "artifacts": [artifact],
        "storage_path": "a",
    }
    for bad in ("x", "%00", "%2e%2e", "..%2f..", "%ff", "1" * 5000, f"{MISSING}%00", f"{{{MISSING}}}", "urn:uuid:" + MISSING):
        path = endpoint.path.replace("{project_id}", str(served.project.id))
        if "_id}" not in path:
            continue
        name = path[path.rindex("{") : path.rindex("}") + 1]
        path = path.replace(name, bad).replace("{task_id}", parts[5]).replace("{run_id}", parts[7])
        response = await served.client.request(endpoint.method, path, json=body if endpoint.takes_body else None)
        if response.status_code != 405:  # the path may be another one then
            assert error(response)[:3] == (404, "invalid_request", "not_found"), (bad, response.text)


PLAIN_FIELDS = [
    ("POST", "{tasks}", "title", {}),
    ("POST", "{tasks}", "description", {}),
    ("POST", "{tasks}", "repository", {}),
    ("POST", "{tasks}", "ci_prompt", {}),
    ("POST", "{task}run/", "branch", {}),
    ("POST", "{task}run/", "pending_user_message", {}),
    ("POST", "{task}run/", "model", {"runtime_adapter": "claude"}),
    ("POST", "{task}run/", "signal_report_id", {}),
    ("POST", "{task}run/", "github_user_token", {}),
    ("PATCH", "{run}", "branch", {}),
    ("PATCH", "{run}", "stage", {}),
    ("PATCH", "{run}", "error_message", {}),
    ("POST", "{run}start/", "pending_user_message", {}),
    ("POST", "/api/personal_api_keys/", "label", {"scopes": ["task:read"]}),
]


@pytest.mark.parametrize(("method", "path", "field", "others"), PLAIN_FIELDS)
@pytest.mark.parametrize("text", ["a\x00b", "a\ud800b"], ids=["NUL", "surrogate"])
async def test_a_field_of_ours_refuses_what_no_text_column_holds(
    served: Served, standing: str, method: str, path: str, field: str, others: dict[str, Any], text: str
) -> None:
    filled = path.format(tasks=served.tasks, task=standing.partition("runs/")[0], run=standing)
    body = json.dumps({**others, field: text})
    response = await served.client.request(method, filled, content=body, headers=JSON)
    assert error(response) == (400, "validation_error", "invalid_input", field)


@pytest.mark.parametrize("field", ["state", "output"])
@pytest.mark.parametrize(
    "value",
    [
        '{"a\\u0000b": "\\u0000"}',
        '{"\\ud800": ["\\udfff", "\\ud83d\\ude00"]}',
        '{"n": %s}' % ("1" + "0" * 400),
        '{"n": -%s.5}' % ("9" * 30),
        '{"n": 1e308, "m": 5e-324, "z": -0.0}',
        '{"deep": %s}' % ("[" * 500 + "]" * 500),
        '{"deep": ' + '{"a":' * 500 + "1" + "}" * 501,
    ],
)
async def test_state_and_output_are_kept_as_they_were_sent(served: Served, field: str, value: str) -> None:
    url, _ = await served.a_run()
    response = await served.client.patch(url, content=f'{{"{field}": {value}}}', headers=JSON)
    assert response.status_code == 200, response.text[:300]
    wanted = json.loads(value)
    for answer in (response, await served.client.get(url)):
        shown = json.loads(answer.content)[field]
        assert {key: shown[key] for key in wanted} == wanted
    # It stays so through a later merge, in a list, and on the stream.
    assert (await served.client.patch(url, json={field: {"more": 1}})).status_code == 200
    listed = json.loads((await served.client.get(served.tasks)).content)["results"][0]["latest_run"][field]
    assert {key: listed[key] for key in wanted} == wanted
    assert (await served.client.get(f"{url}logs/")).status_code == 200
    if field == "output":
        assert (await served.client.patch(f"{url}set_output/", content=f'{{"output": {value}}}', headers=JSON)).json()[field] == wanted


@pytest.mark.parametrize("number", ["1e400", "-1e999", "NaN", "Infinity", "-Infinity", "9" * 5000])
@pytest.mark.parametrize("field", ["state", "output"])
async def test_a_number_that_nobody_could_keep_is_refused(served: Served, field: str, number: str) -> None:
    url, run = await served.a_run()
    response = await served.client.patch(url, content=f'{{"{field}": {{"n": {number}}}}}', headers=JSON)
    assert error(response) == (400, "invalid_request", "parse_error", None)
    assert (await served.client.get(url)).json()[field] == run[field]


@pytest.mark.parametrize(
    ("path", "body", "attr"),
    [
        ("{tasks}", '{"github_integration": %s}', "github_integration"),
        ("{tasks}summaries/", '{"ids": [%s]}', "ids__0"),
        ("{task}run/", '{"resume_from_run_id": %s}', "resume_from_run_id"),
    ],
)
async def test_a_huge_number_where_an_id_belongs_is_named(served: Served, standing: str, path: str, body: str, attr: str) -> None:
    filled = path.format(tasks=served.tasks, task=standing.partition("runs/")[0])
    response = await served.client.post(filled, content=body % ("1" + "0" * 400), headers=JSON)
    assert error(response)[0] == 400
    assert error(response)[3] == attr


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1", "1e400", "NaN", "0x10", "\N{FULLWIDTH DIGIT ONE}", "%00", ""])
async def test_limits_that_are_none_are_ignored(served: Served, number: str) -> None:
    await served.a_task()
    for name in ("limit", "offset"):
        response = await served.client.get(f"{served.tasks}?{name}={number}")
        assert response.status_code == 200
        json.loads(response.content)
    assert (await served.client.get(f"{served.tasks}?created_by={'9' * 400}")).status_code == 400


async def test_an_absurd_depth_is_a_parse_error_wherever_it_stands(served: Served) -> None:
    url, run = await served.a_run()
    deep = "[" * 100_000 + "]" * 100_000
    for method, path, body in (
        ("PATCH", url, '{"state": {"a": %s}}'),
        ("PATCH", url, '{"output": %s}'),
        ("POST", served.tasks, '{"json_schema": %s}'),
        ("POST", f"{url}append_log/", '{"entries": [{"a": %s}]}'),
        ("POST", f"{url}command/", '{"jsonrpc": "2.0", "method": "close", "params": {"a": %s}}'),
    ):
        response = await served.client.request(method, path, content=body % deep, headers=JSON)
        assert error(response) == (400, "invalid_request", "parse_error", None), path
    assert (await served.client.get(url)).json() | {"log_url": ""} == run | {"log_url": ""}


async def test_five_hundred_levels_are_fine_wherever_they_stand(served: Served) -> None:
    deep = nested(500)
    schema: dict[str, Any] = {}
    for _ in range(240):
        schema = {"properties": {"a": schema}}
    task = await served.a_task(json_schema=schema)
    assert task["json_schema"] == schema
    run = (await served.client.post(f"{served.tasks}{task['id']}/runs/", json={})).json()
    url = f"{served.tasks}{task['id']}/runs/{run['id']}/"
    entry = {"a": deep, "b": {"c": deep}}
    assert (await served.client.post(f"{url}append_log/", json={"entries": [entry]})).status_code == 200
    assert (await served.client.get(f"{url}session_logs/")).json() == [entry]
    answer = await served.client.patch(f"{url}set_output/", json={"output": {"b": deep}})
    assert answer.status_code in {200, 400}, answer.text
    task = await served.a_task(json_schema={"a": deep})
    assert task["json_schema"] == {"a": deep}


async def test_log_entries_are_kept_as_they_are_sent(served: Served) -> None:
    url, _ = await served.a_run()
    entry = '{"b":1.0e2,"a":"\\u0000 \\ud800 \\u00e9 é","n":1%s,"x":1e400,"a":2}' % ("0" * 400)
    response = await served.client.post(f"{url}append_log/", content=f'{{"entries": [{entry}]}}'.encode(), headers=JSON)
    assert response.status_code == 200, response.text
    assert (await served.client.get(f"{url}logs/")).content == entry.encode() + b"\n"
    assert (await served.client.get(f"{url}session_logs/")).content == b"[" + entry.encode() + b"]"


async def test_of_a_field_that_comes_twice_the_last_counts(served: Served) -> None:
    response = await served.client.post(served.tasks, content=b'{"title": "a", "title": "b"}', headers=JSON)
    assert response.json()["title"] == "b"
    url, _ = await served.a_run()
    await served.client.patch(url, content=b'{"state": {"k": 1}, "state": {"k": 2, "k": 3}}', headers=JSON)
    assert (await served.client.get(url)).json()["state"]["k"] == 3
    await served.client.post(f"{url}append_log/", content=b'{"entries": [1], "entries": [{"e": 1}]}', headers=JSON)
    assert (await served.client.get(f"{url}session_logs/")).json() == [{"e": 1}]


async def test_a_query_of_a_megabyte_is_answered(served: Served, api: ASGIApp) -> None:
    headers = {"Authorization": served.client.headers["Authorization"]}
    for query in ("search=" + "x" * 2**20, "&".join(f"a{n}={n}" for n in range(100_000)), "limit=" + "9" * 2**20, "a" * 2**20):
        async with reading(api, served.tasks, headers, query) as answer:
            assert answer.status in {200, 400}


async def test_forms_hold_plain_fields_and_nothing_hidden(served: Served) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert (await served.client.post(served.tasks, content=b"title=a+b&title=c&title=d", headers=form)).status_code == 400
    response = await served.client.post(served.tasks, content=b"title=%00", headers=form)
    assert error(response) == (400, "validation_error", "invalid_input", "title")
    response = await served.client.post(served.tasks, content=b"title=%ff", headers=form)
    assert error(response) == (400, "invalid_request", "parse_error", None)
    response = await served.client.post(served.tasks, content=b"&".join(b"a%d=1" % n for n in range(2000)), headers=form)
    assert error(response) == (400, "invalid_request", "parse_error", None)


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("text/event-stream", 200),
        ("*/*", 200),
        ("text/*", 200),
        ("", 200),
        ("application/json, text/event-stream;q=0.1", 200),
        ("TEXT/EVENT-STREAM", 200),
        ("application/json", 406),
        ("text/html", 406),
        ("text/event-stream;q=0", 406),
        ("text/event-stream;q=0.000, application/json", 406),
        ("text/event-stream;q=0, */*", 406),
        ("nonsense", 406),
        (",,", 200),
    ],
)
async def test_a_stream_is_for_those_who_accept_one(served: Served, accept: str, status: int) -> None:
    url, _ = await served.a_run()
    await served.client.patch(url, json={"status": "completed"})
    response = await served.client.get(f"{url}stream/", headers={"Accept": accept})
    assert response.status_code == status
    if status == 406:
        assert error(response) == (406, "invalid_request", "not_acceptable", None)
        assert (await served.client.get(f"{url}logs/", headers={"Accept": accept})).status_code == 200
