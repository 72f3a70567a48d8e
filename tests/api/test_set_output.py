"""PATCH set_output over HTTP (contract 5.4)."""

import json
from typing import Any
from uuid import UUID

import pytest

from hedgerow.domain import run_tokens
from tests.api.conftest import MISSING, Served
from tests.api.test_authentication import error


async def test_an_output_is_replaced_and_the_run_shown(served: Served) -> None:
    url, before = await served.a_run()
    await served.client.patch(f"{url}set_output/", json={"output": {"a": 1}})
    output = {"b": [None, 10**30, "\ud800"]}
    body, headers = json.dumps({"output": output}), {"Content-Type": "application/json"}
    response = await served.client.patch(f"{url}set_output", content=body, headers=headers)
    assert response.status_code == 200
    assert response.json()["output"] == output
    assert list(response.json()) == list(before)


@pytest.mark.parametrize(("body", "code"), [({}, "required"), ({"output": None}, "null")])
async def test_an_output_is_anything_but_null(served: Served, body: dict[str, Any], code: str) -> None:
    url, _ = await served.a_run()
    assert error(await served.client.patch(f"{url}set_output/", json=body)) == (400, "validation_error", code, "output")


async def test_what_does_not_fit_is_refused_with_the_validators_words(served: Served) -> None:
    task = await served.a_task(json_schema={"type": "object", "required": ["answer"]})
    run = (await served.client.post(f"{served.tasks}{task['id']}/run/")).json()["latest_run"]
    url = f"{served.tasks}{task['id']}/runs/{run['id']}/set_output/"
    refused = await served.client.patch(url, json={"output": {}})
    assert (refused.status_code, list(refused.json())) == (400, ["error"])
    assert '"answer" is a required property' in refused.json()["error"]
    token = run_tokens.mint(served.backends.rules.secrets[0], UUID(run["id"]), 0)
    accepted = await served.client.patch(url, json={"output": {"answer": 1}}, headers={"Authorization": f"Bearer {token}"})
    assert (accepted.status_code, accepted.json()["status"]) == (200, "queued")


async def test_an_unknown_run_is_not_found(served: Served) -> None:
    task = await served.a_task()
    response = await served.client.patch(f"{served.tasks}{task['id']}/runs/{MISSING}/set_output/", json={"output": 1})
    assert error(response) == (404, "invalid_request", "not_found", None)
    reader = await served.key_with("task:read")
    url, _ = await served.a_run()
    assert (await served.client.patch(f"{url}set_output/", content=json.dumps({"output": 1}), headers=reader)).status_code == 403
