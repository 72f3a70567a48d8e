"""The live stream (contract 8 and 13.1)."""

import asyncio
import json
import re
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest
from starlette.types import ASGIApp

from hedgerow.api import create_api
from tests.api.conftest import Served, rules
from tests.api.live import Reading, reading
from tests.api.test_authentication import error
from tests.api.test_logs import append, update


def watch(served: Served, app: ASGIApp, url: str, query: str = "", **headers: str) -> AbstractAsyncContextManager[Reading]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return reading(app, f"{url}stream/", {"Authorization": f"Bearer {served.key}", **named}, query)


def data(frame: dict[str, str] | None) -> Any:
    assert frame is not None
    return json.loads(frame["data"])


async def test_a_stream_replays_goes_on_live_and_ends_with_the_run(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()
    await append(served, url, {"n": 1}, {"n": 2})
    async with watch(served, api, url) as stream:
        assert stream.status == 200
        assert stream.headers["content-type"] == "text/event-stream"
        assert (stream.headers["cache-control"], stream.headers["x-accel-buffering"]) == ("no-cache", "no")
        frames = [await stream.frame() for _ in range(3)]
        assert data(frames[0])["type"] == "task_run_state"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00", data(frames[0])["updated_at"])
        assert [data(frame) for frame in frames[1:]] == [{"n": 1}, {"n": 2}]
        await append(served, url, {"n": 3})
        assert data(await stream.frame()) == {"n": 3}
        await served.client.patch(url, json={"status": "completed"})
        last = await stream.rest()
    assert [data(frame)["status"] for frame in last] == ["completed"]
    assert [frame["id"] for frame in [*filter(None, frames), *last]] == ["1", "2", "3", "5"]


async def test_the_first_byte_is_a_comment(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()
    async with watch(served, api, url) as stream:
        first = await stream.piece()
    assert first is not None
    assert first.startswith(b":")


async def test_a_stream_goes_on_strictly_after_the_last_event(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()
    await append(served, url, {"n": 1}, {"n": 2})
    await served.client.patch(url, json={"status": "failed"})
    async with watch(served, api, url, "start=latest", Last_Event_ID="2") as stream:
        assert [frame["id"] for frame in await stream.rest()] == ["3", "4"]
    async with watch(served, api, url, Last_Event_ID="4") as stream:
        assert await stream.rest() == []


@pytest.mark.parametrize("cursor", ["x", "-1", "99", "1.5", "9" * 40, "1-0"])
async def test_a_cursor_that_is_none_is_refused(served: Served, cursor: str) -> None:
    url, _ = await served.a_run()
    response = await served.client.get(f"{url}stream/", headers={"Last-Event-ID": cursor})
    body = response.json()
    assert (response.status_code, body["code"], body["attr"]) == (400, "invalid_cursor", None)


async def test_the_latest_begins_with_a_keepalive_that_names_the_head(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()
    await append(served, url, {"n": 1})
    async with watch(served, api, url, "start=latest") as stream:
        assert await stream.frame() == {"event": "keepalive", "id": "2", "data": '{"type":"keepalive"}'}
        await append(served, url, {"n": 2})
        assert await stream.frame() == {"id": "3", "data": '{"n":2}'}


async def test_message_chunks_pass_live_without_an_id(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()
    async with watch(served, api, url, "start=latest") as stream:
        await stream.frame()
        await append(served, url, {"n": 1}, update("agent_message_chunk"))
        frames = [await stream.frame(), await stream.frame()]
    assert frames[0] == {"id": "2", "data": '{"n":1}'}
    assert frames[1] is not None
    assert "id" not in frames[1]
    assert data(frames[1]) == update("agent_message_chunk")


async def test_a_quiet_stream_sends_keepalives_without_an_id(served: Served) -> None:
    url, _ = await served.a_run()
    quick = create_api(replace(served.backends, rules=rules(keepalive_seconds=0.05)))
    async with watch(served, quick, url, "start=latest") as stream:
        await stream.frame()
        assert await stream.frame() == {"event": "keepalive", "data": '{"type":"keepalive"}'}


async def test_a_long_stream_ends_cleanly(served: Served) -> None:
    url, _ = await served.a_run()
    quick = create_api(replace(served.backends, rules=rules(stream_limit_seconds=0.05)))
    async with watch(served, quick, url) as stream:
        assert ["event" in frame for frame in await stream.rest()] == [False]


@pytest.mark.parametrize("accept", ["application/json", "text/html, application/json", "text/event-stream;q=0", "image/*"])
async def test_an_accept_header_without_event_streams_is_406(served: Served, accept: str) -> None:
    url, _ = await served.a_run()
    response = await served.client.get(f"{url}stream/", headers={"Accept": accept})
    assert error(response) == (406, "invalid_request", "not_acceptable", None)


@pytest.mark.parametrize(
    "accept", ["text/event-stream", "*/*", "text/*;q=0.5, application/json", "", "application/json, TEXT/EVENT-STREAM"]
)
async def test_an_accept_header_with_event_streams_is_heard(served: Served, api: ASGIApp, accept: str) -> None:
    url, _ = await served.a_run()
    async with watch(served, api, url, Accept=accept) as stream:
        assert stream.status == 200


async def test_an_error_of_a_stream_is_still_a_json_body(served: Served) -> None:
    url, _ = await served.a_run()
    missing = url.replace(url.split("/")[-2], "nonsense")
    response = await served.client.get(f"{missing}stream/", headers={"Accept": "text/event-stream"})
    assert error(response) == (404, "invalid_request", "not_found", None)


async def test_many_readers_see_the_same(served: Served, api: ASGIApp) -> None:
    url, _ = await served.a_run()

    async def read() -> list[dict[str, str]]:
        async with watch(served, api, url) as stream:
            return await stream.rest()

    readers = [asyncio.ensure_future(read()) for _ in range(5)]
    for number in range(20):
        await append(served, url, {"n": number})
    await served.client.patch(url, json={"status": "completed"})
    seen = await asyncio.gather(*readers)
    assert [frame["id"] for frame in seen[0]] == [str(number) for number in range(1, 23)]
    assert all(other == seen[0] for other in seen)
