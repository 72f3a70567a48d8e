"""relay_message and the threads of tasks over HTTP (contract 5.8)."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from hedgerow.api import create_api
from hedgerow.db import relays
from hedgerow.db.database import Database
from hedgerow.domain import run_tokens
from tests.api.conftest import MISSING, PUBLIC_URL, Served
from tests.api.test_authentication import error

PERMALINK = "https://team.slack.com/archives/C0123456789/p1700000009000200?thread_ts=1700000000.000100&cid=C0123456789"
SHOWN = {"url": PERMALINK, "channel": "C0123456789", "thread_ts": "1700000000.000100"}


@pytest_asyncio.fixture(loop_scope="session")
async def told(served: Served) -> AsyncIterator[str]:
    """The URL of a run that is told in a thread."""
    url, _ = await served.a_run()
    assert (await served.client.patch(url, json={"state": {"slack_thread_url": PERMALINK}})).status_code == 200
    yield url


async def queued(served: Served, url: str) -> list[str]:
    """What is queued for a run."""
    run = (await served.client.get(url)).json()
    async with served.backends.database.statement() as tx:
        return [relay.text for relay in await relays.of_run(tx, run["id"])]


async def test_a_message_is_accepted_and_trimmed(served: Served, told: str) -> None:
    response = await served.client.post(f"{told}relay_message/", json={"text": "  Done. \n"})
    assert response.status_code == 200
    assert list(response.json()) == ["status", "relay_id"]
    assert response.json()["status"] == "accepted"
    assert await queued(served, told) == ["Done."]


async def test_a_run_without_a_thread_skips(served: Served) -> None:
    url, _ = await served.a_run()
    response = await served.client.post(f"{url}relay_message", json={"text": "Done."})
    assert (response.status_code, response.json()) == (200, {"status": "skipped"})


async def test_a_run_that_has_ended_skips(served: Served, told: str) -> None:
    await served.client.patch(told, json={"status": "completed"})
    response = await served.client.post(f"{told}relay_message/", json={"text": "Done."})
    assert (response.status_code, response.json()) == (200, {"status": "skipped"})


async def test_the_run_token_of_the_agent_may_speak_for_its_own_run_alone(served: Served, told: str) -> None:
    run = (await served.client.get(told)).json()
    own = {"Authorization": f"Bearer {run_tokens.mint(served.backends.rules.secrets[0], UUID(run['id']), 0)}"}
    assert (await served.client.post(f"{told}relay_message/", json={"text": "Done."}, headers=own)).json()["status"] == "accepted"
    other, _ = await served.a_run()
    assert (await served.client.post(f"{other}relay_message/", json={"text": "Done."}, headers=own)).status_code in {403, 404}


async def test_reading_is_not_enough_to_speak(served: Served, told: str) -> None:
    response = await served.client.post(f"{told}relay_message/", json={"text": "Done."}, headers=await served.key_with("task:read"))
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"text": None}, "null"),
        ({"text": "  \n "}, "blank"),
        ({"text": "x" * 10_001}, "max_length"),
        ({"text": ["x"]}, "invalid_input"),
        ({"text": "a\x00b"}, "invalid_input"),
    ],
)
async def test_a_bad_text_is_named_and_nothing_is_queued(served: Served, told: str, body: dict[str, Any], code: str) -> None:
    response = await served.client.post(f"{told}relay_message/", json=body)
    assert error(response) == (400, "validation_error", code, "text")
    assert await queued(served, told) == []
    missing = await served.client.post(f"{served.tasks}{MISSING}/runs/{MISSING}/relay_message/", json=body)
    assert missing.status_code == 400


async def test_half_a_character_is_named(served: Served, told: str) -> None:
    headers = {"Content-Type": "application/json"}
    response = await served.client.post(f"{told}relay_message/", content=b'{"text": "a\\ud800b"}', headers=headers)
    assert error(response) == (400, "validation_error", "invalid_input", "text")


async def test_the_longest_text_is_taken(served: Served, told: str) -> None:
    response = await served.client.post(f"{told}relay_message/", json={"text": f" {'ö' * 10_000} "})
    assert response.json()["status"] == "accepted"


async def test_a_run_that_is_not_there_is_not_found(served: Served) -> None:
    response = await served.client.post(f"{served.tasks}{MISSING}/runs/{MISSING}/relay_message/", json={"text": "Done."})
    assert error(response) == (404, "invalid_request", "not_found", None)


async def test_the_same_message_under_one_key_is_queued_once(served: Served, told: str) -> None:
    headers = {"Idempotency-Key": f"a-message-of-{told}"[:200]}
    first = await served.client.post(f"{told}relay_message/", json={"text": "Done."}, headers=headers)
    again = await served.client.post(f"{told}relay_message/", json={"text": "Done."}, headers=headers)
    assert first.json() == again.json()
    assert again.headers["Idempotent-Replay"] == "true"
    assert await queued(served, told) == ["Done."]


async def test_a_queue_that_takes_nothing_is_told_as_the_contract_says(served: Served, told: str) -> None:
    gone = Database(served.backends.database.url)
    await gone.open()
    await gone.close()
    api = create_api(replace(served.backends, database=gone))
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=served.client.headers) as client:
        response = await client.post(f"{told}relay_message/", json={"text": "Done."})
    assert response.status_code == 503
    assert list(response.json()) == ["error"]


async def test_a_task_is_mapped_to_a_thread_and_let_go(served: Served) -> None:
    url = f"{served.tasks}{(await served.a_task())['id']}/slack_thread/"
    assert (await served.client.get(url)).status_code == 404
    assert (await served.client.delete(url)).status_code == 404
    made = await served.client.post(url, json={"url": f" {PERMALINK} "})
    assert (made.status_code, made.json()) == (201, SHOWN)
    other = PERMALINK.replace("C0123456789", "C9999")
    assert (await served.client.post(url, json={"url": other})).json()["channel"] == "C9999"
    assert (await served.client.get(url)).json() == {"url": other, "channel": "C9999", "thread_ts": "1700000000.000100"}
    assert (await served.client.delete(url)).status_code == 204
    assert (await served.client.get(url)).status_code == 404


async def test_a_message_of_a_mapped_task_is_accepted(served: Served) -> None:
    url, run = await served.a_run()
    await served.client.post(f"{served.tasks}{run['task']}/slack_thread/", json={"url": PERMALINK})
    assert (await served.client.post(f"{url}relay_message/", json={"text": "Done."})).json()["status"] == "accepted"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "required"),
        ({"url": None}, "null"),
        ({"url": " "}, "blank"),
        ({"url": 5}, "invalid_input"),
        ({"url": "https://example.test/archives/C0123456789/p1700000000000100"}, "invalid_input"),
    ],
)
async def test_a_bad_permalink_is_named_and_nothing_is_changed(served: Served, body: dict[str, Any], code: str) -> None:
    url = f"{served.tasks}{(await served.a_task())['id']}/slack_thread/"
    await served.client.post(url, json={"url": PERMALINK})
    assert error(await served.client.post(url, json=body)) == (400, "validation_error", code, "url")
    assert (await served.client.get(url)).json() == SHOWN


async def test_the_thread_of_a_task_that_is_not_there_is_not_found(served: Served) -> None:
    task = await served.a_task()
    await served.client.post(f"{served.tasks}{task['id']}/slack_thread/", json={"url": PERMALINK})
    await served.client.delete(f"{served.tasks}{task['id']}/")
    for task_id in (task["id"], MISSING, "nonsense"):
        url = f"{served.tasks}{task_id}/slack_thread/"
        assert (await served.client.get(url)).status_code == 404
        assert (await served.client.post(url, json={"url": PERMALINK})).status_code == 404
        assert (await served.client.delete(url)).status_code == 404
