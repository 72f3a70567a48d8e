"""One PostgreSQL server process on one data folder: what it says of itself, how it is started and how it is stopped."""

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hedgerow.db.postgres_programs import Account, environment
from hedgerow.domain.errors import UnavailableError

_START_SECONDS = 300.0  # a long recovery after a crash is no reason to give up
_STOP_SECONDS = 15.0
_LOOK_SECONDS = 0.01
_LOOKS_AT_EXEC = 20
_NO_PROCESS = str(2**22 + 1)


@dataclass(frozen=True, slots=True)
class Postmaster:
    """A server that runs, as its postmaster.pid tells."""

    pid: int
    port: int
    socket_folder: Path


def running(data: Path) -> Postmaster | None:
    """The server that runs on `data`, once it is ready; None where none does. A server that is stopping is waited for.

    Raises UnavailableError where it lives but gets neither ready nor gone.
    """
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        lines = _pid_file(data)
        if not lines or not _alive(int(lines[0]), data):
            return None
        if len(lines) >= 8 and lines[7].strip() == "ready":
            return Postmaster(pid=int(lines[0]), port=int(lines[3]), socket_folder=Path(lines[4]))
        time.sleep(_LOOK_SECONDS)
    raise UnavailableError(f"The PostgreSQL server in {data} runs but does not get ready; its log lies beside it.")


def lives(data: Path) -> bool:
    """Whether a server runs on `data`, ready or not."""
    lines = _pid_file(data)
    return bool(lines) and _alive(int(lines[0]), data)


def start(
    programs: Path, data: Path, *, socket_folder: Path, port: int, settings: Mapping[str, str], log: Path, account: Account | None
) -> Postmaster:
    """Start a server of its own session, so that it outlives us, and return once it is ready.

    Call it only where none runs. Raises UnavailableError with the server's own last words.
    """
    _disarm_pid_file(data)
    for left in socket_folder.glob(".s.PGSQL.*"):
        left.unlink()
    log_before = log.stat().st_size if log.exists() else 0
    pid = _launch(_command(programs, data, socket_folder, port, settings), log, data, account)
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and _alive(pid, data):
        lines = _pid_file(data)
        if len(lines) >= 8 and int(lines[0]) == pid and lines[7].strip() == "ready":
            return Postmaster(pid=pid, port=port, socket_folder=socket_folder)
        time.sleep(_LOOK_SECONDS)
    raise UnavailableError(_last_words(log, log_before))


def stop(server: Postmaster, data: Path) -> None:
    """End a server with every process of it; clients are disconnected. Returns once it is gone."""
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):  # PostgreSQL's fast shutdown, its immediate one, and the end
        try:
            os.kill(server.pid, number)
        except ProcessLookupError:
            return
        if _wait_until(lambda: not _alive(server.pid, data), _STOP_SECONDS):
            return


def last_socket_folder(data: Path) -> Path | None:
    """Where the socket of a server lay that was killed."""
    lines = _pid_file(data)
    return Path(lines[4]) if len(lines) >= 5 and lines[4] else None


def free_port(preferred: int | None = None, *, patience_seconds: float = 0.0) -> int:
    """A TCP port of the loopback that is free now: the preferred one if it gets free within `patience_seconds`."""
    if preferred is not None and _wait_until(lambda: _bound(preferred) is not None, patience_seconds):
        return preferred
    port = _bound(0)
    if port is None:
        raise UnavailableError("No TCP port of 127.0.0.1 is free for the database.")
    return port


def _bound(port: int) -> int | None:
    """The port that a socket could be bound to; None where it is taken."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        return int(probe.getsockname()[1])


def _command(programs: Path, data: Path, socket_folder: Path, port: int, settings: Mapping[str, str]) -> list[str]:
    own = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": _quoted(socket_folder),
        "unix_socket_permissions": "0700",
    }
    options = [part for name, value in {**settings, **own}.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(data), *options]


def _quoted(folder: Path) -> str:
    """A folder as one member of a list of PostgreSQL's settings."""
    name = str(folder).replace('"', '""')
    return f'"{name}"'


def _launch(command: list[str], log: Path, data: Path, account: Account | None) -> int:
    # The shell between us ends at once, so the server is nobody's child here: whoever started it may come and go.
    with log.open("ab") as log_file:
        shell = subprocess.run(
            ["/bin/sh", "-c", '"$@" >&2 </dev/null & echo $!', "sh", *command],
            check=True,
            cwd=data,
            env=environment(),
            umask=0o077,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log_file,
            text=True,
            start_new_session=True,
            user=None if account is None else account.uid,
            group=None if account is None else account.gid,
            extra_groups=None if account is None else (),
        )
    return int(shell.stdout)


def _disarm_pid_file(data: Path) -> None:
    """Put a number that no process can have in the place of a dead server's, which PostgreSQL would refuse if another got it.

    The rest stays: by the shared memory that it names PostgreSQL knows whether children of the dead server still write.
    """
    lines = _pid_file(data)
    if lines:
        (data / "postmaster.pid").write_text("\n".join([_NO_PROCESS, *lines[1:]]) + "\n")


def _pid_file(data: Path) -> list[str]:
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return []
    return lines if lines and lines[0].strip().isdigit() else []


def _alive(pid: int, data: Path) -> bool:
    """Whether `pid` is a server on `data`, and not another process that has got the number of a dead one."""
    if not Path("/proc/self").exists():
        found = subprocess.run(["ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True, text=True)
        return str(data) in found.stdout or "(sh)" in found.stdout
    try:
        return os.fsencode(data) in _command_line(Path(f"/proc/{pid}"))
    except OSError:
        return False


def _command_line(process: Path) -> bytes:
    """The command line of a process; empty for a zombie. Before the shell's child has become the server it is the shell's own.

    While a process becomes another program its command line is empty for an instant, so that one look is not enough.
    """
    for _ in range(_LOOKS_AT_EXEC):
        words = (process / "cmdline").read_bytes()
        if words or (process / "stat").read_text().rpartition(")")[2].split()[0] in "ZX":
            return words
        time.sleep(_LOOK_SECONDS)
    return b""


def _wait_until(condition: Callable[[], bool], timeout_seconds: float) -> bool:
    deadline = time.monotonic() + timeout_seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def _last_words(log: Path, start: int) -> str:
    with log.open("rb") as log_file:
        log_file.seek(start)
        words = log_file.read().decode(errors="replace")
    return explain(words, f"PostgreSQL did not start; its log is {log}")


def explain(output: str, otherwise: str) -> str:
    """One sentence out of what a program of PostgreSQL has printed."""
    if "No space left on device" in output or "Disk quota exceeded" in output:
        return "The disk is full: PostgreSQL needs room in the data directory."
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    told = [line for line in lines if any(mark in line for mark in ("FATAL:", "PANIC:", "error:"))] or lines
    reason = told[-1].split(": ", 1)[-1].removeprefix("FATAL:").strip() if told else ""
    return f"{otherwise}: {reason.rstrip('.')}." if reason else f"{otherwise}."
