"""Whatever is sent, the API answers as its own document says, and never with an error of the server."""

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable

from hedgerow.api import create_api
from hedgerow.api.openapi import describe
from hedgerow.api.routes import ENDPOINTS
from tests.api.conftest import opened, populate
from tests.api.serving import QuietServer, quiet_config

QUICK = settings(
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@dataclass(frozen=True)
class Target:
    """A server in a thread of its own, with a task and a run to aim at."""

    client: httpx.Client
    ids: dict[str, str]

    @property
    def run(self) -> str:
        return "/api/projects/{project_id}/tasks/{task_id}/runs/{run_id}/".format(**self.ids)


@asynccontextmanager
async def _serving(database_url: str) -> AsyncIterator[Target]:
    async with opened(database_url, stream_limit_seconds=0.01) as backends:
        project, _, key = await populate(backends)
        server = QuietServer(quiet_config(create_api(backends)))
        serving = asyncio.ensure_future(server.serve())
        await server.serving.wait()
        url, headers = f"http://127.0.0.1:{server.port}", {"Authorization": f"Bearer {key}"}
        async with httpx.AsyncClient(base_url=url, headers=headers) as caller:
            task = (await caller.post(f"/api/projects/{project.id}/tasks/", json={})).json()["id"]
            body = {"pending_user_message": "Mend it"}
            run = (await caller.post(f"/api/projects/{project.id}/tasks/{task}/run/", json=body)).json()["latest_run"]["id"]
            inbox = (await caller.get(f"/api/projects/{project.id}/tasks/{task}/runs/{run}/messages/")).json()["results"]
        with httpx.Client(base_url=url, headers=headers) as client:
            yield Target(client, {"project_id": str(project.id), "task_id": task, "run_id": run, "message_id": inbox[0]["id"]})
        server.should_exit = True
        await serving


@pytest.fixture(scope="module")
def target(api_database_url: str) -> Iterator[Target]:
    """The server under fire: in a thread, because schemathesis and hypothesis call from outside of any loop."""
    found: list[Target] = []
    ready, done = threading.Event(), threading.Event()

    async def main() -> None:
        async with _serving(api_database_url) as target:
            found.append(target)
            ready.set()
            await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert ready.wait(timeout=30)
    yield found[0]
    done.set()
    thread.join(timeout=30)


@dataclass(frozen=True)
class Calls:
    """What schemathesis makes of the document. Importing it takes a second, which every worker that collects tests would spend."""

    operations: dict[str, Any]
    session: Any
    checks: list[Any]

    def strategy(self, operation: str, mode: str) -> st.SearchStrategy[Any]:
        """Calls of an operation: sound ones where `mode` is "positive", others where it is "negative"."""
        from schemathesis import GenerationMode

        strategy: st.SearchStrategy[Any] = self.operations[operation].as_strategy(generation_mode=GenerationMode(mode))
        return strategy


@pytest.fixture(scope="module")
def calls() -> Iterator[Calls]:
    """Every operation but the one that would take the target away."""
    import requests
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.core.result import Ok
    from schemathesis.specs.openapi import checks

    document = schemathesis.openapi.from_dict(describe(ENDPOINTS)).exclude(operation_id="delete_task")
    found = [result.ok() for result in document.get_all_operations() if isinstance(result, Ok)]
    conformance = [checks.content_type_conformance, checks.response_headers_conformance, checks.response_schema_conformance]
    with requests.Session() as session:
        operations = {operation.definition.raw["operationId"]: operation for operation in found}
        yield Calls(operations, session, [not_a_server_error, checks.status_code_conformance, *conformance])


# One test for each operation, under its name: xdist would take schemathesis' own tests for one, since they all have the same.
@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("operation", sorted({endpoint.operation_id for endpoint in ENDPOINTS} - {"delete_task"}))
def test_every_answer_is_one_that_the_document_knows(operation: str, mode: str, target: Target, calls: Calls) -> None:
    @settings(QUICK, max_examples=2)
    @given(case=calls.strategy(operation, mode))
    def fire(case: Any) -> None:
        if case.path_parameters and len(str(case.body)) % 4:
            case.path_parameters |= {name: value for name, value in target.ids.items() if name in case.path_parameters}
        case.headers = {**(case.headers or {}), "Authorization": target.client.headers["Authorization"]}
        case.call_and_validate(base_url=str(target.client.base_url).rstrip("/"), session=calls.session, checks=calls.checks)

    with contextlib.suppress(Unsatisfiable):  # an operation without fields has nothing to get wrong
        fire()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = ["title", "description", "output", "state", "state_remove_keys", "status", "entries", "params", "id", "method", "jsonrpc", "mode"]
MEDIA_TYPES = ["application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "x"]


@settings(QUICK, max_examples=15)
@given(body=st.dictionaries(st.sampled_from(FIELDS), json_values) | json_values)
def test_any_json_is_taken_or_refused(target: Target, body: Any) -> None:
    _fire(target, json.dumps(body).encode(), "application/json")


@settings(QUICK, max_examples=15)
@given(raw=st.binary(max_size=80), media_type=st.sampled_from(MEDIA_TYPES))
def test_any_bytes_are_taken_or_refused(target: Target, raw: bytes, media_type: str) -> None:
    _fire(target, raw, media_type)


def _fire(target: Target, body: bytes, media_type: str) -> None:
    for method, path in (("PATCH", ""), ("POST", "append_log/"), ("POST", "command/")):
        response = target.client.request(method, target.run + path, content=body, headers={"Content-Type": media_type})
        assert response.status_code in {200, 400, 415}, response.text
        if response.status_code != 200:
            assert {"detail", "error"} & response.json().keys()
    assert target.client.get(target.run).status_code == 200
    assert target.client.get(f"{target.run}session_logs/").status_code == 200
