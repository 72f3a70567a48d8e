"""POST start and resume_in_cloud over HTTP (contract 5.5, 5.6)."""

from typing import Any

import pytest

from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error

JSON = {"Content-Type": "application/json"}


async def test_a_created_run_is_started_and_its_task_shown(served: Served) -> None:
    url, run = await served.a_run()
    response = await served.client.post(f"{url}start", headers=JSON)
    assert response.status_code == 200
    assert (response.json()["id"], response.json()["latest_run"]["id"]) == (run["task"], run["id"])
    assert response.json()["latest_run"]["status"] == "queued"
    again = await served.client.post(f"{url}start/", json={"pending_user_message": "  More  ", "pending_user_artifact_ids": []})
    assert again.json()["latest_run"]["state"]["pending_user_message"] == "More"
    assert "pending_user_artifact_ids" not in again.json()["latest_run"]["state"]


async def test_a_start_hears_an_idempotency_key(served: Served) -> None:
    url, run = await served.a_run()
    body, key = {"pending_user_message": "Go"}, {"Idempotency-Key": "k"}
    first = await served.client.post(f"{url}start/", json=body, headers=key)
    await served.client.patch(url, json={"status": "cancelled"})
    again = await served.client.post(f"{url}start/", json=body, headers=key)
    assert (again.status_code, again.json(), again.headers["idempotent-replay"]) == (200, first.json(), "true")
    conflict = await served.client.post(f"{url}start/", json={}, headers=key)
    assert error(conflict) == (409, "invalid_request", "idempotency_conflict", None)
    assert (await served.client.get(url)).json()["status"] == "cancelled"
    assert first.json()["latest_run"]["id"] == run["id"]


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"pending_user_message": None}, "null", "pending_user_message"),
        ({"pending_user_message": 5}, "invalid_input", "pending_user_message"),
        ({"pending_user_artifact_ids": "x"}, "not_a_list", "pending_user_artifact_ids"),
        ({"pending_user_artifact_ids": ["a", "x" * 129]}, "max_length", "pending_user_artifact_ids__1"),
    ],
)
async def test_a_bad_field_of_a_start_is_named(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    url, _ = await served.a_run()
    assert error(await served.client.post(f"{url}start/", json=body)) == (400, "validation_error", code, attr)


async def test_refusals_have_the_bodies_of_the_contract(served: Served) -> None:
    url, _ = await served.a_run(environment="local")
    local = await served.client.post(f"{url}start/")
    assert (local.status_code, list(local.json())) == (400, ["error"])
    url, _ = await served.a_run()
    unknown = await served.client.post(f"{url}start/", json={"pending_user_artifact_ids": ["b", "a"]})
    assert (unknown.status_code, list(unknown.json())) == (400, ["detail", "missing_artifact_ids"])
    assert unknown.json()["missing_artifact_ids"] == ["b", "a"]
    active = await served.client.post(f"{url}resume_in_cloud/")
    assert (active.status_code, list(active.json())) == (400, ["error"])
    await served.client.patch(url, json={"status": "failed"})
    ended = await served.client.post(f"{url}start/")
    assert ended.status_code == 400
    assert "failed" in ended.json()["error"]
    for path in ("start", "resume_in_cloud"):
        missing = await served.client.post(f"{url.split('runs/')[0]}runs/{MISSING}/{path}/")
        assert error(missing) == (404, "invalid_request", "not_found", None)


async def test_an_ended_run_is_resumed_under_its_id(served: Served) -> None:
    url, run = await served.a_run()
    await served.client.patch(url, json={"status": "failed", "error_message": "no"})
    response = await served.client.post(f"{url}resume_in_cloud", headers=JSON)
    resumed = response.json()
    assert (response.status_code, resumed["id"], resumed["status"], resumed["environment"]) == (200, run["id"], "queued", "cloud")
    assert (resumed["completed_at"], resumed["error_message"]) == (None, None)
    assert (resumed["state"]["mode"], resumed["state"]["handoff_resumed"]) == ("interactive", True)
    assert "end_reason" not in resumed["state"]


async def test_a_run_whose_pull_requests_are_a_persons_needs_that_person(served: Served) -> None:
    url, _ = await served.a_run(environment="local", pr_authorship_mode="user", github_user_token="ghu_x")
    response = await served.client.post(f"{url}resume_in_cloud/")
    assert error(response) == (400, "validation_error", "github_authorization_required", "pr_authorship_mode")


async def test_starting_needs_the_scope_to_write(served: Served) -> None:
    url, _ = await served.a_run()
    reader = await served.key_with("task:read")
    for path in ("start", "resume_in_cloud"):
        assert (await served.client.post(f"{url}{path}/", headers=reader)).status_code == 403
