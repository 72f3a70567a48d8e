"""The journal over HTTP (contract 5.3, 7, 13.1, 13.4)."""

import json
from typing import Any

import httpx
import pytest

from tests.api.conftest import PUBLIC_URL, Served
from tests.api.test_authentication import error


def note(method: str, timestamp: str | None = None, **params: Any) -> dict[str, Any]:
    entry = {"type": "notification", "notification": {"jsonrpc": "2.0", "method": method, "params": params}}
    return entry if timestamp is None else {**entry, "timestamp": timestamp}


def update(kind: str) -> dict[str, Any]:
    return note("session/update", update={"sessionUpdate": kind})


async def append(served: Served, url: str, *entries: Any) -> httpx.Response:
    response = await served.client.post(f"{url}append_log/", json={"entries": list(entries)})
    assert response.status_code == 200, response.text
    return response


async def send(served: Served, url: str, body: bytes) -> httpx.Response:
    return await served.client.post(f"{url}append_log/", content=body, headers={"Content-Type": "application/json"})


async def test_appended_entries_come_back_as_they_were_sent(served: Served) -> None:
    url, run = await served.a_run()
    sources = [
        '{"b":1,"a":1.50,"é":"\\u00e9"}',
        '{"a":"\\u0000\\ud800"}',
        '{"n":123456789012345678901234567890,"x":1E+2}',
        '{"type":"info"}',
    ]
    response = await send(served, url, ('{"entries": [' + ", ".join(sources) + "]}").encode())
    assert response.json() == run
    assert response.headers["server-timing"].startswith("s3_append;dur=")
    logs = await served.client.get(f"{url}logs")
    assert logs.content.decode() == "".join(source + "\n" for source in sources)
    assert logs.headers["content-type"].startswith("application/jsonl")
    assert logs.headers["cache-control"] == "no-cache"
    assert logs.headers["server-timing"].startswith("s3_read;dur=")
    session = await served.client.get(f"{url}session_logs/")
    reading, filtering = (metric.partition(";dur=") for metric in session.headers["server-timing"].split(", "))
    assert (reading[0], filtering[0]) == ("s3_read", "filter")
    assert session.content.decode() == "[" + ",".join(sources) + "]"


async def test_message_chunks_are_not_stored(served: Served) -> None:
    url, _ = await served.a_run()
    await append(served, url, update("agent_message_chunk"))
    assert (await served.client.get(f"{url}logs/")).content == b""
    await append(served, url, update("agent_message_chunk"), update("agent_message"))
    assert (await served.client.get(f"{url}session_logs/")).json() == [update("agent_message")]


@pytest.mark.parametrize(
    ("body", "kind", "code", "attr"),
    [
        (b"", "validation_error", "required", "entries"),
        (b"{}", "validation_error", "required", "entries"),
        (b'{"entries": null}', "validation_error", "null", "entries"),
        (b'{"entries": {}}', "validation_error", "not_a_list", "entries"),
        (b'{"entries": "x"}', "validation_error", "not_a_list", "entries"),
        (b'{"entries": []}', "validation_error", "invalid_input", "entries"),
        (b'{"entries": [{}, 5]}', "validation_error", "not_a_dict", "entries__1"),
        (b'{"entries": [{}, {}, null, []]}', "validation_error", "not_a_dict", "entries__2"),
        (b"[]", "validation_error", "not_a_dict", None),
        (b"{", "invalid_request", "parse_error", None),
        (b'{"entries": [{"a": "\xff"}]}', "invalid_request", "parse_error", None),
        (b'{"entries": [{"a": NaN}]}', "invalid_request", "parse_error", None),
        (b'{"entries": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}", "invalid_request", "parse_error", None),
    ],
)
async def test_bad_entries_are_named_and_nothing_is_stored(served: Served, body: bytes, kind: str, code: str, attr: str | None) -> None:
    url, _ = await served.a_run()
    assert error(await send(served, url, body)) == (400, kind, code, attr)
    assert (await served.client.get(f"{url}session_logs/")).json() == []


async def test_entries_come_as_json_only(served: Served) -> None:
    url, _ = await served.a_run()
    response = await served.client.post(f"{url}append_log/", data={"entries": "x"})
    assert error(response) == (415, "invalid_request", "unsupported_media_type", None)


async def test_logs_of_a_resumed_run_begin_with_its_ancestors(served: Served) -> None:
    url, run = await served.a_run()
    await append(served, url, {"n": 1})
    task = url.split("runs/")[0]
    resumed = (await served.client.post(f"{task}run/", json={"resume_from_run_id": run["id"]})).json()["latest_run"]
    newer = f"{task}runs/{resumed['id']}/"
    await append(served, newer, {"n": 2})
    lines = (await served.client.get(f"{newer}logs/")).text.splitlines()
    assert [json.loads(line)["n"] for line in lines if "n" in json.loads(line)] == [1, 2]
    assert (await served.client.get(f"{newer}session_logs/")).json()[-1] == {"n": 2}


async def test_a_log_url_answers_without_a_key(served: Served) -> None:
    url, run = await served.a_run()
    assert (await served.client.get(run["log_url"], headers={"Authorization": ""})).content == b""
    await append(served, url, {"n": 1})
    assert run["log_url"].startswith(PUBLIC_URL)
    response = await served.client.get(run["log_url"], headers={"Authorization": ""})
    assert (response.status_code, response.text) == (200, '{"n":1}\n')
    assert (await served.client.get(url)).json()["log_url"] == run["log_url"]


async def test_a_log_url_that_was_changed_does_not_open(served: Served) -> None:
    _, run = await served.a_run()
    _, other = await served.a_run()
    for wrong in (run["log_url"][:-1] + "_", run["log_url"].split("?")[0], run["log_url"].replace(run["id"], other["id"])):
        assert (await served.client.get(wrong, headers={"Authorization": ""})).status_code == 403
    later = run["log_url"].replace("expires=", "expires=9")
    assert (await served.client.get(later, headers={"Authorization": ""})).status_code == 403


async def _session(served: Served, url: str, **query: Any) -> tuple[list[Any], list[str]]:
    response = await served.client.get(f"{url}session_logs/", params=query)
    assert response.status_code == 200, response.text
    names = ("x-total-count", "x-filtered-count", "x-matching-count", "x-has-more")
    assert response.headers["cache-control"] == "no-cache"
    return response.json(), [response.headers[name] for name in names]


async def test_session_logs_are_narrowed_and_paged(served: Served) -> None:
    url, _ = await served.a_run()
    assert await _session(served, url) == ([], ["0", "0", "0", "false"])
    entries = [note("a"), update("tool_call"), note("b"), update("plan"), {"type": "info"}]
    await append(served, url, *entries)
    assert await _session(served, url) == (entries, ["5", "5", "5", "false"])
    assert await _session(served, url, limit=2, offset=2) == (entries[2:4], ["5", "5", "5", "true"])
    assert await _session(served, url, event_types=" a , plan ,") == ([entries[0], entries[3]], ["5", "2", "2", "false"])
    assert await _session(served, url, exclude_types="a,plan") == ([entries[1], entries[2], entries[4]], ["5", "3", "3", "false"])
    assert await _session(served, url, event_types="a,b", exclude_types="b") == ([entries[0]], ["5", "1", "1", "false"])
    assert await _session(served, url, offset=9, limit=5000) == ([], ["5", "5", "5", "false"])
    assert await _session(served, url, event_types="", after="", limit="", offset="") == (entries, ["5", "5", "5", "false"])


async def test_session_logs_after_an_instant_are_strictly_later(served: Served) -> None:
    url, _ = await served.a_run()
    stamps = ["2026-05-07T10:00:00.000Z", "2026-05-07T12:00:01+02:00", "2026-05-07T10:00:02", "soon", None]
    await append(served, url, *(note(str(number), stamp) for number, stamp in enumerate(stamps)))

    async def after(value: str) -> list[str]:
        return [entry["notification"]["method"] for entry in (await _session(served, url, after=value))[0]]

    assert await after("2026-05-07T10:00:00Z") == ["1", "2"]
    assert await after("2026-05-07T12:00:00+02:00") == ["1", "2"]
    assert await after("2026-05-07T10:00:01") == ["2"]
    assert await after("2026-05-07") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"after": "yesterday"}, "invalid_input"),
        ({"after": "5"}, "invalid_input"),
        ({"limit": "0"}, "min_value"),
        ({"limit": "5001"}, "max_value"),
        ({"limit": "x"}, "invalid_input"),
        ({"offset": "-1"}, "min_value"),
        ({"offset": "9" * 40}, "max_value"),
        ({"event_types": "\x00"}, "invalid_input"),
    ],
)
async def test_a_bad_value_of_session_logs_is_named(served: Served, query: dict[str, str], code: str) -> None:
    url, _ = await served.a_run()
    response = await served.client.get(f"{url}session_logs/", params=query)
    assert error(response) == (400, "validation_error", code, next(iter(query)))


async def test_a_log_of_many_pages_arrives_whole(served: Served) -> None:
    url, _ = await served.a_run()
    for start in range(0, 3000, 1000):
        await append(served, url, *({"n": n} for n in range(start, start + 1000)))
    lines = (await served.client.get(f"{url}logs")).text.splitlines()
    assert [json.loads(line)["n"] for line in lines] == list(range(3000))
    entries, counts = await _session(served, url, limit=2500)
    assert ([entry["n"] for entry in entries], counts[-1]) == (list(range(2500)), "true")
