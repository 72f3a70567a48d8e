"""Idempotency-Key (contract 13.1)."""

import asyncio

from tests.api.conftest import Served
from tests.api.test_authentication import error

KEY = {"Idempotency-Key": "k-1"}


async def test_the_same_key_and_body_do_nothing_again(served: Served) -> None:
    first = await served.client.post(served.tasks, json={"title": "once"}, headers=KEY)
    again = await served.client.post(served.tasks.rstrip("/"), json={"title": "once"}, headers=KEY)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    assert "idempotent-replay" not in first.headers
    assert again.headers["idempotent-replay"] == "true"
    assert (await served.client.get(served.tasks)).json()["count"] == 1


async def test_another_body_under_the_key_is_a_conflict(served: Served) -> None:
    await served.client.post(served.tasks, json={"title": "once"}, headers=KEY)
    response = await served.client.post(served.tasks, json={"title": "twice"}, headers=KEY)
    assert error(response) == (409, "invalid_request", "idempotency_conflict", None)


async def test_only_success_is_kept(served: Served) -> None:
    assert (await served.client.post(served.tasks, json={"title": None}, headers=KEY)).status_code == 400
    assert (await served.client.post(served.tasks, json={"title": "now"}, headers=KEY)).status_code == 201


async def test_a_second_call_waits_for_the_first(served: Served) -> None:
    task = await served.a_task()
    url = f"{served.tasks}{task['id']}/run/"
    responses = await asyncio.gather(*(served.client.post(url, headers=KEY) for _ in range(4)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.json()["latest_run"]["id"] for response in responses}) == 1
    assert sorted("idempotent-replay" in response.headers for response in responses) == [False, True, True, True]


async def test_the_key_is_the_callers_and_the_paths_own(served: Served) -> None:
    task = await served.a_task()
    ids = {(await served.client.post(f"{served.tasks}{task['id']}/runs/", headers=KEY)).json()["id"]}
    other = {**KEY, **await served.key_with("*")}
    ids.add((await served.client.post(f"{served.tasks}{task['id']}/runs/", headers=other)).json()["id"])
    another = await served.a_task()
    ids.add((await served.client.post(f"{served.tasks}{another['id']}/runs/", headers=KEY)).json()["id"])
    assert len(ids) == 3


async def test_appends_and_commands_hear_the_key(served: Served) -> None:
    url, run = await served.a_started_run()
    message = {"jsonrpc": "2.0", "method": "user_message", "params": {"content": "x"}}
    for path, body in ((f"{url}append_log/", {"entries": [{"a": 1}]}), (f"{url}command/", message)):
        first = await served.client.post(path, json=body, headers=KEY)
        again = await served.client.post(path, json=body, headers=KEY)
        assert (first.status_code, again.status_code) == (200, 200)
        assert again.headers["idempotent-replay"] == "true"
    assert (await served.client.get(f"{url}session_logs/")).json() == [{"a": 1}]
    async with served.backends.database.statement() as tx:
        rows = await tx.connection.execute("SELECT 1 FROM messages WHERE run_id = %s AND content = 'x'", (run["id"],))
        assert len(await rows.fetchall()) == 1


async def test_a_key_that_cannot_be_kept_is_refused(served: Served) -> None:
    response = await served.client.post(served.tasks, json={}, headers={"Idempotency-Key": "x" * 256})
    assert error(response)[:3] == (400, "validation_error", "invalid_input")
