"""Readiness, its counts and the project's switches over HTTP (contract 10)."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.conftest import Served
from tests.api.test_authentication import error

FIELDS = [
    "repository",
    "classification",
    "excluded",
    "coreSuggestions",
    "replayInsights",
    "errorInsights",
    "overall",
    "evidenceTaskCount",
    "windowDays",
    "generatedAt",
    "cacheAgeSeconds",
]


async def ask(served: Served, **query: Any) -> Any:
    return await served.client.get(f"{served.tasks}repository_readiness/", params=query)


async def test_a_repository_without_integration_needs_setup(served: Served) -> None:
    response = await ask(served, repository=" Acme/Web ")
    body = response.json()
    assert (response.status_code, list(body)) == (200, FIELDS)
    assert list(body["coreSuggestions"]) == ["state", "estimated", "reason", "evidence"]
    assert (body["coreSuggestions"]["state"], body["coreSuggestions"]["estimated"]) == ("needs_setup", True)
    assert (body["repository"], body["classification"], body["excluded"]) == ("acme/web", "unknown", False)
    assert (body["overall"], body["evidenceTaskCount"], body["windowDays"], body["cacheAgeSeconds"]) == ("needs_setup", 0, 7, 0)
    assert datetime.fromisoformat(body["generatedAt"]).utcoffset() == timedelta(0)
    assert body["generatedAt"].endswith("+00:00")


@pytest.mark.parametrize(
    ("query", "code", "attr"),
    [
        ({}, "required", "repository"),
        ({"repository": ""}, "required", "repository"),
        ({"repository": "  "}, "required", "repository"),
        ({"repository": "web"}, "invalid_input", "repository"),
        ({"repository": "a/b/c"}, "invalid_input", "repository"),
        ({"repository": "a /b"}, "invalid_input", "repository"),
        ({"repository": "a/b\x00"}, "invalid_input", "repository"),
        ({"repository": "a/" + "b" * 255}, "max_length", "repository"),
        ({"repository": "a/b", "window_days": 0}, "min_value", "window_days"),
        ({"repository": "a/b", "window_days": 31}, "max_value", "window_days"),
        ({"repository": "a/b", "window_days": "1" * 400}, "max_value", "window_days"),
        ({"repository": "a/b", "window_days": "soon"}, "invalid_input", "window_days"),
        ({"repository": "a/b", "refresh": "perhaps"}, "invalid_input", "refresh"),
        ({"repository": "web", "window_days": 0}, "invalid_input", "repository"),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(served: Served, query: dict[str, Any], code: str, attr: str) -> None:
    assert error(await ask(served, **query)) == (400, "validation_error", code, attr)


async def test_empty_values_count_as_absent_and_booleans_may_be_written_in_many_ways(served: Served) -> None:
    for refresh in ("", "1", "0", "t", "F", "yes", "No", "true"):
        response = await ask(served, repository="a/b", window_days="", refresh=refresh)
        assert (response.status_code, response.json()["windowDays"]) == (200, 7)
    assert (await ask(served, repository="a/b", window_days=30)).json()["windowDays"] == 30


async def test_the_name_of_the_endpoint_is_no_id_of_a_task(served: Served) -> None:
    assert (await served.client.get(f"{served.tasks}repository_readiness", params={"repository": "a/b"})).status_code == 200
    assert (await served.client.options(f"{served.tasks}repository_readiness/")).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await served.client.head(f"{served.tasks}repository_readiness/", params={"repository": "a/b"})).status_code == 200


async def test_readiness_needs_the_scope_to_read(served: Served) -> None:
    reader = await served.key_with("task:read")
    url = f"{served.tasks}repository_readiness/"
    assert (await served.client.get(url, params={"repository": "a/b"}, headers=reader)).status_code == 200
    assert (await served.client.get(url, headers={"Authorization": ""})).status_code == 401


async def test_a_count_is_reported_and_reported_again(served: Served) -> None:
    url = f"/api/projects/{served.project.id}/insight_counts/"
    body = {"kind": "event", "name": " bought ", "day": datetime.now(UTC).date().isoformat(), "count": 3}
    for count in (3, 4, 4):
        response = await served.client.post(url, json=body | {"count": count})
        assert (response.status_code, response.json()) == (200, body | {"name": "bought", "count": count})
    reader = await served.key_with("task:read")
    assert (await served.client.post(url, json=body, headers=reader)).status_code == 403


@pytest.mark.parametrize(
    ("change", "code", "attr"),
    [
        ({"kind": "clicks"}, "invalid_choice", "kind"),
        ({"name": ""}, "blank", "name"),
        ({"name": "a\x00"}, "invalid_input", "name"),
        ({"name": "\ud800"}, "invalid_input", "name"),
        ({"name": None}, "null", "name"),
        ({"day": "yesterday"}, "invalid_input", "day"),
        ({"day": "1999-01-01"}, "invalid_input", "day"),
        ({"day": 10**30}, "invalid_input", "day"),
        ({"count": -1}, "min_value", "count"),
        ({"count": 2**31}, "max_value", "count"),
        ({"count": True}, "invalid_input", "count"),
        ({"count": 1.5}, "invalid_input", "count"),
    ],
)
async def test_a_count_that_makes_no_sense_is_refused(served: Served, change: dict[str, Any], code: str, attr: str) -> None:
    body = {"kind": "event", "name": "bought", "day": datetime.now(UTC).date().isoformat(), "count": 3, **change}
    content = json.dumps(body)
    response = await served.client.post(
        f"/api/projects/{served.project.id}/insight_counts/", content=content, headers={"Content-Type": "application/json"}
    )
    assert error(response) == (400, "validation_error", code, attr)


async def test_switches_of_a_project_are_turned_and_seen_at_once(served: Served) -> None:
    url = f"/api/projects/{served.project.id}/"
    names = ["proactive_tasks_enabled", "session_recording_opt_in", "autocapture_exceptions_opt_in"]
    before = (await served.client.get(url)).json()
    assert [before[name] for name in names] == [False, False, False]

    changed = await served.client.patch(url, json={"session_recording_opt_in": True, "name": "Not changed"})

    assert (changed.status_code, changed.json()) == (200, before | {"session_recording_opt_in": True})
    assert (await served.client.get(url)).json() == changed.json()
    assert (await served.client.get("/api/users/@me/")).json()["team"] == changed.json()
    assert (await served.client.patch(url)).json() == changed.json()


@pytest.mark.parametrize(("value", "code"), [(None, "null"), ("perhaps", "invalid_input"), ([], "invalid_input")])
async def test_a_switch_is_on_or_off(served: Served, value: Any, code: str) -> None:
    response = await served.client.patch(f"/api/projects/{served.project.id}/", json={"session_recording_opt_in": value})
    assert error(response) == (400, "validation_error", code, "session_recording_opt_in")


async def test_switches_need_the_scope_to_write(served: Served) -> None:
    reader = await served.key_with("task:read")
    response = await served.client.patch(f"/api/projects/{served.project.id}/", json={}, headers=reader)
    assert response.status_code == 403
