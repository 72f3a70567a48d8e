"""Chaos: a supervisor that kills and stops the processes of a hedgerow at random moments, and starts again what has died."""

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from tests.end_to_end.house import House
from tests.leftovers import processes_of

_AWAY_SECONDS = 1.0  # the longest time until a supervisor starts a process again
_PAUSE_SECONDS = 2.0
_STOPPED_SECONDS = 2.0
_LEAVE_SECONDS = 20.0
_LOOK_SECONDS = 0.2
_LAST_LINES = 20


class Chaos:
    """A hedgerow of an API process, a worker and an embedded PostgreSQL, and what is done to it. Everything random comes of one seed."""

    def __init__(self, house: House, seed: int) -> None:
        self.done: Counter[str] = Counter()
        self.fallen: list[str] = []  # what ended by itself once it had been ready
        self._house = house
        self._random = random.Random(seed)
        self._pauses = random.Random(seed)
        api = house.start("api", "--port", "0")
        house.settings["HEDGEROW_CONTROL_PLANE_URL"] = url = api.said[-1].split()[-1]
        house.settings["HEDGEROW_PORT"] = url.rpartition(":")[2]
        self._processes = {"api": api, "worker": house.start("worker")}

    def reign(self, seconds: float, over: threading.Event) -> None:
        """Do one harm after the other for so long, or until it is over."""
        deadline = time.monotonic() + seconds
        harms: list[tuple[Callable[[str], bool], tuple[str, ...]]] = [
            (self._kill, ("api", "worker", "postgres", "agent server", "agent")),
            (self._stop, ("api", "worker", "postgres", "agent server", "agent")),
        ]
        while time.monotonic() < deadline and not over.is_set():
            harm, victims = self._random.choice(harms)
            victim = self._random.choice(victims)
            if harm(victim):
                self.done[f"{harm.__name__.strip('_')} {victim}"] += 1
            over.wait(self._random.uniform(0.0, _PAUSE_SECONDS))

    def supervise(self, over: threading.Event) -> None:
        """Start again what has died, until it is over; what has ended by itself is noted, since nothing that was ready may."""
        while not over.wait(_LOOK_SECONDS):
            for name, process in list(self._processes.items()):
                code = process.popen.poll()
                if code is None:
                    continue
                if code != -signal.SIGKILL:
                    self.fallen.append(f"the {name} ended by itself with {code}: {''.join(process.said[-_LAST_LINES:])}")
                self._start_again(name, over)

    def _start_again(self, name: str, over: threading.Event) -> None:
        """As often as it takes: it may be killed before it is ready, and find no database to begin with."""
        while not over.wait(self._pauses.uniform(0, _AWAY_SECONDS)):
            try:
                self._processes[name] = self._house.start(name)
            except AssertionError:
                self.done[f"the {name} could not stand yet"] += 1
            else:
                return

    def _kill(self, victim: str) -> bool:
        pid = self._pid(victim)
        return pid is not None and _signal(pid, signal.SIGKILL)

    def _stop(self, victim: str) -> bool:
        pid = self._pid(victim)
        if pid is None or not _signal(pid, signal.SIGSTOP):
            return False
        time.sleep(self._random.uniform(0.1, _STOPPED_SECONDS))
        _signal(pid, signal.SIGCONT)
        return True

    def _pid(self, victim: str) -> int | None:
        """A process of that kind; None where there is none now."""
        if victim in self._processes:
            process = self._processes[victim].popen
            return process.pid if process.poll() is None else None
        found = sorted(self._postgres() if victim == "postgres" else self._of_sandboxes(victim))
        return self._random.choice(found) if found else None

    def _postgres(self) -> Iterator[int]:
        """The server as often as all of its children together."""
        with suppress(OSError, IndexError):  # it is gone, or just being started
            server = int((self._house.data_dir / "postgres" / "data" / "postmaster.pid").read_text().splitlines()[0])
            if os.fsencode(self._house.data_dir) in _read(server, "cmdline"):
                children = _children(server)
                yield from [server] * max(len(children), 1)
                yield from children

    def _of_sandboxes(self, victim: str) -> list[int]:
        module = {"agent server": b"hedgerow.agent_server", "agent": b"hedgerow.scripted_agent"}[victim]
        return [pid for pid in processes_of(self._house.data_dir / "runs") if module in _read(pid, "cmdline")]

    def leftovers(self) -> dict[str, list[str]]:
        """What is still there of runs, by run, once there was time to tidy up."""
        deadline = time.monotonic() + _LEAVE_SECONDS
        while (found := self._leftovers()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return found

    def _leftovers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for folder in (self._house.data_dir / "runs").iterdir():
            found.setdefault(folder.name[:36], []).append(f"the folder {folder.name}")
        for pid in processes_of(self._house.data_dir / "runs"):
            environment = _read(pid, "environ").decode(errors="replace").split("\0")
            run = next((entry.partition("=")[2] for entry in environment if entry.startswith("HEDGEROW_RUN_ID=")), "?")
            found.setdefault(run, []).append(f"process {pid}: {_read(pid, 'cmdline').replace(bytes(1), b' ').decode(errors='replace')}")
        return found


def _signal(pid: int, number: signal.Signals) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def _children(pid: int) -> list[int]:
    words = _read(pid, f"task/{pid}/children").split()
    return [int(word) for word in words]


def _read(pid: int, name: str) -> bytes:
    try:
        return (Path("/proc") / str(pid) / name).read_bytes()
    except OSError:
        return b""
