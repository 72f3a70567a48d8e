"""How a house stands whose clients wait in vain: what its database knows of runs that are not over, and what its processes said."""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from hedgerow.db.embedded import EmbeddedPostgres
from hedgerow.domain.errors import HedgerowError
from tests.end_to_end.house import House, Run
from tests.leftovers import processes_of

_LAST_ENTRIES = 5
_LAST_LINES = 30
_TURNED_AWAY = ("in recovery mode", "starting up", "not yet accepting connections", "Consistent recovery state", "shutting down")
_TERMINAL = {"completed", "failed", "cancelled"}


def account(house: House, runs: Iterable[Run]) -> str:
    """The account in words, also where the database is gone."""
    return "\n".join([*_of_postgres(house), *_of_runs(house, runs), *_of_processes(house)])


def _of_postgres(house: House) -> Iterator[str]:
    for log in house.data_dir.glob("postgres/postgres.log"):
        yield "what the database has said:"
        yield from (
            f"  {line}" for line in log.read_text(errors="replace").splitlines() if not any(words in line for words in _TURNED_AWAY)
        )
    yield "its processes:"
    for pid in processes_of(house.data_dir / "postgres"):
        with suppress(OSError):
            for process in (pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())):
                status = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
                yield f"  {process} ({status}): {Path(f'/proc/{process}/cmdline').read_text().replace(chr(0), ' ')[:200]}"


def _of_runs(house: House, runs: Iterable[Run]) -> Iterator[str]:
    embedded = EmbeddedPostgres(house.data_dir)
    try:
        with psycopg.connect(embedded.start_or_join(), row_factory=dict_row, connect_timeout=10, autocommit=True) as connection:
            for run in runs:
                yield from _of_run(connection, run.id)
            yield "the queue:"
            for table in ("procrastinate_jobs", "procrastinate_workers"):
                yield from (f"  {table}: {_words(row)}" for row in connection.execute(f"SELECT * FROM {table} ORDER BY id"))
    except (psycopg.Error, HedgerowError) as problem:
        yield f"the database tells nothing: {problem!r}"
    finally:
        embedded.leave()


def _of_run(connection: psycopg.Connection[dict[str, Any]], run_id: str) -> Iterator[str]:
    row = connection.execute("SELECT * FROM runs WHERE id = %s", [run_id]).fetchone()
    if row is None or (row["status"] in _TERMINAL and (row["cleaned_at"] is not None or row["node_id"] is None)):
        return
    yield f"run {run_id} is not over:"
    yield f"  row: {_words(row)}"
    for message in connection.execute("SELECT id, status, error FROM messages WHERE run_id = %s ORDER BY id", [run_id]):
        yield f"  message: {_words(message)}"
    newest = "SELECT number, text FROM journal WHERE run_id = %s ORDER BY number DESC LIMIT %s"
    for event in reversed(connection.execute(newest, [run_id, _LAST_ENTRIES]).fetchall()):
        yield f"  event {event['number']}: {event['text'][:500]}"


def _words(row: dict[str, Any]) -> str:
    return json.dumps({name: value for name, value in row.items() if value is not None}, default=str)


def _of_processes(house: House) -> Iterator[str]:
    for process in house.processes:
        yield f"process {process.popen.pid} ({' '.join(process.arguments)}), exit code {process.popen.poll()}:"
        yield from (f"  {line.rstrip()}" for line in process.said[-_LAST_LINES:])
