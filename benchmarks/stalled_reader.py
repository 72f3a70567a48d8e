"""40 MB of events past a reader that does not read: what it costs the server, and those who do read."""

import asyncio
import json
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import httpx

from benchmarks.house import House
from benchmarks.memory import Watch
from benchmarks.report import Figure, percentile

MEGABYTES = 40
GROWTH_MEGABYTES = 10.0
SLOWER = 1.25
_ENTRY_BYTES = 100_000
_EVENTS = MEGABYTES * 1_000_000 // _ENTRY_BYTES
_ROUNDS = 2


def measure(house: House) -> list[Figure]:
    """In turns with and without the stalled reader, on a run of its own each: growth of the server, and p99 from append to arrival."""
    usual: list[float] = []
    stalled: list[float] = []
    growths = []
    asyncio.run(_latencies(house, _run(house), 50))  # by then every buffer has been as large as it gets
    for _ in range(_ROUNDS):
        with Watch(house.pid) as alone:
            usual += asyncio.run(_latencies(house, _run(house)))
        run = _run(house)
        with closing(_unread(house, run)), Watch(house.pid) as beside:
            stalled += asyncio.run(_latencies(house, run))
        growths.append(beside.largest - max(beside.before, alone.largest))
    growth, p99, yardstick = max(growths), percentile(stalled, 0.99) * 1000, percentile(usual, 0.99) * 1000
    return [
        Figure(
            f"memory for a reader that leaves {MEGABYTES} MB unread",
            f"{max(growth, 0):.1f} MB more",
            f"without it {alone.largest:.0f} MB",
            f"{beside.largest / alone.largest:.2f}",
            f"at most {GROWTH_MEGABYTES:.0f} MB",
            growth <= GROWTH_MEGABYTES,
        ),
        Figure(
            "append to stream, beside that reader",
            f"p99 {p99:.1f} ms",
            f"without it p99 {yardstick:.1f} ms",
            f"{p99 / yardstick:.2f}",
            f"at most {SLOWER}",
            p99 <= SLOWER * yardstick,
        ),
    ]


def _run(house: House) -> str:
    task_id = house.make_task()
    return f"{house.tasks}{task_id}/runs/{house.make_run(task_id)}/"


def _unread(house: House, run: str) -> socket.socket:
    """A connection on which a stream was asked for, with a small buffer of the system's own, and nothing is read."""
    address = urlsplit(house.url)
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect((address.hostname, address.port))
    request = f"GET {run}stream/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {house.api_key}\r\nAccept: text/event-stream\r\n\r\n"
    connection.sendall(request.encode())
    return connection


async def _latencies(house: House, run: str, events: int = _EVENTS) -> list[float]:
    """Seconds from each append to its arrival at a reader that reads."""
    headers = {"Authorization": f"Bearer {house.api_key}"}
    latencies: list[float] = []
    async with (
        httpx.AsyncClient(base_url=house.url, headers=headers, timeout=30) as http,
        http.stream("GET", f"{run}stream/", headers={"Accept": "text/event-stream"}) as answer,
    ):
        lines = answer.aiter_lines()
        for number in range(events):
            body = json.dumps({"entries": [{"bench": number, "text": "x" * _ENTRY_BYTES}]})
            sent = time.monotonic()
            appending = asyncio.create_task(http.post(f"{run}append_log/", content=body, headers={"Content-Type": "application/json"}))
            async for line in lines:
                if line.startswith(f'data: {{"bench": {number},'):
                    break
            latencies.append(time.monotonic() - sent)
            (await appending).raise_for_status()
    return latencies
