"""Sandboxes outlive the hedgerow that made them, as they should; a test ends those whose data directory it is about to remove."""

import os
import signal
from contextlib import suppress
from pathlib import Path


def processes_of(folder: Path) -> list[int]:
    """The processes, but for this one, in whose command line or environment a folder of a test's own stands."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                if str(folder).encode() in words:
                    found.append(int(entry.name))
    return found


def end_processes_of(folder: Path) -> None:
    """Kill what runs out of a folder of a test's own."""
    for pid in processes_of(folder):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
