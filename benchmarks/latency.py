"""From the beginning of an append to the arrival of its event on a stream, against a bare commit and NOTIFY through PostgreSQL."""

import asyncio
import json
import time
from collections.abc import AsyncIterator

import httpx
import psycopg

from benchmarks.house import House
from benchmarks.report import Figure, percentile

EVENTS = 300
_PAUSE_SECONDS = 0.005


async def _arrivals(answer: httpx.Response) -> AsyncIterator[tuple[int, float]]:
    async for line in answer.aiter_lines():
        if line.startswith("data:") and '"bench"' in line:
            yield json.loads(line[5:])["bench"], time.monotonic()


async def _ours(house: House) -> list[float]:
    task_id = house.make_task()
    run = f"{house.tasks}{task_id}/runs/{house.make_run(task_id)}/"
    headers = {"Authorization": f"Bearer {house.api_key}"}
    sent: dict[int, float] = {}
    latencies = []
    async with (
        httpx.AsyncClient(base_url=house.url, headers=headers, timeout=30) as http,
        http.stream("GET", f"{run}stream/", headers={"Accept": "text/event-stream"}) as answer,
    ):
        appending = asyncio.create_task(_append(http, run, sent))
        async for number, arrived in _arrivals(answer):
            latencies.append(arrived - sent[number])
            if len(latencies) == EVENTS:
                break
        await appending
    return latencies


async def _append(http: httpx.AsyncClient, run: str, sent: dict[int, float]) -> None:
    for number in range(EVENTS):
        sent[number] = time.monotonic()
        (await http.post(f"{run}append_log/", json={"entries": [{"bench": number}]})).raise_for_status()
        await asyncio.sleep(_PAUSE_SECONDS)


async def _bare(url: str) -> list[float]:
    latencies = []
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as listener,
        await psycopg.AsyncConnection.connect(url, autocommit=True) as writer,
    ):
        await listener.execute("LISTEN bench")
        await writer.execute("CREATE TABLE IF NOT EXISTS bench (text text)")
        for number in range(EVENTS):
            began = time.monotonic()
            await writer.execute("INSERT INTO bench VALUES (%s)", [str(number)])
            await writer.execute("SELECT pg_notify('bench', %s)", [str(number)])
            await anext(listener.notifies(stop_after=1))
            latencies.append(time.monotonic() - began)
            await asyncio.sleep(_PAUSE_SECONDS)
        await writer.execute("DROP TABLE bench")
    return latencies


def measure(house: House, database_url: str) -> list[Figure]:
    """Median and 99th percentile of both."""
    ours, bare = asyncio.run(_ours(house)), asyncio.run(_bare(database_url))
    p50, p99, yardstick = (percentile(ours, 0.5) * 1000, percentile(ours, 0.99) * 1000, percentile(bare, 0.99) * 1000)
    value, against = f"p50 {p50:.1f} ms, p99 {p99:.1f} ms", f"INSERT and NOTIFY: p99 {yardstick:.1f} ms"
    return [Figure("append to stream", value, against, f"{p99 / yardstick:.1f}", "told, not bounded", True)]
