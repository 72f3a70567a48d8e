"""What an agent asks for that another worker, or a new start, has replaced: refused everywhere (docs/guarantees.md, f)."""

import json
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from hedgerow.db import executions, runs
from hedgerow.domain import run_tokens
from tests.api.conftest import Served

_ITEM = {"name": "n.txt", "type": "artifact", "content": "x"}
_WRITES: dict[tuple[str, str], Any] = {
    ("PATCH", ""): {"stage": "build", "output": {"a": 1}},
    ("PATCH", "set_output/"): {"output": {"a": 1}},
    ("POST", "append_log/"): {"entries": [{"type": "notification", "notification": {"method": "x"}}]},
    ("POST", "relay_message/"): {"text": "Done."},
    ("POST", "artifacts/"): {"artifacts": [_ITEM]},
    ("POST", "artifacts/prepare_upload/"): {"artifacts": [{"name": "n.txt", "type": "artifact", "size": 1}]},
}
"""What an agent may do with its own run's token."""

_COUNTS = """
    SELECT (SELECT head FROM journals WHERE run_id = %(id)s) AS head, (SELECT count(*) FROM relays WHERE run_id = %(id)s) AS relays,
        (SELECT count(*) FROM artifacts WHERE run_id = %(id)s) AS artifacts, (SELECT count(*) FROM loose_objects) AS loose
"""

_UPLOADED = {"id": "x", "name": "n.txt", "type": "artifact", "storage_path": "x"}
_ANYTHING = {"artifacts": [_UPLOADED], "storage_path": "x", "jsonrpc": "2.0", "method": "cancel", "position": 1}
"""A body that has the fields which any other operation asks for."""


def _bearer(served: Served, run: dict[str, Any], epoch: int) -> dict[str, str]:
    return {"Authorization": f"Bearer {run_tokens.mint(served.backends.rules.secrets[0], UUID(run['id']), epoch)}"}


async def _taken_over(served: Served, run: dict[str, Any]) -> None:
    async with served.backends.database.transaction() as tx:
        found = await runs.load_for_update(tx, UUID(run["id"]))
        assert found is not None
        await executions.raise_epoch(tx, found)


async def _stands(served: Served, url: str) -> Any:
    """All that a write of an agent could change."""
    async with served.backends.database.statement() as tx:
        run_id = url.rstrip("/").rpartition("/")[2]
        counted = await (await tx.connection.execute(_COUNTS, {"id": run_id})).fetchone()
    return counted, (await served.client.get(url)).json()


async def test_a_token_of_an_older_epoch_writes_nothing(served: Served) -> None:
    url, run = await served.a_run(mode="interactive")
    thread = {"slack_thread_url": "https://team.slack.com/archives/C1/p1700000000000000"}
    assert (await served.client.patch(url, json={"state": thread})).status_code == 200
    upload = await served.client.post(f"{url}artifacts/prepare_upload/", json=_WRITES["POST", "artifacts/prepare_upload/"])
    item = upload.json()["artifacts"][0]
    await _taken_over(served, run)
    finalize = {"artifacts": [{key: item[key] for key in ("id", "name", "type", "storage_path")}]}
    before = await _stands(served, url)
    for (method, path), body in [*_WRITES.items(), (("POST", "artifacts/finalize_upload/"), finalize)]:
        refused = await served.client.request(method, url + path, json=body, headers=_bearer(served, run, 0))
        assert refused.status_code == 403, (method, path, refused.text)
        assert "taken this run over" in refused.text, (method, path, refused.text)
    assert await _stands(served, url) == before
    for (method, path), body in _WRITES.items():
        accepted = await served.client.request(method, url + path, json=body, headers=_bearer(served, run, 1))
        assert accepted.status_code == 200, (method, path, accepted.text)


async def test_a_token_of_an_older_epoch_opens_nothing_of_its_run(served: Served) -> None:
    url, run = await served.a_run(mode="interactive")
    await _taken_over(served, run)
    described = json.loads((Path(__file__).parents[2] / "openapi.json").read_text())["paths"]
    operations = [(method, path.partition("{run_id}/")[2]) for path, known in described.items() for method in known if "{run_id}/" in path]
    assert len(operations) > len(_WRITES)
    for method, path in operations:
        body = _WRITES.get((method.upper(), path), _ANYTHING)
        place = url + path.replace("{message_id}", str(uuid4()))
        content = {"json": body} if method in {"post", "patch"} else {}
        answer = await served.client.request(method, place, headers=_bearer(served, run, 0), **content)
        assert answer.status_code == 403, (method, path, answer.status_code, answer.text)
