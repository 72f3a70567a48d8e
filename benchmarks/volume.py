"""A run with a journal of 100,000 entries (50 MB): appending to it, and reading it whole and in part, against bare SQL."""

import time
from collections.abc import Callable
from statistics import median

import httpx
import psycopg

from benchmarks.append import append_writer, batch
from benchmarks.house import House
from benchmarks.memory import Watch
from benchmarks.report import Figure

ENTRIES = 100_000
PAGE = 5_000
OFFSET = 95_000
ROUNDS = 5
APPENDS = 300
TYPES = ("tool_call", "tool_call_update", "agent_message", "plan")
GROWTH_MEGABYTES = 20.0

_FILL = """
    INSERT INTO journal (run_id, number, kind, event_type, timestamp, text)
    SELECT %(run_id)s, number, 1, type, now(), format(
        '{"type":"notification","timestamp":"2026-05-07T10:00:00.000Z","notification":{"jsonrpc":"2.0","method":"session/update",'
        '"params":{"update":{"sessionUpdate":"%%s","toolCallId":"call-%%s","rawOutput":"%%s"}}}}', type, number, repeat('x', 330))
    FROM generate_series(%(first)s, %(last)s) number, LATERAL (SELECT (%(types)s::text[])[1 + number %% 4] AS type) types
"""


def fill(connection: psycopg.Connection[tuple[object, ...]], run_id: str) -> None:
    """Give a run `ENTRIES` further entries, as if its agent had sent them."""
    row = connection.execute("SELECT head FROM journals WHERE run_id = %s", [run_id]).fetchone()
    assert row is not None
    head = row[0]
    assert isinstance(head, int)
    values = {"run_id": run_id, "first": head + 1, "last": head + ENTRIES, "types": list(TYPES)}
    connection.execute(_FILL, values)
    connection.execute("UPDATE journals SET head = head + %s, entries = entries + %s WHERE run_id = %s", [ENTRIES, ENTRIES, run_id])
    connection.execute("VACUUM ANALYZE journal")


def measure(house: House, database_url: str) -> list[Figure]:
    """Every figure of a large journal."""
    task_id = house.make_task()
    empty_id, full_id = house.make_run(task_id), house.make_run(task_id)
    runs = f"{house.tasks}{task_id}/runs/"
    with psycopg.connect(database_url, autocommit=True) as connection:
        fill(connection, full_id)
        return [
            _appends(house, f"{runs}{empty_id}/", f"{runs}{full_id}/"),
            *_logs(house, connection, runs, full_id),
            _page(house, connection, runs, full_id),
        ]


def _appends(house: House, empty: str, full: str) -> Figure:
    """Cost of one append, to either journal in turns."""
    writers = [append_writer(house, run, batch(count=1)) for run in (empty, full)]
    times: list[list[float]] = [[], []]
    for _ in range(APPENDS):
        for index, write in enumerate(writers):
            times[index].append(_seconds(write))
    at_empty, at_full = (median(part) * 1000 for part in times)
    ratio = at_full / at_empty
    return Figure(
        f"append_log at {ENTRIES:,} entries",
        f"{at_full:.2f} ms",
        f"at an empty one {at_empty:.2f} ms",
        f"{ratio:.2f}",
        "at most 1.2",
        ratio <= 1.2,
    )


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _logs(house: House, connection: psycopg.Connection[tuple[object, ...]], runs: str, run_id: str) -> list[Figure]:
    """Reading the whole log, beside COPY of the same rows; and what it costs the server in memory."""
    _read_all(house, f"{runs}{run_id}/logs/")  # both have met the rows before
    _copy(connection, run_id)
    ours, copy = [], []
    with Watch(house.pid) as watch:
        for _ in range(ROUNDS):
            copy.append(_seconds(lambda: _copy(connection, run_id)))
            ours.append(_seconds(lambda: _read_all(house, f"{runs}{run_id}/logs/")))
    size = _read_all(house, f"{runs}{run_id}/logs/") / 1e6
    ratio = median(copy) / median(ours)
    growth = watch.largest - watch.before
    return [
        Figure(
            f"logs of {ENTRIES:,} entries ({size:.0f} MB)",
            f"{size / median(ours):.0f} MB/s",
            f"COPY TO STDOUT {size / median(copy):.0f} MB/s",
            f"{ratio:.2f}",
            "at least 0.50",
            ratio >= 0.5,
        ),
        Figure(
            "resident memory while logs are read",
            f"+{growth:.0f} MB",
            f"before {watch.before:.0f} MB",
            f"{watch.largest / watch.before:.2f}",
            f"at most +{GROWTH_MEGABYTES:.0f} MB",
            growth <= GROWTH_MEGABYTES,
        ),
    ]


def _copy(connection: psycopg.Connection[tuple[object, ...]], run_id: str) -> int:
    size = 0
    with connection.cursor().copy("COPY (SELECT text FROM journal WHERE run_id = %s ORDER BY number) TO STDOUT", [run_id]) as rows:
        for piece in rows:
            size += len(piece)
    return size


def _read_all(house: House, path: str) -> int:
    with house.client() as http, http.stream("GET", path) as answer:
        answer.raise_for_status()
        return sum(len(piece) for piece in answer.iter_raw())


def _page(house: House, connection: psycopg.Connection[tuple[object, ...]], runs: str, run_id: str) -> Figure:
    """A late page of the log, picked by type, beside the SQL of such a page and its count."""
    ours, bare = [], []
    with house.client() as http:
        for _ in range(ROUNDS):
            bare.append(_seconds(lambda: _bare_page(connection, run_id, list(TYPES))))
            ours.append(_seconds(lambda: _our_page(http, f"{runs}{run_id}/session_logs/", list(TYPES))))
    ratio = median(ours) / median(bare)
    return Figure(
        f"session_logs, {PAGE:,} entries at offset {OFFSET:,}, by type",
        f"{median(ours) * 1000:.0f} ms",
        f"its SQL {median(bare) * 1000:.0f} ms",
        f"{ratio:.1f}",
        "at most 3",
        ratio <= 3,
    )


def _our_page(http: httpx.Client, path: str, types: list[str]) -> None:
    answer = http.get(path, params={"limit": PAGE, "offset": OFFSET, "event_types": ",".join(types)})
    assert answer.raise_for_status().content.count(b"sessionUpdate") == PAGE


_WANTED = "FROM journal WHERE run_id = %s AND kind = 1 AND event_type = ANY (%s)"


def _bare_page(connection: psycopg.Connection[tuple[object, ...]], run_id: str, types: list[str]) -> None:
    connection.execute(f"SELECT count(*) {_WANTED}", [run_id, types]).fetchone()
    rows = connection.execute(f"SELECT text {_WANTED} ORDER BY number LIMIT %s OFFSET %s", [run_id, types, PAGE, OFFSET]).fetchall()
    assert len(rows) == PAGE
