"""Keys, scopes, projects (contract 1.2 and 1.3)."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from hedgerow.api import routing
from hedgerow.operations import accounts
from tests.api.conftest import MISSING, Served


def error(response: httpx.Response) -> tuple[int, str, str, str | None]:
    body = response.json()
    assert list(body) == ["type", "code", "detail", "attr"]
    assert body["detail"]
    return response.status_code, body["type"], body["code"], body["attr"]


async def test_without_a_key_there_is_401_with_a_challenge(served: Served) -> None:
    response = await served.client.get(served.tasks, headers={"Authorization": ""})
    assert error(response) == (401, "authentication_error", "not_authenticated", None)
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("value", ["Bearer phx_wrong", "Bearer hrt_0.0.0", "bearer \x80\xff"])
async def test_a_key_that_is_not_known_is_401(served: Served, value: str) -> None:
    response = await served.client.get(served.tasks, headers={b"Authorization": value.encode("latin-1")})
    assert error(response) == (401, "authentication_error", "authentication_failed", None)


async def test_the_key_may_come_in_the_query(served: Served) -> None:
    response = await served.client.get(served.tasks, params={"personal_api_key": served.key}, headers={"Authorization": ""})
    assert response.status_code == 200


async def test_the_key_may_come_in_the_body(served: Served) -> None:
    body = {"personal_api_key": served.key, "title": "From the body"}
    response = await served.client.post(served.tasks, json=body, headers={"Authorization": ""})
    assert response.status_code == 201
    assert "personal_api_key" not in response.json()


async def test_the_header_is_tried_before_the_query(served: Served) -> None:
    response = await served.client.get(served.tasks, params={"personal_api_key": served.key}, headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 401


async def test_a_stranger_hears_of_the_key_before_the_body(served: Served) -> None:
    response = await served.client.post(served.tasks, content=b"{nonsense", headers={"Authorization": "Bearer wrong"})
    assert response.status_code == 401
    response = await served.client.post(served.tasks, content=b"{nonsense", headers={"Authorization": ""})
    assert response.status_code == 401


async def test_writing_implies_reading_but_not_the_reverse(served: Served) -> None:
    writer, reader = await served.key_with("task:write"), await served.key_with("task:read")
    assert (await served.client.get(served.tasks, headers=writer)).status_code == 200
    assert (await served.client.post(served.tasks, json={}, headers=writer)).status_code == 201
    assert (await served.client.get(served.tasks, headers=reader)).status_code == 200
    response = await served.client.post(served.tasks, json={}, headers=reader)
    assert error(response) == (403, "authentication_error", "permission_denied", None)
    assert "task:write" in response.json()["detail"]


async def test_a_missing_scope_is_told_before_a_bad_body(served: Served) -> None:
    reader = await served.key_with("task:read")
    assert (await served.client.post(served.tasks, json={"title": None}, headers=reader)).status_code == 403


async def test_a_connection_token_needs_the_scope_to_write(served: Served) -> None:
    run, _ = await served.a_run()
    reader = await served.key_with("task:read")
    assert (await served.client.get(f"{run}connection_token/", headers=reader)).status_code == 403


@pytest.mark.parametrize("reference", ["999", "0", "-1", "x", "1.0", "9" * 30, "1e3", "%00"])
async def test_a_project_that_is_not_there_is_404(served: Served, reference: str) -> None:
    response = await served.client.get(f"/api/projects/{reference}/tasks/")
    assert error(response) == (404, "invalid_request", "not_found", None)


async def test_current_stands_for_the_callers_project(served: Served) -> None:
    task = await served.a_task()
    response = await served.client.get(f"/api/projects/@current/tasks/{task['id']}/")
    assert response.json()["id"] == task["id"]


async def test_a_project_of_others_is_403(served: Served) -> None:
    other = await accounts.create_project(served.backends, name="Other")
    response = await served.client.get(f"/api/projects/{other.id}/tasks/")
    assert error(response) == (403, "authentication_error", "permission_denied", None)


async def test_a_key_limited_to_other_projects_is_403(served: Served) -> None:
    other = await accounts.create_project(served.backends, name="Other")
    await accounts.add_member(served.backends, email=served.email, project_id=other.id)
    limited = await served.key_with("*", projects=[other.id])
    assert (await served.client.get(served.tasks, headers=limited)).status_code == 403
    assert (await served.client.get(f"/api/projects/{other.id}/tasks/", headers=limited)).status_code == 200


async def test_a_task_of_another_project_is_404_on_every_route(served: Served) -> None:
    run, _ = await served.a_run()
    task = run.rsplit("runs/", 1)[0]
    other = await accounts.create_project(served.backends, name="Other")
    await accounts.add_member(served.backends, email=served.email, project_id=other.id)
    there = {url: url.replace(f"/projects/{served.project.id}/", f"/projects/{other.id}/") for url in (run, task)}
    assert await _statuses(served, there[task], there[run]) == {404}


async def test_what_is_not_there_is_404_on_every_route(served: Served) -> None:
    task = await served.a_task()
    url = f"{served.tasks}{task['id']}/"
    for run in (f"{url}runs/{MISSING}/", f"{url}runs/nonsense/", f"{served.tasks}{MISSING}/runs/{MISSING}/"):
        assert await _statuses(served, f"{served.tasks}{MISSING}/", run) == {404}
    for malformed in ("x", "1", "0" * 31, "0" * 36, "%7B" + MISSING + "%7D", "é"):
        assert await _statuses(served, f"{served.tasks}{malformed}/", f"{url}runs/{malformed}/") == {404}


async def _statuses(served: Served, task: str, run: str) -> set[int]:
    client, command = served.client, {"jsonrpc": "2.0", "method": "user_message", "params": {"content": "x"}}
    responses = [
        await client.get(task),
        await client.patch(task, json={}),
        await client.put(task, json={}),
        await client.post(f"{task}run/"),
        await client.get(f"{task}runs/"),
        await client.post(f"{task}runs/", json={}),
        await client.get(run),
        await client.patch(run, json={}),
        await client.post(f"{run}append_log/", json={"entries": [{}]}),
        await client.get(f"{run}logs"),
        await client.get(f"{run}session_logs/"),
        await client.get(f"{run}stream/"),
        await client.post(f"{run}command/", json=command),
        await client.get(f"{run}connection_token/"),
        await client.delete(task),
    ]
    assert {response.json()["code"] for response in responses} == {"not_found"}
    return {response.status_code for response in responses}


async def test_a_key_that_is_revoked_while_a_body_is_on_its_way_does_nothing_with_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routing, "_LONG_SECONDS", 0.0)
    key, value = await accounts.create_key(served.backends, email=served.email, label="x", scopes=["*"])
    arrived, revoked = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'{"title": '
        arrived.set()
        await revoked.wait()
        yield b'"Mend"}'

    headers = {"Authorization": f"Bearer {value}", "Content-Type": "application/json"}
    posting = asyncio.create_task(served.client.post(served.tasks, content=slow(), headers=headers))
    await arrived.wait()
    await accounts.revoke_key(served.backends, key.id)
    revoked.set()
    assert ((await posting).status_code, (await posting).json()["code"]) == (401, "authentication_failed")
    assert (await served.client.get(served.tasks)).json()["count"] == 0
