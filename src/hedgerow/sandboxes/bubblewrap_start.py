"""How one bubblewrap sandbox is started: its arguments, the files handed over, and the moment from which its command runs."""

import asyncio
import contextlib
import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import SandboxSpec
from hedgerow.sandboxes import file_tree, preparation, processes
from hedgerow.sandboxes.children import readable
from hedgerow.sandboxes.file_tree import Account
from hedgerow.sandboxes.processes import ProcessIdentity
from hedgerow.sandboxes.staging import Staging, stage

_NAMESPACES = ("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try")
_PROGRAMS = (("bwrap", "bubblewrap"),)
_PROGRAMS_OF_ROOT = (*_PROGRAMS, ("setpriv", "util-linux"), ("unshare", "util-linux"), ("mount", "mount"))
_LOG_TAIL_BYTES = 4096
_POLL_SECONDS = 0.001


@dataclass(slots=True)
class Launch:
    """A sandbox about to start: what to execute, and what the new process inherits."""

    report: int  # where bwrap tells the number of the sandbox's first process
    given: list[int]  # what the new process inherits
    command: tuple[str, ...] = ()

    def give(self, content: bytes) -> str:
        """A file without a name that the new process inherits: its descriptor's number, as an argument."""
        descriptor = os.memfd_create("hedgerow")
        self.given.append(descriptor)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return str(descriptor)

    def release(self) -> None:
        """Close what only the new process needs, so that the end of its report is seen."""
        while self.given:
            os.close(self.given.pop())

    async def first_process(self) -> ProcessIdentity | None:
        """The first process of the sandbox's own process table; None where bwrap gave up before there was one."""
        report = b""
        while True:
            await readable(self.report)
            if not (part := os.read(self.report, 65536)):
                break
            report += part
        if not report:
            return None
        pid = json.loads(report)["child-pid"]
        return processes.row_identity(pid) or ProcessIdentity(pid, 0, "gone")


@contextlib.contextmanager
def prepare(spec: SandboxSpec, account: tuple[int, int] | None) -> Iterator[Launch]:
    """Lay out everything that bwrap needs. Raises UnavailableError where a program is missing or the folders can't be reached."""
    find_programs()
    staging = stage(spec.mounts, account) if account else Staging()
    uid, gid = account or (os.getuid(), os.getgid())
    report, report_end = os.pipe2(os.O_CLOEXEC)
    launch = Launch(report, [report_end])
    try:
        arguments = [*_confinement(report_end), *_tree(spec, staging, Account(uid, gid, spec.home), launch), *_surroundings(spec)]
        packed = launch.give(b"".join(argument.encode() + b"\0" for argument in arguments))
        bwrap = (_program("bwrap"), "--args", packed, "--", *spec.command)
        launch.command = (*staging.command, *_as_account(account), *bwrap)
        yield launch
    finally:
        launch.release()
        os.close(report)


def find_programs() -> None:
    """Raise UnavailableError, saying what to install, where a program that sandboxes need is missing."""
    for name, package in _PROGRAMS_OF_ROOT if os.geteuid() == 0 else _PROGRAMS:
        if shutil.which(name) is None:
            raise UnavailableError(f"Isolated sandboxes need the program {name}: install the package {package}.")


async def runs(outer: ProcessIdentity, inner: ProcessIdentity) -> bool:
    """Return once the sandbox's command has been executed: False where bwrap ended before that was seen."""
    while processes.alive(outer):
        if any(row.executed for row in _children(inner.pid)):
            return True
        await asyncio.sleep(_POLL_SECONDS)
    return False


def complaint(log_file: Path | None, log_start: int, *, begun: bool) -> str:
    """The last words in the log since it had `log_start` bytes; once the sandbox has `begun`, only where they are bwrap's own."""
    if log_file is None:
        return ""
    with log_file.open("rb") as log:
        log.seek(max(log_start, log.seek(0, os.SEEK_END) - _LOG_TAIL_BYTES))
        lines = log.read().decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("bwrap: ").rstrip(".") if lines and (not begun or lines[-1].startswith("bwrap: ")) else ""


def _confinement(report_end: int) -> tuple[str, ...]:
    limits = ("--disable-userns",) if may_disable_user_namespaces() else ()
    return (*_NAMESPACES, *limits, "--cap-drop", "ALL", "--hostname", "sandbox", "--info-fd", str(report_end))


def _tree(spec: SandboxSpec, staging: Staging, account: Account, launch: Launch) -> Iterator[str]:
    """The root itself is closed last: what is not given as a folder is not writable."""
    yield from file_tree.system()
    for path, text in file_tree.settings_files(account).items():
        yield from ("--perms", "0644", "--file", launch.give(text.encode()), path)
    yield from file_tree.folders(spec.mounts, dict(staging.sources))
    yield from ("--remount-ro", "/")


def _surroundings(spec: SandboxSpec) -> Iterator[str]:
    yield "--clearenv"
    for name, value in preparation.environment(spec).items():
        yield from ("--setenv", name, value)
    yield from ("--chdir", str(spec.working_directory))


def _as_account(account: tuple[int, int] | None) -> tuple[str, ...]:
    """Who runs as root must become the account before bwrap starts: root in a namespace of root's own is root outside."""
    if account is None:
        return ()
    identity = (f"--reuid={account[0]}", f"--regid={account[1]}", "--clear-groups")
    return (_program("setpriv"), *identity, "--inh-caps=-all", "--no-new-privs", "--")


def _children(pid: int) -> list[processes.ProcessRow]:
    try:
        names = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:  # a kernel without the list, or the process is gone
        return [row for row in processes.table().values() if row.parent == pid]
    return [row for name in names if (row := processes.row(int(name))) is not None]


@cache
def _program(name: str) -> str:
    found = shutil.which(name)
    assert found is not None, "looked for before"
    return found


@cache
def may_disable_user_namespaces() -> bool:
    """Whether bwrap can keep a sandbox from making namespaces of its own: it can version 0.8 on, but not where it is installed setuid."""
    bwrap = Path(_program("bwrap"))
    if bwrap.stat().st_mode & stat.S_ISUID and os.geteuid() != 0:
        return False
    answer = subprocess.run([bwrap, "--help"], capture_output=True, text=True, check=False)
    return "--disable-userns" in answer.stdout + answer.stderr
