"""Resident memory of an idle `hedgerow up`, without PostgreSQL."""

import os
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread
from typing import Self

from benchmarks.house import House
from benchmarks.report import Figure

GOAL_MEGABYTES = 150
_SETTLE_SECONDS = 5.0


def resident_megabytes(pid: int) -> float:
    """The resident memory of one process."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]
    return int(kilobytes) / 1024


class Watch:
    """The largest resident memory of a process while it is watched."""

    def __init__(self, pid: int) -> None:
        self.before = self.largest = resident_megabytes(pid)
        self._pid = pid
        self._over = Event()
        self._thread = Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.005):
            self.largest = max(self.largest, resident_megabytes(self._pid))


def _bare_megabytes() -> float:
    process = subprocess.Popen([sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"], stdin=-1, stdout=-1)
    assert process.stdout is not None
    process.stdout.readline()
    try:
        return resident_megabytes(process.pid)
    finally:
        process.communicate(b"")


def _family(pid: int) -> list[int]:
    """The process and its descendants, but for the PostgreSQL that has a session of its own."""
    family = [pid]
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and _parent(entry) in family and os.getsid(int(entry.name)) == os.getsid(pid):
            family.append(int(entry.name))
    return family


def _parent(entry: Path) -> int:
    try:
        return int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return -1


def measure(house: House) -> list[Figure]:
    """The whole process tree of `up`, a few seconds after it was ready."""
    time.sleep(_SETTLE_SECONDS)
    ours, bare = sum(map(resident_megabytes, _family(house.pid))), _bare_megabytes()
    goal = f"at most {GOAL_MEGABYTES} MB"
    return [
        Figure(
            "resident memory of idle `up`",
            f"{ours:.0f} MB",
            f"bare Python {bare:.0f} MB",
            f"{ours / bare:.1f}",
            goal,
            ours <= GOAL_MEGABYTES,
        )
    ]
