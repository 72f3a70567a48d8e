"""Children of the agent whose parents have died come to the agent server: it takes their exit codes, and ends them at the end."""

import asyncio
import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_LOOK_AGAIN_SECONDS = 0.05


class OrphanReaper:
    """Makes this process the new parent of orphaned descendants (prctl(2); pid 1 of a namespace is that anyway)."""

    def __init__(self) -> None:
        self._own: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._starting = False

    def start(self) -> None:
        """Begin; where the system has no such thing, orphans go to its own init as ever."""
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    @contextlib.contextmanager
    def starting(self) -> Iterator[set[int]]:
        """While a child of our own is being started nothing is reaped; its pid goes into the set that this gives."""
        self._starting = True
        try:
            yield self._own
        finally:
            self._starting = False
            self._look_again()

    def end_orphans(self) -> None:
        """Kill what the agent has left behind. Killing may orphan more, hence the rounds, of which there is a bound."""
        for _ in range(20):
            orphans = [pid for pid in _children() if pid not in self._own]
            if not orphans:
                return
            for pid in orphans:
                with contextlib.suppress(ProcessLookupError, ChildProcessError):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)

    def _reap(self) -> None:
        """Take the exit codes of orphans. A child of our own is waited for elsewhere, so the queue is looked at again later."""
        while not self._starting:
            try:
                state = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if state is None:
                return
            if state.si_pid in self._own:
                self._look_again()
                return
            with contextlib.suppress(ChildProcessError):
                os.waitpid(state.si_pid, os.WNOHANG)

    def _look_again(self) -> None:
        if self._timer is None or self._timer.when() < asyncio.get_running_loop().time():
            self._timer = asyncio.get_running_loop().call_later(_LOOK_AGAIN_SECONDS, self._reap)


def _children() -> list[int]:
    """The direct children of this process."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(pid) for pid in task.read_text().split()]
    return found
