"""What agents ask leave for, over HTTP."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from hedgerow.db import runs
from hedgerow.domain import run_tokens
from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error

OPTIONS = [{"optionId": "yes", "name": "Yes", "kind": "allow_once"}, {"optionId": "no", "name": "No", "kind": "reject_once"}]
FIELDS = [
    "id",
    "task",
    "run",
    "state",
    "options",
    "tool_call",
    "asked_at",
    "deadline",
    "option_id",
    "custom_input",
    "answers",
    "answered_at",
    "answered_by",
    "reason",
    "delivered_at",
]


def token(served: Served, run_id: UUID) -> dict[str, str]:
    """What the agent server of a run authenticates with."""
    return {"Authorization": f"Bearer {run_tokens.mint(served.backends.rules.secrets[0], run_id, 0)}"}


async def a_run_that_asks(served: Served, *request_ids: str, **fields: Any) -> tuple[str, dict[str, Any]]:
    """The URL of a run whose agent server is there and asks, and the run."""
    url, run = await served.a_started_run(pending_user_message="Mend it", **fields)
    async with served.backends.database.transaction() as tx:
        found = await runs.note(tx, run["id"], {"sandbox": {"provider": "process", "id": "1"}})
    entries = [
        {"type": "permission_request", "requestId": request_id, "options": OPTIONS, "toolCall": {"title": "Write \ud800"}}
        for request_id in request_ids
    ]
    body = json.dumps({"entries": entries}).encode()
    headers = {**token(served, found.id), "Content-Type": "application/json"}
    assert (await served.client.post(f"{url}append_log/", content=body, headers=headers)).status_code == 200
    return url, run


async def answer(served: Served, url: str, request_id: str, option_id: str, **sent: Any) -> dict[str, Any]:
    """What a permission_response answers."""
    params = {"requestId": request_id, "optionId": option_id, **sent}
    response = await served.client.post(
        f"{url}command/", json={"jsonrpc": "2.0", "id": 7, "method": "permission_response", "params": params}
    )
    assert response.status_code == 200, response.text
    return dict(response.json())


async def test_a_request_is_shown_with_its_answer(served: Served) -> None:
    url, run = await a_run_that_asks(served, "a", "b", mode="interactive")
    assert await answer(served, url, "a", "yes", customInput="Go on", answers={"q": "a"}) == {
        "jsonrpc": "2.0",
        "id": 7,
        "result": {"resolved": True},
    }
    page = (await served.client.get(f"{url}permission_requests")).json()
    assert (page["count"], page["next"], page["previous"]) == (2, None, None)
    answered, waiting = page["results"]
    assert list(answered) == FIELDS
    assert (answered["id"], answered["state"], answered["option_id"], answered["run"]) == ("a", "answered", "yes", run["id"])
    assert (answered["custom_input"], answered["answers"], answered["tool_call"]) == ("Go on", {"q": "a"}, {"title": "Write \ud800"})
    assert isinstance(answered["answered_by"], int)
    assert datetime.fromisoformat(answered["answered_at"]) <= datetime.now(UTC)
    assert (waiting["state"], waiting["option_id"], waiting["answered_at"], waiting["deadline"]) == ("waiting", None, None, None)
    assert waiting["options"] == OPTIONS


async def test_one_answer_of_fifty_at_once_takes_effect_and_the_others_are_told_so(served: Served) -> None:
    url, _ = await a_run_that_asks(served, "a")
    answers = await asyncio.gather(*(answer(served, url, "a", option) for option in ["yes", "no"] * 25))
    lost = [found["error"] for found in answers if "error" in found]
    assert [found["result"] for found in answers if "result" in found] == [{"resolved": True}]
    assert len(lost) == 49
    assert {found["code"] for found in lost} == {-32000}
    assert all("permission request a was answered already" in found["message"] for found in lost)


async def test_the_same_key_gives_the_first_answer_again(served: Served) -> None:
    url, _ = await a_run_that_asks(served, "a")
    body = {"jsonrpc": "2.0", "method": "permission_response", "params": {"requestId": "a", "optionId": "yes"}}
    for replayed in (None, "true"):
        response = await served.client.post(f"{url}command/", json=body, headers={"Idempotency-Key": "k"})
        assert response.json()["result"] == {"resolved": True}
        assert response.headers.get("Idempotent-Replay") == replayed


async def test_lists_are_narrowed_by_state_and_paged(served: Served) -> None:
    url, _ = await a_run_that_asks(served, "a", "b", "c")
    of_project = f"/api/projects/{served.project.id}/permission_requests/"
    await answer(served, url, "b", "no")
    for address in (f"{url}permission_requests/", of_project):
        found = (await served.client.get(address, params={"state": "waiting", "limit": 1})).json()
        assert (found["count"], [request["id"] for request in found["results"]]) == (2, ["a"])
        assert "state=waiting" in found["next"]
        assert [request["id"] for request in (await served.client.get(found["next"])).json()["results"]] == ["c"]
    assert [request["id"] for request in (await served.client.get(of_project)).json()["results"]] == ["a", "b", "c"]


@pytest.mark.parametrize("state", ["open", "WAITING"])
async def test_a_state_that_is_none_is_refused(served: Served, state: str) -> None:
    url, _ = await a_run_that_asks(served, "a")
    for address in (f"{url}permission_requests/", f"/api/projects/{served.project.id}/permission_requests/"):
        response = await served.client.get(address, params={"state": state})
        assert (response.status_code, response.json()["code"], response.json()["attr"]) == (400, "invalid_choice", "state")


async def test_who_may_see_them(served: Served) -> None:
    url, run = await a_run_that_asks(served, "a")
    missing = url.replace(run["id"], MISSING)
    assert (await served.client.get(f"{missing}permission_requests/")).status_code == 404
    reader = await served.key_with("task:read")
    assert (await served.client.get(f"{url}permission_requests/", headers=reader)).status_code == 200
    stranger = {"Authorization": "Bearer phx_unknown"}
    response = await served.client.get(f"/api/projects/{served.project.id}/permission_requests/", headers=stranger)
    assert error(response) == (401, "authentication_error", "authentication_failed", None)
    agent = token(served, UUID(run["id"]))
    for address in (f"{url}permission_requests/", f"/api/projects/{served.project.id}/permission_requests/"):
        assert (await served.client.get(address, headers=agent)).status_code == 403
