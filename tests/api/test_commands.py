"""Commands over HTTP (contract 9)."""

import json
from typing import Any

import pytest

from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error


@pytest.mark.parametrize(
    ("change", "code", "attr"),
    [
        ({"jsonrpc": "1.0"}, "invalid_choice", "jsonrpc"),
        ({"jsonrpc": None}, "null", "jsonrpc"),
        ({"method": "_posthog/user_message"}, "invalid_choice", "method"),
        ({"method": "refresh_session"}, "invalid_choice", "method"),
        ({"params": []}, "not_a_dict", "params"),
        ({"params": None}, "null", "params"),
        ({"id": True}, "invalid_input", "id"),
        ({"id": []}, "invalid_input", "id"),
        ({"id": {}}, "invalid_input", "id"),
        ({"id": "a\x00"}, "invalid_input", "id"),
        ({"params": {}}, "invalid_input", "params"),
        ({"params": {"content": 5}}, "invalid_input", "params"),
        ({"params": {"content": "  "}}, "invalid_input", "params"),
        ({"params": {"artifact_ids": "x"}}, "invalid_input", "params"),
        ({"params": {"artifact_ids": [" "]}}, "invalid_input", "params"),
        ({"method": "permission_response", "params": {"requestId": "x"}}, "invalid_input", "params"),
        ({"method": "set_config_option", "params": {"configId": "", "value": "x"}}, "invalid_input", "params"),
    ],
)
async def test_a_bad_command_is_named(served: Served, change: dict[str, Any], code: str, attr: str) -> None:
    url, _ = await served.a_run()
    body = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": "hello"}, **change}
    assert error(await served.client.post(f"{url}command/", json=body)) == (400, "validation_error", code, attr)


@pytest.mark.parametrize("field", ["jsonrpc", "method"])
async def test_a_missing_field_is_required(served: Served, field: str) -> None:
    url, _ = await served.a_run()
    body = {"jsonrpc": "2.0", "method": "cancel"}
    del body[field]
    assert error(await served.client.post(f"{url}command/", json=body)) == (400, "validation_error", "required", field)


@pytest.mark.parametrize("request_id", [0, 1.5, "a", None, 10**30])
async def test_a_message_is_queued_and_its_id_given_back(served: Served, request_id: Any) -> None:
    url, _ = await served.a_started_run()
    body = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": "hello"}, "id": request_id}
    response = await served.client.post(f"{url}command/", json=body)
    assert response.status_code == 200, response.text
    [_, message] = (await served.client.get(f"{url}messages/")).json()["results"]
    assert response.json() == {"jsonrpc": "2.0", "id": request_id, "result": {"queued": True, "messageId": message["id"]}}


@pytest.mark.parametrize("content", ["a lone \ud800", "a null \x00"])
async def test_a_message_that_could_not_be_kept_as_it_is_is_refused(served: Served, content: str) -> None:
    url, _ = await served.a_started_run()
    body = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": content}}
    response = await served.client.post(f"{url}command/", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert error(response) == (400, "validation_error", "invalid_input", "params")
    assert (await served.client.get(f"{url}messages/")).json()["count"] == 1  # the run's own first


async def test_a_command_without_a_sandbox_says_so(served: Served) -> None:
    url, _ = await served.a_run()
    response = await served.client.post(f"{url}command/", json={"jsonrpc": "2.0", "method": "cancel"})
    assert response.status_code == 400
    assert list(response.json()) == ["error"]
    assert "No active sandbox" in response.json()["error"]


async def test_a_message_to_a_run_that_has_ended_is_refused(served: Served) -> None:
    url, _ = await served.a_started_run()
    await served.client.patch(url, json={"status": "completed"})
    body = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": "hello"}}
    response = await served.client.post(f"{url}command/", json=body)
    assert response.status_code == 400
    assert "No active sandbox" in response.json()["error"]


async def test_unknown_artifacts_are_listed(served: Served) -> None:
    url, _ = await served.a_run()
    body = {"jsonrpc": "2.0", "method": "user_message", "params": {"artifact_ids": ["b", "a"]}}
    response = await served.client.post(f"{url}command/", json=body)
    assert response.status_code == 400
    assert list(response.json()) == ["error", "missing_artifact_ids"]
    assert response.json()["missing_artifact_ids"] == ["b", "a"]


async def test_an_agent_that_does_not_answer_is_502(served: Served, unused_tcp_port: int) -> None:
    url, run = await served.a_run()
    async with served.backends.database.transaction() as tx:
        state = f'{{"sandbox_url": "http://127.0.0.1:{unused_tcp_port}"}}'
        await tx.connection.execute("UPDATE runs SET state = %s WHERE id = %s", (state, run["id"]))
    response = await served.client.post(f"{url}command/", json={"jsonrpc": "2.0", "method": "cancel"})
    assert response.status_code in {400, 502}  # 400 where the operator allows no such address
    assert list(response.json()) == ["error"]


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("user_message", {"content": "hello"}),
        ("cancel", {}),
        ("close", {}),
        ("permission_response", {"requestId": "r", "optionId": "yes"}),
        ("set_config_option", {"configId": "mode", "value": "plan"}),
    ],
)
async def test_a_run_that_has_ended_takes_no_command_and_nothing_of_it_is_kept(served: Served, method: str, params: dict[str, Any]) -> None:
    url, _ = await served.a_started_run()
    await served.client.patch(url, json={"status": "completed"})

    async def seen() -> list[Any]:
        return [(await served.client.get(url)).json()["updated_at"], (await served.client.get(f"{url}messages/")).json()]

    before = await seen()
    refused = await served.client.post(f"{url}command/", json={"jsonrpc": "2.0", "method": method, "params": params})
    assert (refused.status_code, "No active sandbox" in refused.json()["error"]) == (400, True)
    assert await seen() == before


@pytest.mark.parametrize("method", ["cancel", "close", "user_message"])
async def test_a_command_to_a_run_that_there_is_not_names_that(served: Served, method: str) -> None:
    url, _ = await served.a_started_run()
    elsewhere = url.replace(url.rstrip("/").rpartition("/")[2], MISSING)
    body = {"jsonrpc": "2.0", "method": method, "params": {"content": "hello"}}
    assert (await served.client.post(f"{elsewhere}command/", json=body)).status_code == 404
