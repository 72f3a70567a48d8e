"""Runs over HTTP (contract 2.1, 4, 5.1, 5.2, 13.2, 13.3)."""

import json
from typing import Any
from uuid import UUID

import httpx
import jwt
import pytest

from hedgerow.domain import run_tokens
from tests.api.conftest import PUBLIC_URL, Served
from tests.api.test_authentication import error

RUN_FIELDS = [
    "id",
    "task",
    "stage",
    "branch",
    "status",
    "environment",
    "runtime_adapter",
    "provider",
    "model",
    "reasoning_effort",
    "log_url",
    "error_message",
    "output",
    "state",
    "artifacts",
    "created_at",
    "updated_at",
    "completed_at",
]


async def test_a_run_has_the_fields_of_the_contract_in_order(served: Served) -> None:
    url, run = await served.a_run(runtime_adapter="claude", model="claude-opus-4-6", reasoning_effort="high")
    assert list(run) == RUN_FIELDS
    assert (run["status"], run["environment"], run["artifacts"]) == ("queued", "cloud", [])
    assert [run[name] for name in ("runtime_adapter", "provider", "model", "reasoning_effort")] == [
        "claude",
        "anthropic",
        "claude-opus-4-6",
        "high",
    ]
    assert (await served.client.get(url)).json() == run


async def test_a_created_run_is_local_unless_told(served: Served) -> None:
    task = await served.a_task()
    response = await served.client.post(f"{served.tasks}{task['id']}/runs/")
    assert (response.status_code, response.json()["environment"], response.json()["status"]) == (201, "local", "queued")
    response = await served.client.post(f"{served.tasks}{task['id']}/runs/", json={"environment": "moon"})
    assert error(response) == (400, "validation_error", "invalid_choice", "environment")


async def test_runs_are_listed_newest_first_in_pages(served: Served) -> None:
    task = await served.a_task()
    url = f"{served.tasks}{task['id']}/runs/"
    made = [(await served.client.post(url)).json()["id"] for _ in range(3)]
    await served.a_run()
    body = (await served.client.get(url, params={"limit": "2"})).json()
    assert [run["id"] for run in body["results"]] == [made[2], made[1]]
    assert body["count"] == 3
    assert body["next"] == f"{PUBLIC_URL}{url}?limit=2&offset=2"
    assert body["previous"] is None


async def test_unknown_words_in_state_show_as_null_and_secrets_not_at_all(served: Served) -> None:
    url, run = await served.a_run()
    async with served.backends.database.transaction() as tx:
        odd = {"runtime_adapter": 5, "provider": "acme", "model": [], "reasoning_effort": "huge", "sandbox_connect_token": "s3cret", "x": 1}
        await tx.connection.execute("UPDATE runs SET state = %s WHERE id = %s", (json.dumps(odd), run["id"]))
    response = await served.client.get(url)
    shown = response.json()
    assert [shown[name] for name in ("runtime_adapter", "provider", "model", "reasoning_effort")] == [None] * 4
    assert shown["state"]["x"] == 1
    assert "s3cret" not in response.text


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"status": "odd"}, "invalid_choice", "status"),
        ({"status": None}, "null", "status"),
        ({"branch": " "}, "blank", "branch"),
        ({"branch": "x" * 256}, "max_length", "branch"),
        ({"stage": ""}, "blank", "stage"),
        ({"stage": "x" * 101}, "max_length", "stage"),
        ({"stage": "a\x00"}, "invalid_input", "stage"),
        ({"state": None}, "null", "state"),
        ({"state": []}, "not_a_dict", "state"),
        ({"state": "x"}, "not_a_dict", "state"),
        ({"state_remove_keys": []}, "empty", "state_remove_keys"),
        ({"state_remove_keys": None}, "null", "state_remove_keys"),
        ({"state_remove_keys": "x"}, "not_a_list", "state_remove_keys"),
        ({"state_remove_keys": ["a", 5]}, "invalid_input", "state_remove_keys__1"),
        ({"state_remove_keys": ["a", None]}, "null", "state_remove_keys__1"),
        ({"error_message": 5}, "invalid_input", "error_message"),
        ({"environment": "cloud"}, "invalid_choice", "environment"),
        ({"environment": None}, "null", "environment"),
    ],
)
async def test_a_bad_field_of_a_patch_is_named(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    url, run = await served.a_run()
    assert error(await served.client.patch(url, json=body)) == (400, "validation_error", code, attr)
    assert (await served.client.get(url)).json() == run


async def test_a_patch_changes_what_it_names_and_merges_objects(served: Served) -> None:
    url, before = await served.a_run()
    first = {"stage": "plan", "branch": "main", "output": {"a": 1}, "state": {"x": {"y": 1}, "z": 2}, "error_message": ""}
    await served.client.patch(url, json=first)
    response = await served.client.patch(
        url, json={"output": {"b": 2}, "state": {"x": 3}, "state_remove_keys": ["z", "none"], "stage": None}
    )
    run = response.json()
    assert response.status_code == 200
    assert (run["stage"], run["branch"], run["output"], run["error_message"]) == (None, "main", {"a": 1, "b": 2}, "")
    assert run["state"] == {**before["state"], "x": 3}
    assert run["updated_at"] > before["updated_at"]
    assert (await served.client.patch(url, json={"output": None})).json()["output"] is None


@pytest.mark.parametrize("output", [{"a": ["\ud800", "\x00"]}, 10**30, [1e300, -0.0], "text", False, {"": {"": None}}])
async def test_any_json_is_kept_as_output(served: Served, output: Any) -> None:
    url, _ = await served.a_run()
    body = json.dumps({"output": output})
    response = await served.client.patch(url, content=body, headers={"Content-Type": "application/json"})
    assert response.json()["output"] == output
    assert (await served.client.get(url)).json()["output"] == output


async def test_an_empty_patch_is_a_change_of_its_own(served: Served) -> None:
    url, before = await served.a_run()
    response = await served.client.patch(url)
    assert response.status_code == 200
    assert response.json()["updated_at"] > before["updated_at"]


async def test_protected_state_is_ignored_and_the_rest_applies(served: Served) -> None:
    url, before = await served.a_run(pr_authorship_mode="bot")
    given = {"sandbox_id": "x", "pr_authorship_mode": "user", "_own": 1, "sandbox_url": "http://localhost@evil", "end_reason": "x", "a": 1}
    response = await served.client.patch(url, json={"state": given, "state_remove_keys": ["pr_authorship_mode"]})
    assert response.json()["state"] == {**before["state"], "a": 1}


async def test_a_run_that_is_ended_by_a_person_says_so(served: Served) -> None:
    url, _ = await served.a_run()
    run = (await served.client.patch(url, json={"status": "failed", "error_message": "no"})).json()
    assert (run["status"], run["error_message"], run["state"]["end_reason"]) == ("failed", "no", "client")
    assert run["completed_at"]
    again = (await served.client.patch(url, json={"status": "queued"})).json()
    assert (again["completed_at"], "end_reason" in again["state"]) == (run["completed_at"], False)


def _agent(served: Served, run: dict[str, Any], epoch: int = 0) -> dict[str, str]:
    return {"Authorization": f"Bearer {run_tokens.mint(served.backends.rules.secrets[0], UUID(run['id']), epoch)}"}


async def test_the_agents_own_token_may_only_report(served: Served) -> None:
    url, run = await served.a_started_run()
    agent = _agent(served, run)
    assert (await served.client.patch(url, json={"status": "completed"}, headers=agent)).json()["status"] == "queued"
    assert (await served.client.patch(url, json={"status": "in_progress"}, headers=agent)).json()["status"] == "in_progress"
    ended = (await served.client.patch(url, json={"status": "failed", "end_reason": "agent_lost"}, headers=agent)).json()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "agent_lost")


async def test_the_agents_own_token_reaches_nothing_else(served: Served) -> None:
    url, run = await served.a_run()
    other, _ = await served.a_run()
    agent, task = _agent(served, run), url.split("runs/")[0]
    own: list[httpx.Response] = [await served.client.get(path, headers=agent) for path in (url, task, f"{url}logs")]
    assert [response.status_code for response in own] == [200, 200, 200]
    for method, path in (
        ("GET", served.tasks),
        ("GET", other),
        ("PATCH", other),
        ("DELETE", task),
        ("PATCH", task),
        ("POST", f"{task}run/"),
    ):
        response = await served.client.request(method, path, headers=agent)
        assert response.status_code in {403, 404}, (method, path)
    assert (await served.client.get(url, headers=_agent(served, run, epoch=7))).status_code == 403


async def test_only_a_person_is_somebody(served: Served) -> None:
    _, run = await served.a_run()
    assert (await served.client.get("/api/users/@me/", headers=_agent(served, run))).status_code == 403
    me = (await served.client.get("/api/users/@me/")).json()
    assert (me["email"], me["team"]["id"]) == (served.email, served.project.id)
    assert (await served.client.get(f"/api/projects/{served.project.id}/")).json()["name"] == "Home Garden Works"


async def test_a_connection_token_opens_the_agent_server(served: Served) -> None:
    url, run = await served.a_run(mode="interactive")
    token = (await served.client.get(f"{url}connection_token")).json()["token"]
    key = (await served.client.get("/api/connection_public_key/", headers={"Authorization": ""})).json()["public_key"]
    claims = jwt.decode(token, key, algorithms=["RS256"], audience="posthog:sandbox_connection")
    assert (claims["run_id"], claims["task_id"], claims["team_id"]) == (run["id"], run["task"], served.project.id)
    assert claims["mode"] == "interactive"
    assert isinstance(claims["user_id"], int)
    assert isinstance(claims["distinct_id"], str)


async def test_a_run_may_have_deadlines_of_its_own(served: Served) -> None:
    task = (await served.client.post(served.tasks, json={"title": "t"})).json()
    asked = {"wall_clock_minutes": 5, "inactivity_timeout_minutes": 0.5, "turn_silence_minutes": 2, "sandbox_minutes": 3}
    started = (await served.client.post(f"{served.tasks}{task['id']}/run/", json=asked)).json()
    assert {key: started["latest_run"]["state"][key] for key in asked} == asked
    for key in asked:
        for value in (0, -1, "soon", 1e12):
            refused = await served.client.post(f"{served.tasks}{task['id']}/run/", json={key: value})
            assert (refused.status_code, refused.json()["attr"]) == (400, key)
        run = f"{served.tasks}{task['id']}/runs/{started['latest_run']['id']}/"
        refused = await served.client.patch(run, json={"state": {key: -1}})
        assert (refused.status_code, refused.json()["attr"]) == (400, f"state__{key}")
