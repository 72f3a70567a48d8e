"""Repositories and summaries of tasks over HTTP (contract 3.4, 3.5)."""

from typing import Any
from uuid import uuid4

import pytest

from hedgerow.operations import accounts
from tests.api.conftest import PUBLIC_URL, Served
from tests.api.test_authentication import error


async def test_the_repositories_of_a_project_are_those_of_its_visible_tasks(served: Served) -> None:
    for name in ("b/two", "A/one", "b/two", "b-a/x", None):
        await served.a_task(repository=name)
    await served.a_task(repository="c/internal", internal=True)
    gone = await served.a_task(repository="c/deleted")
    await served.client.delete(f"{served.tasks}{gone['id']}/")
    response = await served.client.get(f"{served.tasks}repositories/")
    assert (response.status_code, response.json()) == (200, {"repositories": ["a/one", "b-a/x", "b/two"]})


async def test_a_project_without_tasks_names_no_repository(served: Served) -> None:
    assert (await served.client.get(f"{served.tasks}repositories")).json() == {"repositories": []}


async def test_the_names_of_collections_are_no_ids_of_tasks(served: Served) -> None:
    for method, name, allowed in (("GET", "summaries", "OPTIONS, POST"), ("POST", "repositories", "GET, HEAD, OPTIONS")):
        response = await served.client.options(f"{served.tasks}{name}/")
        assert response.headers["allow"] == allowed
        assert (await served.client.request(method, f"{served.tasks}{name}/")).status_code in {404, 405}


async def test_a_summary_is_the_task_in_short(served: Served) -> None:
    plain = await served.a_task(title="Plain")
    url, run = await served.a_run()
    await served.client.patch(url, json={"status": "in_progress"})
    hidden = await served.a_task(title="Hidden", internal=True, repository="a/b")
    ids = [plain["id"], run["task"], hidden["id"], hidden["id"]]
    body = (await served.client.post(f"{served.tasks}summaries/", json={"ids": ids})).json()
    assert (body["count"], body["next"], body["previous"]) == (3, None, None)
    assert [summary["latest_run"] for summary in body["results"]] == [None, {"status": "in_progress", "environment": "cloud"}, None]
    shown = ("id", "title", "repository", "created_at", "updated_at")
    assert body["results"][0] == {name: hidden[name] for name in shown} | {"latest_run": None}
    assert list(body["results"][0]) == [*shown, "latest_run"]


async def test_unknown_deleted_and_foreign_tasks_are_left_out(served: Served) -> None:
    gone, kept = await served.a_task(), await served.a_task()
    await served.client.delete(f"{served.tasks}{gone['id']}/")
    other = await accounts.create_project(served.backends, name="Other")
    await accounts.add_member(served.backends, email=served.email, project_id=other.id)
    foreign = (await served.client.post(f"/api/projects/{other.id}/tasks/", json={"title": "x"})).json()
    ids = [gone["id"], foreign["id"], str(uuid4()), kept["id"]]
    body = (await served.client.post(f"{served.tasks}summaries/", json={"ids": ids})).json()
    assert ([summary["id"] for summary in body["results"]], body["count"]) == ([kept["id"]], 1)
    assert (await served.client.post(f"{served.tasks}summaries/", json={"ids": [str(uuid4())]})).json()["results"] == []


async def test_the_next_page_is_the_same_body_sent_to_next(served: Served) -> None:
    made = [(await served.a_task())["id"] for _ in range(3)]
    first = (await served.client.post(f"{served.tasks}summaries/", params={"limit": 2}, json={"ids": made})).json()
    assert [summary["id"] for summary in first["results"]] == [made[2], made[1]]
    assert first["next"] == f"{PUBLIC_URL}{served.tasks}summaries/?limit=2&offset=2"
    second = (await served.client.post(first["next"], json={"ids": made})).json()
    assert [summary["id"] for summary in second["results"]] == [made[0]]
    assert (second["count"], second["next"]) == (3, None)


@pytest.mark.parametrize(
    ("body", "code", "attr"),
    [
        ({}, "required", "ids"),
        ({"ids": None}, "null", "ids"),
        ({"ids": []}, "empty", "ids"),
        ({"ids": "x"}, "not_a_list", "ids"),
        ({"ids": [str(uuid4()), "x"]}, "invalid_input", "ids__1"),
        ({"ids": [str(uuid4())] * 5001}, "max_length", "ids"),
    ],
)
async def test_ids_that_are_none_are_refused(served: Served, body: dict[str, Any], code: str, attr: str) -> None:
    assert error(await served.client.post(f"{served.tasks}summaries/", json=body)) == (400, "validation_error", code, attr)


async def test_reading_many_tasks_needs_the_scope_to_read_alone(served: Served) -> None:
    reader = await served.key_with("task:read")
    task = await served.a_task()
    assert (await served.client.get(f"{served.tasks}repositories/", headers=reader)).status_code == 200
    assert (await served.client.post(f"{served.tasks}summaries/", json={"ids": [task["id"]]}, headers=reader)).status_code == 200
    for method, path in (("GET", "repositories/"), ("POST", "summaries/")):
        answer = await served.client.request(method, f"{served.tasks}{path}", headers={"Authorization": ""})
        assert answer.status_code == 401


async def test_the_longest_list_of_ids_is_answered(served: Served) -> None:
    task = await served.a_task()
    ids = [task["id"], *(str(uuid4()) for _ in range(4999))]
    assert (await served.client.post(f"{served.tasks}summaries/", json={"ids": ids})).json()["count"] == 1
