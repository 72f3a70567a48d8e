"""Processes of this machine: told apart from later ones of the same number, listed, and signalled exactly.

Linux is read through /proc; other systems through `ps`, where neither environments nor exact start times can be seen.
"""

import calendar
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_HAS_PROC = (_PROC / "self" / "stat").exists()
_FORKED_AND_NOT_EXECUTED = 0x40  # PF_FORKNOEXEC of the kernel's include/linux/sched.h


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for ever: the number alone may be given to another one later."""

    pid: int
    started: int  # clock ticks after the boot on Linux, seconds of the epoch elsewhere
    boot: str  # which boot of the machine

    def __str__(self) -> str:
        return f"{self.pid}-{self.started}-{self.boot}"

    @classmethod
    def parse(cls, text: str) -> "ProcessIdentity":
        """The identity that `str` has written. Raises ValueError for anything else."""
        pid, started, boot = text.split("-")
        return cls(int(pid), int(started), boot)


@dataclass(frozen=True, slots=True)
class ProcessRow:
    """A process as the system lists it."""

    identity: ProcessIdentity
    parent: int
    group: int
    session: int
    zombie: bool  # ended, and not yet collected by its parent
    executed: bool  # has left the program that it was forked from


def identify(pid: int) -> ProcessIdentity | None:
    """The process that has this number now; None where there is none, or only its remains."""
    found = row(pid)
    return None if found is None or found.zombie else found.identity


def alive(identity: ProcessIdentity) -> bool:
    """Whether this very process still runs."""
    return identify(identity.pid) == identity


def row(pid: int) -> ProcessRow | None:
    """What the system says of one process; None where it is gone."""
    if not _HAS_PROC:
        return next((found for found in _rows_of_ps("-p", str(pid)) if found.identity.pid == pid), None)
    try:
        return _parse_stat(pid, _read(pid, "stat"))
    except OSError:
        return None


def table() -> dict[int, ProcessRow]:
    """All processes that can be seen from here, by number."""
    if not _HAS_PROC:
        return {found.identity.pid: found for found in _rows_of_ps("-A")}
    pids = (int(name) for name in os.listdir(_PROC) if name.isdigit())  # noqa: PTH208 - called often: names alone are wanted
    return {pid: found for pid in pids if (found := row(pid)) is not None}


def family(rows: Mapping[int, ProcessRow], founders: Set[int]) -> list[ProcessIdentity]:
    """The founders, all that descend from a member, and all in the session of one. Founders must be in sessions of their own.

    A session's number is not given away while a process is in it, so the session of a member is the family's own.
    """
    found = set(founders)
    while joined := _joining(rows, found):
        found |= joined
    return [rows[pid].identity for pid in found]


def _joining(rows: Mapping[int, ProcessRow], found: Set[int]) -> set[int]:
    sessions = {rows[pid].session for pid in found}
    return {pid for pid, row in rows.items() if pid not in found and (row.parent in found or row.session in sessions)}


def has_environment(pid: int, setting: str) -> bool:
    """Whether a process was started with `NAME=value` in its environment; False where that cannot be seen."""
    try:
        environment = _read(pid, "environ")
    except OSError:
        return False
    return setting.encode() in environment.split(b"\0")


def environment(pid: int, names: Set[str]) -> dict[str, str]:
    """What a process was started with under these names in its environment; nothing where that cannot be seen."""
    try:
        content = _read(pid, "environ")
    except OSError:
        return {}
    settings = (part.decode(errors="replace").partition("=") for part in content.split(b"\0"))
    return {name: value for name, _, value in settings if name in names}


def send_signal(identity: ProcessIdentity, number: signal.Signals) -> None:
    """Signal this very process; nothing happens where it is gone or belongs to another account."""
    with contextlib.suppress(ProcessLookupError, PermissionError), open_process(identity) as descriptor:
        if descriptor is not None:
            signal.pidfd_send_signal(descriptor, number)
        elif alive(identity):
            os.kill(identity.pid, number)


@contextlib.contextmanager
def open_process(identity: ProcessIdentity) -> Iterator[int | None]:
    """A file descriptor that stays with this very process and becomes readable when it ends; None where the system has no such thing.

    Raises ProcessLookupError where the process is gone.
    """
    if not hasattr(os, "pidfd_open"):
        yield None
        return
    try:
        descriptor: int | None = os.pidfd_open(identity.pid)
    except ProcessLookupError:
        raise
    except OSError:
        descriptor = None  # an old kernel, or a filter that forbids the call
    try:
        if row_identity(identity.pid) != identity:
            raise ProcessLookupError(identity.pid)
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def row_identity(pid: int) -> ProcessIdentity | None:
    """The identity that a number stands for, also while only the remains of its process wait for the parent."""
    found = row(pid)
    return None if found is None else found.identity


def _read(pid: int, name: str) -> bytes:
    """A file of /proc/PID, without the detours of `pathlib`: all processes are looked at whenever a sandbox ends. Raises OSError."""
    descriptor = os.open(f"/proc/{pid}/{name}", os.O_RDONLY | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return file.read()


def _parse_stat(pid: int, stat: bytes) -> ProcessRow:
    """Read /proc/PID/stat (proc(5)); the name in parentheses may hold anything, so fields count from the last one."""
    fields = stat[stat.rindex(b")") + 2 :].split()
    return ProcessRow(
        identity=ProcessIdentity(pid, int(fields[19]), _boot()),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        zombie=fields[0] in {b"Z", b"X"},
        executed=not int(fields[6]) & _FORKED_AND_NOT_EXECUTED,
    )


def _rows_of_ps(*selection: str) -> list[ProcessRow]:
    """The same from `ps`. It knows no sessions everywhere, so the group stands in for the session."""
    columns = "pid=,ppid=,pgid=,state=,lstart="
    environment = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
    answer = subprocess.run(["ps", *selection, "-o", columns], capture_output=True, text=True, env=environment, check=False)
    return [_parse_ps(line.split(maxsplit=4)) for line in answer.stdout.splitlines()]


def _parse_ps(fields: list[str]) -> ProcessRow:
    pid, parent, group = (int(field) for field in fields[:3])
    started = int(calendar.timegm(time.strptime(fields[4].strip(), "%a %b %d %H:%M:%S %Y")))
    return ProcessRow(ProcessIdentity(pid, started, "ps"), parent, group, group, zombie="Z" in fields[3], executed=True)


@cache
def _boot() -> str:
    """Which boot this is: ticks after the boot say nothing across a restart of the machine."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text()[:8]
    except OSError:
        return "unknown"
