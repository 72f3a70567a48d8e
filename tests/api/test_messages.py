"""The inbox of a run over HTTP (contract 13.4)."""

from typing import Any

import pytest

from hedgerow.db import messages
from hedgerow.domain.ids import uuid7
from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error


async def say(served: Served, url: str, *texts: str) -> None:
    """Put messages into the inbox."""
    for text in texts:
        body = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": text}}
        assert (await served.client.post(f"{url}command/", json=body)).status_code == 200


async def inbox(served: Served, url: str, **query: Any) -> list[dict[str, Any]]:
    """The messages as the API shows them."""
    response = await served.client.get(f"{url}messages/", params=query)
    assert response.status_code == 200, response.text
    return list(response.json()["results"])


async def texts(served: Served, url: str) -> list[str]:
    """What the messages say, in order."""
    return [message["content"] for message in await inbox(served, url)]


async def take(served: Served, run_id: str) -> None:
    """What a worker does before it hands the next message over."""
    async with served.backends.database.transaction() as tx:
        assert await messages.take(tx, run_id, served.backends.clock.now()) is not None  # type: ignore[arg-type]


async def test_the_inbox_is_shown_in_order_and_by_pages(served: Served) -> None:
    url, _ = await served.a_started_run(pending_user_message="first")
    await say(served, url, "second", "third")
    shown = await inbox(served, url)
    assert [(message["position"], message["content"]) for message in shown] == [(1, "first"), (2, "second"), (3, "third")]
    assert {message["status"] for message in shown} == {"queued"}
    assert list(shown[0]) == ["id", "position", "status", "content", "artifacts", "error", "created_at", "taken_at"]
    page = (await served.client.get(f"{url}messages", params={"limit": 2})).json()
    assert (page["count"], len(page["results"]), "offset=2" in page["next"]) == (3, 2, True)
    assert [message["content"] for message in await inbox(served, url, offset=2)] == ["third"]


async def test_a_message_that_waits_is_moved_and_the_others_make_room(served: Served) -> None:
    url, _ = await served.a_started_run(pending_user_message="a")
    await say(served, url, "b", "c", "d")
    ids = {message["content"]: message["id"] for message in await inbox(served, url)}
    moved = await served.client.patch(f"{url}messages/{ids['d']}/", json={"position": 2})
    assert (moved.status_code, moved.json()["position"]) == (200, 2)
    assert await texts(served, url) == ["a", "d", "b", "c"]
    assert (await served.client.patch(f"{url}messages/{ids['a']}", json={"position": 1000})).json()["position"] == 4
    assert await texts(served, url) == ["d", "b", "c", "a"]
    assert (await served.client.post(f"{url}messages/{ids['d']}/demote/")).json()["position"] == 4
    assert (await served.client.post(f"{url}messages/{ids['c']}/promote/")).json()["position"] == 1
    assert await texts(served, url) == ["c", "b", "a", "d"]


async def test_a_message_that_waits_is_taken_back(served: Served) -> None:
    url, run = await served.a_started_run(pending_user_message="never mind")
    await say(served, url, "this rather")
    first = (await inbox(served, url))[0]
    assert (await served.client.delete(f"{url}messages/{first['id']}/")).status_code == 204
    assert (await served.client.delete(f"{url}messages/{first['id']}/")).status_code == 404
    assert await texts(served, url) == ["this rather"]
    assert "pending_user_message" not in (await served.client.get(url)).json()["state"]
    await take(served, run["id"])
    assert (await inbox(served, url))[0]["taken_at"] is not None


async def test_a_message_that_was_taken_is_nobodys_to_change(served: Served) -> None:
    url, run = await served.a_started_run(pending_user_message="on its way")
    await say(served, url, "waits")
    taken, waits = await inbox(served, url)
    await take(served, run["id"])
    for method, path, body in (
        ("PATCH", "", {"position": 2}),
        ("DELETE", "", None),
        ("POST", "promote/", None),
        ("POST", "demote/", None),
    ):
        response = await served.client.request(method, f"{url}messages/{taken['id']}/{path}", json=body)
        assert error(response) == (409, "invalid_request", "message_taken", None), (method, path)
    # What was taken keeps its place, whatever is asked for the others.
    assert (await served.client.patch(f"{url}messages/{waits['id']}/", json={"position": 1})).json()["position"] == 2


async def test_an_agent_at_work_hears_nobody_before_its_turn_is_over(served: Served) -> None:
    url, run = await served.a_started_run(pending_user_message="the turn")
    await say(served, url, "hurry", "wait")
    await take(served, run["id"])
    waiting = await inbox(served, url)
    response = await served.client.post(f"{url}messages/{waiting[2]['id']}/promote/")
    assert (response.status_code, list(response.json())) == (400, ["error"])
    assert await inbox(served, url) == waiting


@pytest.mark.parametrize(
    ("body", "code"),
    [({}, "required"), ({"position": None}, "null"), ({"position": 0}, "min_value"), ({"position": 10**400}, "max_value")],
)
async def test_a_position_that_makes_no_sense_is_named(served: Served, body: dict[str, Any], code: str) -> None:
    url, _ = await served.a_started_run(pending_user_message="a")
    message = (await inbox(served, url))[0]
    assert error(await served.client.patch(f"{url}messages/{message['id']}/", json=body)) == (400, "validation_error", code, "position")
    assert error(await served.client.patch(f"{url}messages/{MISSING}/", json=body))[0] == 400


async def test_messages_are_found_in_their_own_run_alone(served: Served) -> None:
    url, _ = await served.a_started_run(pending_user_message="a")
    other, _ = await served.a_started_run(pending_user_message="b")
    message = (await inbox(served, url))[0]
    for path in (f"{other}messages/{message['id']}/", f"{url}messages/{uuid7()}/", f"{url}messages/x/"):
        assert error(await served.client.delete(path)) == (404, "invalid_request", "not_found", None)
        assert (await served.client.patch(path, json={"position": 1})).status_code == 404
    assert (await served.client.get(f"{served.tasks}{MISSING}/runs/{MISSING}/messages/")).status_code == 404
    assert await texts(served, url) == ["a"]
