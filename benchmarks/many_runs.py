"""A hundred runs at once, against their bare processes; what a restart of everything costs them; and a thousand that wait."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from benchmarks.house import House, Served, running_api
from benchmarks.memory import resident_megabytes
from benchmarks.report import Figure
from benchmarks.run_start import bare_milliseconds
from hedgerow.domain.ids import uuid7
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.sandboxes.process import ProcessSandboxes

RUNS = 100
AT_ONCE = 16  # as many as a worker looks after at once by default
WAITING = 1_000
_IDLE_SECONDS = 40.0
_SETTLE_SECONDS = 10.0
_PATIENCE_SECONDS = 300.0
_LOOK_SECONDS = 0.02
_TICKS = os.sysconf("SC_CLK_TCK")
_SCRIPT = json.dumps({"steps": [{"say": "Hello."}]})

Connection = psycopg.Connection[tuple[object, ...]]


def _count(connection: Connection, condition: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM runs WHERE {condition}").fetchone()
    assert row is not None
    assert isinstance(row[0], int)
    return row[0]


def _seconds_until(reached: Callable[[], bool], began: float) -> float:
    while not reached():
        if time.monotonic() - began > _PATIENCE_SECONDS:
            raise TimeoutError("it takes too long")
        time.sleep(_LOOK_SECONDS)
    return time.monotonic() - began


def _bare_seconds(house: House) -> float:
    """A hundred agent servers until they listen, each with its agent until that answers; as many at once as a worker starts."""
    began = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as threads, tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as folder:
        for started in [threads.submit(_bare_start, house, Path(folder) / str(number)) for number in range(RUNS)]:
            started.result()
        return time.monotonic() - began


def _bare_start(house: House, folder: Path) -> None:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    names = ("HEDGEROW_SOCKETS", "HEDGEROW_SPOOL", "HEDGEROW_WORKSPACE")
    environment = {
        "PATH": os.environ["PATH"],
        "HEDGEROW_RUN_ID": str(uuid4()),
        "HEDGEROW_TASK_ID": str(uuid4()),
        "HEDGEROW_PROJECT_ID": "1",
        "HEDGEROW_ISOLATED": "0",
        "JWT_PUBLIC_KEY": key.decode(),
        **dict.fromkeys(names, str(folder)),
    }
    python = next((house.data_dir / "runtime").glob("*/python/bin/python3"))
    server = subprocess.Popen([str(python), "-I", "-B", "-m", "hedgerow.agent_server"], env=environment, stdout=-3, stderr=-3)
    try:
        while not list(folder.glob("*.sock")):
            assert server.poll() is None, "the agent server has ended"
            time.sleep(_LOOK_SECONDS)
        bare_milliseconds(house)
    finally:
        server.kill()
        server.wait()


def _start_all(house: House, connection: Connection) -> float:
    """A hundred waiting runs from the first request until the last agent has got its first message."""
    task_id = house.make_task(description=_SCRIPT)
    with house.client() as http, ThreadPoolExecutor(AT_ONCE) as threads:

        def start(_: int) -> None:
            http.post(f"{house.tasks}{task_id}/run/", json={"mode": "interactive"}).raise_for_status()

        began = time.monotonic()
        list(threads.map(start, range(RUNS)))
        return _seconds_until(lambda: _count(connection, "turn_started_at IS NOT NULL") == RUNS, began)


def _agents() -> set[int]:
    """The scripted agents of this machine that have a hedgerow's agent server above them."""
    found = subprocess.run(["pgrep", "-f", "hedgerow.scripted_agent"], capture_output=True, text=True, check=False)
    return {int(pid) for pid in found.stdout.split()}


def _recover(served: Served, database_url: Callable[[], str]) -> Figure:
    """Everything but the sandboxes is killed and started again: seconds after the worker is up until each run was looked at."""
    agents = {pid for pid in _agents() if str(served.house.data_dir) in _command(pid)}
    served.kill_everything()
    served.start_again()
    began = time.monotonic()
    with psycopg.connect(database_url(), autocommit=True) as connection:
        seconds = _seconds_until(lambda: _count(connection, "wake_at > now() OR ending IS NOT NULL") == RUNS, began)
        ended = _count(connection, "ending IS NOT NULL OR status <> 'in_progress'")
        alive = sum(1 for pid in agents if Path(f"/proc/{pid}").exists())
        _say_to_all(served.house, connection)
    value = f"{seconds:.1f} s, {ended} ended, {alive} of {len(agents)} agents live on and answer"
    reached = seconds < 5 and ended == 0 and alive == len(agents) == RUNS
    return Figure(f"restart of everything with {RUNS} live runs", value, "none", "", "under 5 s, no agent restarted", reached)


def _command(pid: int) -> str:
    try:
        return (Path("/proc") / str(pid) / "environ").read_text(errors="replace")
    except OSError:
        return ""


def _say_to_all(house: House, connection: Connection) -> None:
    """Each agent hears one more message, and its turn ends."""
    runs = connection.execute("SELECT task_id, id FROM runs").fetchall()
    body = {"jsonrpc": "2.0", "id": 1, "method": "user_message", "params": {"content": _SCRIPT}}
    with house.client() as http:
        for task_id, run_id in runs:
            http.post(f"{house.tasks}{task_id}/runs/{run_id}/command/", json=body).raise_for_status()

    def all_heard() -> bool:
        row = connection.execute("SELECT count(*) FROM messages WHERE status = 'acknowledged'").fetchone()
        return row is not None and row[0] == 2 * RUNS

    _seconds_until(all_heard, time.monotonic())


def measure_hundred() -> list[Figure]:
    """Starts and recovery, one after the other with the same runs."""
    with running_api(HEDGEROW_SANDBOX="process") as served:
        with psycopg.connect(served.database_url(), autocommit=True) as connection:
            bare = _bare_seconds(served.house)
            ours = _start_all(served.house, connection)
            _seconds_until(lambda: _count(connection, "turn_ended_at IS NOT NULL") == RUNS, time.monotonic())
        name, value = f"{RUNS} runs at once, until the last agent has its message", f"{ours:.1f} s"
        starts = Figure(name, value, f"{RUNS} bare agents {bare:.1f} s", f"{ours / bare:.2f}", "at most 2", ours <= 2 * bare)
        return [starts, _recover(served, served.database_url)]


_WAITS = """
    INSERT INTO runs (id, task_id, project_id, number, status, environment, state, created_at, updated_at, started_at, epoch, node_id,
        sandbox, checked_out_at, session_ready_at, turn_started_at, turn_ended_at, stop_reason, active_at, wake_at)
    SELECT %(run_id)s, id, project_id, %(number)s, 'in_progress', 'cloud',
        '{"mode":"interactive","runtime_adapter":"scripted","model":"default"}',
        now(), now(), now(), 1, %(node_id)s, %(sandbox)s, now(), now(), now(), now(), 'end_turn', now(), now()
    FROM tasks WHERE id = %(task_id)s
"""


@contextmanager
def _sleepers(served: Served, connection: Connection, node_id: str) -> Iterator[None]:
    """A thousand runs that wait for a message. In the sandbox of each sleeps a process, where else an agent server would wait."""
    sandboxes, folder = ProcessSandboxes(grace_seconds=0.1), served.house.data_dir / "runs"
    folder.mkdir(exist_ok=True)
    handles = []
    task_id = served.house.make_task(description=_SCRIPT)

    async def lay_down() -> None:
        for number in range(WAITING):
            run_id = uuid7()
            sockets = served.house.data_dir / "s" / run_id.hex[-12:]
            sockets.mkdir(parents=True)
            spec = SandboxSpec(name=str(run_id), command=("/bin/sleep", "3600"), working_directory=folder, home=folder, mounts=())
            handle = await sandboxes.create(spec)
            handles.append(handle)
            sandbox = json.dumps({"provider": handle.provider, "id": handle.id})
            values = {"run_id": run_id, "number": number + 1, "node_id": node_id, "sandbox": sandbox, "task_id": task_id}
            connection.execute(_WAITS, values)
            connection.execute("INSERT INTO journals (run_id, epoch) VALUES (%s, 1)", [run_id])

    async def wake_up() -> None:
        for handle in handles:
            os.kill(int(handle.id.split("-")[0]), 9)

    asyncio.run(lay_down())
    try:
        yield
    finally:
        asyncio.run(wake_up())


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def measure_thousand() -> list[Figure]:
    """The worker's process alone, with a thousand waiting runs, in turns with none."""
    with running_api(HEDGEROW_SANDBOX="process") as served, psycopg.connect(served.database_url(), autocommit=True) as connection:
        empty_share, empty_megabytes = _idle(served)
        (node_id,) = (served.house.data_dir / "node_id").read_text().split()
        served.kill_worker()
        with _sleepers(served, connection, node_id):
            served.start_worker()
            share, megabytes = _idle(served)
            waiting = _count(connection, "wake_at > now() - interval '30 seconds' AND ending IS NULL AND status = 'in_progress'")
            if waiting != WAITING:
                raise RuntimeError(f"only {waiting} of {WAITING} runs wait")
            served.kill_worker()
    kilobytes = (megabytes - empty_megabytes) * 1024 / WAITING
    return [
        Figure(
            f"worker with {WAITING:,} waiting runs",
            f"{share:.1%} of a core",
            f"with none {empty_share:.1%}",
            f"{share / empty_share:.1f}" if empty_share else "",
            "under 5 %",
            share < 0.05,
        ),
        Figure(
            "resident memory of a waiting run in its worker",
            f"{kilobytes:.1f} kB",
            f"the worker with none {empty_megabytes:.0f} MB",
            f"{megabytes / empty_megabytes:.2f}",
            "at most 20 kB",
            kilobytes <= 20,
        ),
    ]


def _idle(served: Served) -> tuple[float, float]:
    """The share of a core that the worker takes, and its megabytes, while nobody wants anything."""
    time.sleep(_SETTLE_SECONDS)
    before, began = _cpu_seconds(served.worker_pid), time.monotonic()
    time.sleep(_IDLE_SECONDS)
    share = (_cpu_seconds(served.worker_pid) - before) / (time.monotonic() - began)
    return share, resident_megabytes(served.worker_pid)


def measure() -> list[Figure]:
    """Everything of many runs."""
    return [*measure_hundred(), *measure_thousand()]


if __name__ == "__main__":
    from benchmarks.report import show

    parts = {"hundred": measure_hundred, "thousand": measure_thousand}
    print(show([figure for name in sys.argv[1:] or parts for figure in parts[name]()]))
