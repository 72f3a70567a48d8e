"""The record of who did what, over HTTP."""

import pytest

from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error

FIELDS = ["id", "at", "actor", "action", "project", "task", "run", "subject", "detail", "request_id"]


def url(served: Served) -> str:
    return f"/api/projects/{served.project.id}/audit/"


async def test_it_tells_who_did_what_in_which_request(served: Served) -> None:
    task = await served.client.post(served.tasks, json={"title": "A secret plan"}, headers={"X-Request-Id": "mine-7"})
    page = (await served.client.get(url(served), params={"task": task.json()["id"]})).json()
    [entry] = page["results"]
    assert list(entry) == FIELDS
    assert (page["count"], entry["action"], entry["task"], entry["request_id"]) == (1, "task.create", task.json()["id"], "mine-7")
    assert (entry["actor"]["kind"], entry["actor"]["user"]["email"], entry["actor"]["run_id"]) == ("user", served.email, None)
    assert "secret plan" not in str(page)


async def test_it_is_paged_and_narrowed(served: Served) -> None:
    run_url, run = await served.a_run()
    await served.client.patch(run_url, json={"status": "completed"})
    first = (await served.client.get(url(served), params={"run": run["id"], "limit": 1})).json()
    assert (first["count"], first["results"][0]["detail"]) == (2, {"from": "queued", "to": "completed"})
    assert (await served.client.get(first["next"])).json()["results"][0]["action"] == "run.create"
    me = first["results"][0]["actor"]["user"]["id"]
    for query, count in (
        ({"actor": str(me)}, 3),
        ({"actor": "operator"}, 2),
        ({"actor": str(2**40)[:10]}, 0),
        ({"action": "run.move"}, 1),
        ({"after": "2100-01-01T00:00:00Z"}, 0),
        ({"task": MISSING}, 0),
    ):
        assert (await served.client.get(url(served), params=query)).json()["count"] == count, query


@pytest.mark.parametrize(
    ("query", "code", "attr"),
    [
        ({"actor": "somebody"}, "invalid_choice", "actor"),
        ({"action": "task.fly"}, "invalid_choice", "action"),
        ({"run": "x"}, "invalid_input", "run"),
        ({"after": "yesterday"}, "invalid_input", "after"),
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(served: Served, query: dict[str, str], code: str, attr: str) -> None:
    assert error(await served.client.get(url(served), params=query)) == (400, "validation_error", code, attr)


async def test_it_needs_a_key_that_may_everything(served: Served) -> None:
    for scope in ("task:read", "task:write"):
        assert (await served.client.get(url(served), headers=await served.key_with(scope))).status_code == 403
