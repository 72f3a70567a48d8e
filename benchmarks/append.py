"""append_log of 20 entries (10 kB) by several writers, against the same rows inserted by psycopg with as many writers."""

import json
import threading
import time
from collections.abc import Callable, Sequence
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg

from benchmarks.house import House
from benchmarks.report import Figure

WRITERS = 4
ENTRIES = 20
ENTRY_BYTES = 500
ROUNDS = 3
ROUND_SECONDS = 3.0


def _entries(count: int = ENTRIES) -> list[str]:
    entry: dict[str, object] = {"type": "notification", "timestamp": "2026-05-07T10:00:00.000Z"}
    entry |= {"notification": {"jsonrpc": "2.0", "method": "session/update", "params": {"update": {"sessionUpdate": "tool_call_update"}}}}
    padding = "x" * (ENTRY_BYTES - len(json.dumps(entry | {"padding": ""})))
    return [json.dumps(entry | {"padding": padding})] * count


def batch(count: int = ENTRIES) -> bytes:
    """The body of an append_log of `count` entries of 500 bytes."""
    return b'{"entries": [' + ", ".join(_entries(count)).encode() + b"]}"


def _count_for(seconds: float, make_writer: Callable[[], Callable[[], None]]) -> float:
    """How often per second WRITERS threads together get their writer done."""
    counts = [0] * WRITERS
    started = threading.Barrier(WRITERS + 1)
    ends = 0.0

    def loop(index: int) -> None:
        write = make_writer()
        started.wait()
        while time.monotonic() < ends:
            write()
            counts[index] += 1

    threads = [threading.Thread(target=loop, args=(index,)) for index in range(WRITERS)]
    for thread in threads:
        thread.start()
    ends = time.monotonic() + seconds + 0.2
    started.wait()
    for thread in threads:
        thread.join()
    return sum(counts) / seconds


def _own_writer(house: House, body: bytes) -> Callable[[], None]:
    task_id = house.make_task()
    return append_writer(house, f"{house.tasks}{task_id}/runs/{house.make_run(task_id)}/", body)


def append_writer(house: House, run: str, body: bytes) -> Callable[[], None]:
    """What appends a batch to a run's journal, each time over the same connection."""
    path = f"{run}append_log/"
    address = urlsplit(house.url)
    assert address.hostname is not None
    connection = HTTPConnection(address.hostname, address.port)
    headers = {"Authorization": f"Bearer {house.api_key}", "Content-Type": "application/json"}

    def write() -> None:
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status

    return write


def _raw_writer(url: str, texts: list[str]) -> Callable[[], None]:
    connection = psycopg.connect(url, autocommit=True)
    run_id = uuid4()
    head = 0

    def write() -> None:
        nonlocal head
        rows = [(run_id, head + index, 1, "tool_call_update", None, text) for index, text in enumerate(texts, 1)]
        _insert(connection, rows)
        head += len(texts)

    return write


def _insert(connection: psycopg.Connection[tuple[object, ...]], rows: Sequence[tuple[object, ...]]) -> None:
    with connection.transaction(), connection.cursor() as cursor:
        cursor.executemany("INSERT INTO journal (run_id, number, kind, event_type, timestamp, text) VALUES (%s, %s, %s, %s, %s, %s)", rows)


def measure(house: House, database_url: str) -> list[Figure]:
    """Appends per second, interleaved with the yardstick in rounds."""
    texts = _entries()
    body = batch()
    ours, raw = [], []
    for _ in range(ROUNDS):
        raw.append(_count_for(ROUND_SECONDS, lambda: _raw_writer(database_url, texts)))
        ours.append(_count_for(ROUND_SECONDS, lambda: _own_writer(house, body)))
    best, yardstick = sorted(ours)[ROUNDS // 2], sorted(raw)[ROUNDS // 2]
    ratio = best / yardstick
    name = f"append_log of {ENTRIES} entries (10 kB), {WRITERS} writers"
    return [Figure(name, f"{best:.0f}/s", f"psycopg {yardstick:.0f}/s", f"{ratio:.2f}", "at least 0.40", ratio >= 0.4)]
