"""The caller, their projects and their keys over HTTP (contract 11.2, 13.4)."""

from typing import Any

import pytest

from hedgerow.domain.access import Scope
from hedgerow.operations import accounts
from tests.api.conftest import Served
from tests.api.test_authentication import error

KEYS = "/api/personal_api_keys/"
PROJECT_FIELDS = [
    *("id", "uuid", "organization", "project_id", "api_token", "name", "timezone", "created_at"),
    *("proactive_tasks_enabled", "session_recording_opt_in", "autocapture_exceptions_opt_in"),
]


async def another_project(served: Served) -> int:
    """A further project of the caller."""
    project = await accounts.create_project(served.backends, name="Other")
    await accounts.add_member(served.backends, email=served.email, project_id=project.id)
    return project.id


async def test_the_caller_sees_themselves_and_their_projects(served: Served) -> None:
    other = await another_project(served)
    await accounts.create_project(served.backends, name="Of strangers")
    me = (await served.client.get("/api/users/@me")).json()
    shown = ["uuid", "id", "distinct_id", "email", "first_name", "last_name", "is_staff", "team", "organization", "organizations"]
    assert list(me) == shown
    assert (me["email"], me["first_name"], me["last_name"], me["is_staff"]) == (served.email, "Ada", "Gardener", False)
    assert list(me["team"]) == PROJECT_FIELDS
    assert (me["team"]["id"], me["team"]["organization"]) == (served.project.id, me["organization"]["id"])
    assert [team["id"] for team in me["organization"]["teams"]] == [served.project.id, other]
    assert me["organizations"] == [me["organization"]]


async def test_a_project_is_shown_as_the_callers_team_is(served: Served) -> None:
    me = (await served.client.get("/api/users/@me/")).json()
    for reference in (served.project.id, "@current"):
        project = (await served.client.get(f"/api/projects/{reference}/")).json()
        assert project == me["team"]
    assert (project["project_id"], project["timezone"], project["name"]) == (served.project.id, "UTC", "Home Garden Works")
    assert project["uuid"] == str(served.project.uuid)


async def test_the_public_name_of_a_project_is_no_key(served: Served) -> None:
    token = (await served.client.get(f"/api/projects/{served.project.id}/")).json()["api_token"]
    assert token.startswith("phc_")
    assert (await served.client.get(served.tasks, headers={"Authorization": f"Bearer {token}"})).status_code == 401


async def test_a_limited_key_shows_the_projects_that_it_reaches(served: Served) -> None:
    other = await another_project(served)
    me = (await served.client.get("/api/users/@me/", headers=await served.key_with("task:read", projects=[other]))).json()
    assert (me["team"], [team["id"] for team in me["organization"]["teams"]]) == (None, [other])


async def test_a_key_that_is_made_over_http_works(served: Served) -> None:
    response = await served.client.post(KEYS, json={"label": " laptop ", "scopes": ["task:write", "task:read"]})
    key = response.json()
    assert (response.status_code, response.headers["cache-control"]) == (201, "no-store")
    assert list(key) == ["id", "label", "value", "scopes", "scoped_teams", "created_at"]
    assert (key["label"], key["scopes"], key["scoped_teams"]) == ("laptop", ["task:read", "task:write"], None)
    assert key["value"].startswith("phx_")
    made = {"Authorization": f"Bearer {key['value']}"}
    assert (await served.client.post(served.tasks, json={"title": "x"}, headers=made)).status_code == 201
    assert error(await served.client.post(KEYS, json={"label": "x", "scopes": ["*"]}, headers=made))[:3] == (
        403,
        "authentication_error",
        "permission_denied",
    )
    async with served.backends.database.statement() as tx:
        kept = await (await tx.connection.execute("SELECT k::text AS all FROM personal_api_keys k WHERE id = %s", [key["id"]])).fetchone()
    assert kept is not None
    assert key["value"] not in kept["all"]


async def test_a_key_reaches_only_what_its_maker_reaches(served: Served) -> None:
    other = await another_project(served)
    narrow = (await served.client.post(KEYS, json={"label": "x", "scopes": ["*"], "scoped_teams": [other]})).json()
    assert narrow["scoped_teams"] == [other]
    made = {"Authorization": f"Bearer {narrow['value']}"}
    assert (await served.client.get(served.tasks, headers=made)).status_code == 403
    heir = (await served.client.post(KEYS, json={"label": "x", "scopes": ["*"], "scoped_teams": []}, headers=made)).json()
    assert heir["scoped_teams"] == [other]
    wider = await served.client.post(KEYS, json={"label": "x", "scopes": ["*"], "scoped_teams": [served.project.id]}, headers=made)
    assert error(wider) == (400, "validation_error", "invalid_input", "scoped_teams")


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({"scopes": ["*"]}, "required", "label"),
        ({"label": " ", "scopes": ["*"]}, "blank", "label"),
        ({"label": "x" * 256, "scopes": ["*"]}, "max_length", "label"),
        ({"label": "x"}, "required", "scopes"),
        ({"label": "x", "scopes": []}, "empty", "scopes"),
        ({"label": "x", "scopes": "*"}, "not_a_list", "scopes"),
        ({"label": "x", "scopes": ["*", "task:fly"]}, "invalid_choice", "scopes__1"),
        ({"label": "x", "scopes": ["*"], "scoped_teams": ["x"]}, "invalid_input", "scoped_teams__0"),
        ({"label": "x", "scopes": ["*"], "scoped_teams": [10**6]}, "invalid_input", "scoped_teams"),
    ],
)
async def test_a_key_that_makes_no_sense_is_refused(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    assert error(await served.client.post(KEYS, json=body)) == (400, "validation_error", code, attr)


@pytest.mark.parametrize("scope", [Scope.TASK_READ.value, Scope.TASK_WRITE.value])
async def test_only_a_key_that_may_everything_makes_keys(served: Served, scope: str) -> None:
    response = await served.client.post(KEYS, json={"label": "x", "scopes": [scope]}, headers=await served.key_with(scope))
    assert response.status_code == 403


async def test_the_value_of_a_key_is_never_kept_to_be_answered_again(served: Served) -> None:
    body, key = {"label": "x", "scopes": ["*"]}, {"Idempotency-Key": "k"}
    values = {(await served.client.post(KEYS, json=body, headers=key)).json()["value"] for _ in range(2)}
    assert len(values) == 2
