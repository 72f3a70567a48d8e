"""Tasks over HTTP (contract 2.2, 3.1 to 3.3, 3.6)."""

import json
from typing import Any
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import Served
from tests.api.test_authentication import error

TASK_FIELDS = [
    "id",
    "task_number",
    "slug",
    "title",
    "title_manually_set",
    "description",
    "origin_product",
    "repository",
    "github_integration",
    "github_user_integration",
    "signal_report",
    "signal_report_task_relationship",
    "json_schema",
    "internal",
    "latest_run",
    "created_at",
    "updated_at",
    "created_by",
    "ci_prompt",
]
PERSON_FIELDS = [
    "id",
    "uuid",
    "distinct_id",
    "first_name",
    "last_name",
    "email",
    "is_email_verified",
    "hedgehog_config",
    "role_at_organization",
]


async def test_a_task_has_the_fields_of_the_contract_in_order(served: Served) -> None:
    task = await served.a_task(title="Mend", description="the fence", repository="Acme/Garden")
    assert list(task) == TASK_FIELDS
    assert list(task["created_by"]) == PERSON_FIELDS
    assert (task["task_number"], task["slug"], task["repository"]) == (0, "HGW-0", "acme/garden")
    assert (task["origin_product"], task["internal"], task["latest_run"]) == ("user_created", False, None)
    assert task["created_at"].endswith("Z")
    assert len(task["created_at"]) == len("2026-05-07T10:00:00.000000Z")
    assert (await served.client.get(f"{served.tasks}{task['id']}/")).json() == task


async def test_a_task_that_is_read_can_be_written_back(served: Served) -> None:
    task = await served.a_task(title="Mend")
    response = await served.client.put(f"{served.tasks}{task['id']}/", json=task)
    assert response.status_code == 200
    assert {**response.json(), "updated_at": None} == {**task, "updated_at": None}


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"title": None}, "null", "title"),
        ({"title": 5}, "invalid_input", "title"),
        ({"title": "x" * 256}, "max_length", "title"),
        ({"title": "a\x00b"}, "invalid_input", "title"),
        ({"description": "\ud800"}, "invalid_input", "description"),
        ({"description": None}, "null", "description"),
        ({"origin_product": "nowhere"}, "invalid_choice", "origin_product"),
        ({"origin_product": None}, "null", "origin_product"),
        ({"repository": "x" * 256}, "max_length", "repository"),
        ({"repository": "no-slash"}, "invalid_input", "repository"),
        ({"repository": "a/b/c"}, "invalid_input", "repository"),
        ({"repository": "no-slash", "internal": "perhaps"}, "invalid_input", "repository"),
        ({"repository": "/b"}, "invalid_input", "repository"),
        ({"github_integration": "x"}, "invalid_input", "github_integration"),
        ({"github_integration": True}, "invalid_input", "github_integration"),
        ({"github_integration": 10**30}, "max_value", "github_integration"),
        ({"github_integration": -(10**30)}, "min_value", "github_integration"),
        ({"github_integration": 1}, "does_not_exist", "github_integration"),
        ({"github_user_integration": "x"}, "invalid_input", "github_user_integration"),
        ({"signal_report": 7}, "invalid_input", "signal_report"),
        ({"signal_report_task_relationship": "x"}, "invalid_choice", "signal_report_task_relationship"),
        ({"signal_report_task_relationship": "implementation"}, "invalid_input", "signal_report_task_relationship"),
        ({"internal": "maybe"}, "invalid_input", "internal"),
        ({"title_manually_set": None}, "null", "title_manually_set"),
        ({"ci_prompt": []}, "invalid_input", "ci_prompt"),
    ],
)
async def test_a_bad_field_is_named(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    for response in (await post(served, body), await patch(served, body)):
        assert error(response) == (400, "validation_error", code, attr)


async def post(served: Served, body: Any) -> httpx.Response:
    return await served.client.post(served.tasks, content=_ascii(body), headers={"Content-Type": "application/json"})


async def patch(served: Served, body: Any) -> httpx.Response:
    url = f"{served.tasks}{(await served.a_task())['id']}/"
    return await served.client.patch(url, content=_ascii(body), headers={"Content-Type": "application/json"})


def _ascii(body: Any) -> bytes:
    return json.dumps(body).encode()


async def test_strings_are_stripped(served: Served) -> None:
    task = await served.a_task(title="  Mend \n", description="\t a fence ", repository=" Acme/Garden ", ci_prompt="  ")
    assert (task["title"], task["description"], task["repository"], task["ci_prompt"]) == ("Mend", "a fence", "acme/garden", "")


async def test_a_title_comes_from_the_description(served: Served) -> None:
    task = (await post(served, {"description": "x" * 70})).json()
    assert (task["title"], task["title_manually_set"]) == ("x" * 57 + "...", False)
    assert (await post(served, {})).json()["title"] == ""
    assert (await post(served, {"title": "By hand"})).json()["title_manually_set"] is True


async def test_any_json_is_kept_as_schema(served: Served) -> None:
    schemas: list[Any] = [{"type": "object", "x": [1, 2.5, None, "é\u0000"]}, [], 10**30, "text", None, {"\ud800": 1}]
    for schema in schemas:
        task = (await post(served, {"json_schema": schema})).json()
        assert task["json_schema"] == schema


async def test_put_and_patch_change_only_what_they_name(served: Served) -> None:
    task = await served.a_task(title="One", description="two")
    url = f"{served.tasks}{task['id']}/"
    changed = (await served.client.patch(url, json={"description": "three"})).json()
    assert (changed["title"], changed["description"]) == ("One", "three")
    changed = (await served.client.put(url, json={"title": "Four"})).json()
    assert (changed["title"], changed["description"]) == ("Four", "three")
    assert changed["updated_at"] > task["updated_at"]


async def test_a_deleted_task_is_gone(served: Served) -> None:
    task = await served.a_task()
    url = f"{served.tasks}{task['id']}/"
    response = await served.client.delete(url)
    assert (response.status_code, response.content) == (204, b"")
    for again in (await served.client.get(url), await served.client.delete(url), await served.client.patch(url, json={})):
        assert error(again) == (404, "invalid_request", "not_found", None)
    assert (await served.client.get(served.tasks)).json()["count"] == 0


async def _titles(served: Served, **query: Any) -> list[str]:
    response = await served.client.get(served.tasks, params=query)
    assert response.status_code == 200, response.text
    return [task["title"] for task in response.json()["results"]]


async def test_tasks_are_listed_newest_first_and_filtered(served: Served) -> None:
    await served.a_task(title="one", repository="Acme/Garden")
    await served.a_task(title="two", repository="acme/fence", origin_product="automation")
    await served.a_task(title="three", repository="other/garden", internal=True)
    assert await _titles(served) == ["two", "one"]
    assert await _titles(served, repository="garden") == ["one"]
    assert await _titles(served, repository=" ACME/fence ") == ["two"]
    assert await _titles(served, organization="Acme") == ["two", "one"]
    assert await _titles(served, origin_product="automation") == ["two"]
    assert await _titles(served, internal="1") == ["three"]
    assert await _titles(served, internal="No", search="ON") == ["one"]
    assert await _titles(served, search="HGW-1") == ["two"]
    assert await _titles(served, created_by=999) == []
    assert await _titles(served, status="queued") == []
    assert await _titles(served, status="", search=" ", created_by="", internal="") == ["two", "one"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"created_by": "x"}, "invalid_input"),
        ({"created_by": "1.5"}, "invalid_input"),
        ({"created_by": "9" * 30}, "max_value"),
        ({"created_by": "9" * 5000}, "invalid_input"),
        ({"internal": "maybe"}, "invalid_input"),
        ({"status": "odd"}, "invalid_choice"),
        ({"search": "\x00"}, "invalid_input"),
    ],
)
async def test_a_bad_query_value_is_named(served: Served, query: dict[str, str], code: str) -> None:
    response = await served.client.get(served.tasks, params=query)
    assert error(response) == (400, "validation_error", code, next(iter(query)))


async def test_the_status_and_the_stage_of_runs_narrow_the_list(served: Served) -> None:
    run, body = await served.a_run()
    await served.client.patch(run, json={"stage": "plan", "status": "in_progress"})
    found = (await served.client.get(served.tasks, params={"status": "in_progress", "stage": "plan"})).json()["results"]
    assert [task["id"] for task in found] == [body["task"]]
    assert found[0]["latest_run"]["id"] == body["id"]
    assert await _titles(served, stage="build") == []


async def test_running_a_task_gives_the_task_with_its_new_run(served: Served) -> None:
    task = await served.a_task(title="", description="Say hello")
    response = await served.client.post(f"{served.tasks}{task['id']}/run/", json={"pending_user_message": "  Hello  ", "branch": "main"})
    run = response.json()["latest_run"]
    assert (response.status_code, run["status"], run["environment"]) == (200, "queued", "cloud")
    assert run["state"]["pending_user_message"] == "Hello"
    assert run["state"]["mode"] == "background"
    assert run["state"]["pr_base_branch"] == "main"
    UUID(run["id"])


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"mode": "odd"}, "invalid_choice", "mode"),
        ({"mode": None}, "null", "mode"),
        ({"branch": " "}, "blank", "branch"),
        ({"branch": "x" * 256}, "max_length", "branch"),
        ({"resume_from_run_id": "x"}, "invalid_input", "resume_from_run_id"),
        ({"resume_from_run_id": None}, "null", "resume_from_run_id"),
        ({"pending_user_message": 5}, "invalid_input", "pending_user_message"),
        ({"pending_user_artifact_ids": "x"}, "not_a_list", "pending_user_artifact_ids"),
        ({"pending_user_artifact_ids": [7]}, "invalid_input", "pending_user_artifact_ids__0"),
        ({"pending_user_artifact_ids": ["a", "x" * 129]}, "max_length", "pending_user_artifact_ids__1"),
        ({"sandbox_environment_id": "x"}, "invalid_input", "sandbox_environment_id"),
        ({"pr_authorship_mode": "odd"}, "invalid_choice", "pr_authorship_mode"),
        ({"run_source": "odd"}, "invalid_choice", "run_source"),
        ({"signal_report_id": " "}, "blank", "signal_report_id"),
        ({"runtime_adapter": "odd"}, "invalid_choice", "runtime_adapter"),
        ({"runtime_adapter": ""}, "invalid_choice", "runtime_adapter"),
        ({"runtime_adapter": "odd", "model": "", "reasoning_effort": "most"}, "invalid_choice", "runtime_adapter"),
        ({"initial_permission_mode": "odd", "reasoning_effort": "most"}, "invalid_choice", "reasoning_effort"),
        ({"initial_permission_mode": ""}, "invalid_choice", "initial_permission_mode"),
        ({"model": ""}, "blank", "model"),
        ({"model": "m"}, "invalid_input", "runtime_adapter"),
        ({"runtime_adapter": "claude"}, "invalid_input", "model"),
        ({"reasoning_effort": "most"}, "invalid_choice", "reasoning_effort"),
        ({"runtime_adapter": "claude", "model": "m", "reasoning_effort": "low"}, "invalid_input", "reasoning_effort"),
        ({"github_user_token": ""}, "blank", "github_user_token"),
        ({"initial_permission_mode": "plan"}, "invalid_input", "initial_permission_mode"),
        ({"initial_permission_mode": "odd"}, "invalid_choice", "initial_permission_mode"),
        (
            {"runtime_adapter": "codex", "model": "m", "initial_permission_mode": "plan"},
            "invalid_input",
            "initial_permission_mode",
        ),
    ],
)
async def test_a_bad_field_of_a_run_is_named(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    task = await served.a_task()
    response = await served.client.post(f"{served.tasks}{task['id']}/run/", json=body)
    assert error(response) == (400, "validation_error", code, attr)
    if attr.split("__", maxsplit=1)[0] not in {"resume_from_run_id", "pending_user_message", "pending_user_artifact_ids"}:
        assert error(await served.client.post(f"{served.tasks}{task['id']}/runs/", json=body)) == (400, "validation_error", code, attr)


async def test_what_a_run_cannot_resume_or_attach_is_told_in_the_short_form(served: Served) -> None:
    task = await served.a_task()
    _, foreign = await served.a_run()
    url = f"{served.tasks}{task['id']}/run/"
    for body in ({"resume_from_run_id": foreign["id"]}, {"sandbox_environment_id": foreign["id"]}):
        response = await served.client.post(url, json=body)
        assert (response.status_code, list(response.json())) == (400, ["detail"])
    response = await served.client.post(url, json={"pending_user_artifact_ids": ["b", "a"]})
    assert response.status_code == 400
    assert response.json()["missing_artifact_ids"] == ["b", "a"]
    assert list(response.json()) == ["detail", "missing_artifact_ids"]


async def test_a_github_token_is_never_shown(served: Served) -> None:
    task = await served.a_task()
    response = await served.client.post(f"{served.tasks}{task['id']}/run/", json={"github_user_token": "ghu_secret"})
    assert "ghu_secret" not in response.text
