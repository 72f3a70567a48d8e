"""A project with 100,000 tasks and 300,000 runs: a page of its task list over HTTP, against the SQL of that page alone."""

import time
from collections.abc import Callable

import orjson
import psycopg

from benchmarks.house import House
from benchmarks.report import Figure, percentile
from hedgerow.db.tasks import page_query
from hedgerow.domain.tasks import TaskFilters

TASKS = 100_000
RUNS_EACH = 3
LIMIT = 100
ROUNDS = 100
WARM_UP = 20

_TASKS = """
    INSERT INTO tasks (id, project_id, task_number, title, title_manually_set, description, origin_product, repository, created_by,
        created_at, updated_at, run_count)
    SELECT gen_random_uuid(), %(project)s, 1000 + n, 'Mend the fence ' || n, false, repeat('It is broken near the gate. ', 10),
        'user_created', 'garden/fence-' || n %% 50, %(user)s, now() - n * interval '1 second', now(), %(runs)s
    FROM generate_series(1, %(tasks)s) n
"""
_RUNS = """
    INSERT INTO runs (id, task_id, project_id, number, branch, status, environment, output, state, created_at, updated_at, completed_at)
    SELECT gen_random_uuid(), tasks.id, project_id, n, 'hedgerow/fence-' || n, 'completed', 'cloud',
        '{"head_branch": "hedgerow/fence", "commit": "0123456789abcdef", "diff_stat": " fence.py | 12 ++++"}',
        '{"mode": "background", "runtime_adapter": "claude", "provider": "anthropic", "model": "opus", "end_reason": "finished"}',
        tasks.created_at + n * interval '1 minute', now(), now()
    FROM tasks, generate_series(1, %(runs)s) n WHERE project_id = %(project)s AND run_count = %(runs)s
"""


def fill(connection: psycopg.Connection[tuple[object, ...]], project_id: int) -> None:
    """Give a project its tasks and their runs."""
    row = connection.execute("SELECT min(user_id) FROM project_members WHERE project_id = %s", [project_id]).fetchone()
    assert row is not None
    values = {"project": project_id, "user": row[0], "tasks": TASKS, "runs": RUNS_EACH}
    with connection.transaction():
        connection.execute(_TASKS, values)
        connection.execute(_RUNS, values)
    connection.execute("VACUUM ANALYZE tasks")
    connection.execute("VACUUM ANALYZE runs")


def measure(house: House, database_url: str) -> list[Figure]:
    """The first page, unfiltered, by turns with its SQL."""
    statement, values = page_query(house.project_id, TaskFilters(), LIMIT, 0)
    with psycopg.connect(database_url, autocommit=True) as connection, house.client() as http:
        fill(connection, house.project_id)

        def page() -> None:
            answer = orjson.loads(http.get(house.tasks, params={"limit": LIMIT}).raise_for_status().content)
            assert answer["count"] >= TASKS
            assert len(answer["results"]) == LIMIT

        def bare() -> None:
            assert len(connection.execute(statement.as_bytes(), values).fetchall()) == LIMIT

        ours, alone = [], []
        for _ in range(WARM_UP):  # both have met the rows before
            bare()
            page()
        for _ in range(ROUNDS):
            alone.append(_milliseconds(bare))
            ours.append(_milliseconds(page))
    p95, yardstick = percentile(ours, 0.95), percentile(alone, 0.95)
    ratio = p95 / yardstick
    name = f"task list, {LIMIT} of {TASKS:,} tasks with {TASKS * RUNS_EACH:,} runs"
    return [Figure(name, f"p95 {p95:.1f} ms", f"its SQL p95 {yardstick:.1f} ms", f"{ratio:.1f}", "at most 3", ratio <= 3)]


def _milliseconds(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000
