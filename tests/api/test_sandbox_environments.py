"""Sandbox environments over HTTP (contract 11.1, 3.6)."""

from typing import Any

import pytest

from hedgerow.domain.default_domains import DEFAULT_DOMAINS
from hedgerow.operations import accounts
from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error

LISTED = ["id", "name", "network_access_level", "allowed_domains", "repositories", "private", "internal", "created_by", "created_at"]
DETAIL = [
    "id",
    "name",
    "network_access_level",
    "allowed_domains",
    "include_default_domains",
    "repositories",
    "has_environment_variables",
    "private",
    "internal",
    "effective_domains",
    "created_by",
    "created_at",
    "updated_at",
]


def url(served: Served) -> str:
    return f"/api/projects/{served.project.id}/sandbox_environments/"


async def made(served: Served, **fields: Any) -> dict[str, Any]:
    response = await served.client.post(url(served), json={"name": "Build", **fields})
    assert response.status_code == 201, response.text
    return dict(response.json())


async def test_it_is_made_shown_changed_and_deleted(served: Served) -> None:
    fields = {
        "name": " Build ",
        "network_access_level": "custom",
        "allowed_domains": ["one.test"],
        "include_default_domains": True,
        "repositories": ["org/repo"],
        "environment_variables": {"API_KEY": "never shown"},
        "internal": True,
        "id": MISSING,
    }
    shown = await made(served, **fields)
    assert list(shown) == DETAIL
    assert (shown["name"], shown["private"], shown["internal"], shown["has_environment_variables"]) == ("Build", True, False, True)
    assert shown["effective_domains"] == ["one.test", *DEFAULT_DOMAINS]
    assert shown["created_by"]["email"] == served.email
    assert "never shown" not in str(shown)
    one = f"{url(served)}{shown['id']}/"
    assert (await served.client.get(one[:-1])).json() == shown
    changed = (await served.client.patch(one, json={"network_access_level": "full", "private": False})).json()
    assert (changed["effective_domains"], changed["private"], changed["allowed_domains"]) == ([], False, ["one.test"])
    page = (await served.client.get(url(served))).json()
    assert (page["count"], page["next"], page["previous"]) == (1, None, None)
    assert list(page["results"][0]) == [*LISTED, "updated_at"]
    deleted = await served.client.delete(one)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert error(await served.client.get(one)) == (404, "invalid_request", "not_found", None)


async def test_what_a_name_alone_gives(served: Served) -> None:
    shown = await made(served)
    assert (shown["network_access_level"], shown["allowed_domains"], shown["repositories"]) == ("full", [], [])
    assert (shown["include_default_domains"], shown["has_environment_variables"], shown["effective_domains"]) == (False, False, [])
    assert (await made(served, network_access_level="trusted"))["effective_domains"] == list(DEFAULT_DOMAINS)


async def test_the_list_is_paged_newest_first(served: Served) -> None:
    ids = [(await made(served))["id"] for _ in range(3)]
    first = (await served.client.get(url(served), params={"limit": 2})).json()
    assert [each["id"] for each in first["results"]] == ids[:0:-1]
    second = (await served.client.get(first["next"])).json()
    assert [each["id"] for each in second["results"]] == ids[:1]


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "name"),
        ({"name": None}, "null", "name"),
        ({"name": "  "}, "blank", "name"),
        ({"name": "x" * 256}, "max_length", "name"),
        ({"name": "x", "network_access_level": "open"}, "invalid_choice", "network_access_level"),
        ({"name": "x", "network_access_level": None}, "null", "network_access_level"),
        ({"name": "x", "allowed_domains": "a.test"}, "not_a_list", "allowed_domains"),
        ({"name": "x", "allowed_domains": ["a.test", ""]}, "blank", "allowed_domains__1"),
        ({"name": "x", "allowed_domains": ["x" * 256]}, "max_length", "allowed_domains__0"),
        ({"name": "x", "allowed_domains": ["http://a.test"]}, "invalid_input", "allowed_domains__0"),
        ({"name": "x", "repositories": [1]}, "invalid_input", "repositories__0"),
        ({"name": "x", "repositories": None}, "null", "repositories"),
        ({"name": "x", "environment_variables": []}, "not_a_dict", "environment_variables"),
        ({"name": "x", "environment_variables": None}, "null", "environment_variables"),
        ({"name": "x", "environment_variables": {"1A": "x"}}, "invalid_input", "environment_variables"),
        ({"name": "x", "environment_variables": {"A": 1}}, "invalid_input", "environment_variables__A"),
        ({"name": "x", "private": None}, "null", "private"),
    ],
)
async def test_what_makes_no_sense_is_refused(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    assert error(await served.client.post(url(served), json=body)) == (400, "validation_error", code, attr)


async def test_put_is_not_allowed_and_other_ids_are_not_found(served: Served) -> None:
    one = f"{url(served)}{(await made(served))['id']}/"
    assert error(await served.client.put(one, json={"name": "x"})) == (405, "invalid_request", "method_not_allowed", None)
    for wrong in (MISSING, "x"):
        for method in ("GET", "PATCH", "DELETE"):
            response = await served.client.request(method, f"{url(served)}{wrong}/", json={} if method == "PATCH" else None)
            assert error(response) == (404, "invalid_request", "not_found", None)


async def test_reading_and_writing_have_scopes_of_their_own(served: Served) -> None:
    one = f"{url(served)}{(await made(served))['id']}/"
    reader = await served.key_with("task:read")
    assert (await served.client.get(one, headers=reader)).status_code == 200
    for method in ("PATCH", "DELETE"):
        assert (await served.client.request(method, one, headers=reader)).status_code == 403
    assert (await served.client.post(url(served), json={"name": "x"}, headers=reader)).status_code == 403


async def test_anothers_private_one_is_not_found(served: Served) -> None:
    private, public = await made(served), await made(served, private=False)
    email = f"guest-{served.email}"
    await accounts.create_user(served.backends, email=email)
    await accounts.add_member(served.backends, email=email, project_id=served.project.id)
    _, value = await accounts.create_key(served.backends, email=email, label="x", scopes=["*"])
    guest = {"Authorization": f"Bearer {value}"}
    assert (await served.client.get(f"{url(served)}{private['id']}/", headers=guest)).status_code == 404
    assert [each["id"] for each in (await served.client.get(url(served), headers=guest)).json()["results"]] == [public["id"]]
    assert (await served.client.patch(f"{url(served)}{public['id']}/", json={"name": "y"}, headers=guest)).status_code == 200


async def test_a_run_is_made_in_it_or_refused_in_the_words_of_run_requests(served: Served) -> None:
    environment = await made(served)
    _, run = await served.a_started_run(sandbox_environment_id=environment["id"])
    assert run["state"]["sandbox_environment_id"] == environment["id"]
    task = await served.a_task()
    for path in ("run/", "runs/"):
        response = await served.client.post(f"{served.tasks}{task['id']}/{path}", json={"sandbox_environment_id": MISSING})
        assert (response.status_code, list(response.json())) == (400, ["detail"])
