"""Processes that outlive the one that started them, yet leave no remains while it lives."""

import asyncio
import contextlib
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.sandboxes import SandboxState
from hedgerow.sandboxes import memory, processes
from hedgerow.sandboxes.processes import ProcessIdentity

_POLL_SECONDS = 0.25
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # the second as a shell and bubblewrap say it of what they ran


class _Outliving(subprocess.Popen[bytes]):
    """A process that nobody has to wait for before its handle is thrown away."""

    def __del__(self) -> None:
        """Nothing is owed: it is meant to go on, and the system collects it once its starter is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """A process to start in a session of its own, with no tie to this one but its output file."""

    command: Sequence[str]
    environment: Mapping[str, str]
    working_directory: Path
    log: int  # an open file descriptor
    descriptors: Sequence[int] = ()  # further ones that it inherits under the same numbers


class Children:
    """The sandboxes' processes that this process has started: it collects them as they end and remembers how."""

    def __init__(self) -> None:
        self._running: dict[ProcessIdentity, subprocess.Popen[bytes]] = {}
        self._kills_before: dict[ProcessIdentity, int | None] = {}  # for want of memory, when a process was started
        self._ended: dict[ProcessIdentity, SandboxState] = {}
        self._watches: dict[ProcessIdentity, asyncio.Task[None]] = {}

    def start(self, start: Start) -> ProcessIdentity:
        """Start a process and return once it runs its program. Raises OSError where it cannot."""
        kills_before = memory.kills()
        process = _Outliving(
            start.command,
            stdin=subprocess.DEVNULL,
            stdout=start.log,
            stderr=start.log,
            cwd=start.working_directory,
            env=dict(start.environment),
            pass_fds=tuple(start.descriptors),
            start_new_session=True,
            umask=0o022,
        )
        identity = processes.row_identity(process.pid)
        assert identity is not None, "a child stays listed until its parent has collected it"
        self._running[identity] = process
        self._kills_before[identity] = kills_before
        self._watches[identity] = asyncio.create_task(self._collect_at_the_end(identity))
        return identity

    def state(self, identity: ProcessIdentity) -> SandboxState:
        """How a process stands; how it ended is known only of children of this process."""
        self._collect(identity)
        if identity in self._ended:
            return self._ended[identity]
        return SandboxState(alive=processes.alive(identity))

    def forget(self, identities: Iterable[ProcessIdentity]) -> None:
        """Drop what is remembered of processes that have ended."""
        for identity in identities:
            self._collect(identity)
            if identity not in self._running:
                self._ended.pop(identity, None)

    async def _collect_at_the_end(self, identity: ProcessIdentity) -> None:
        while identity in self._running:
            await ended(identity)
            self._collect(identity)
        self._watches.pop(identity, None)

    def _collect(self, identity: ProcessIdentity) -> None:
        process = self._running.get(identity)
        if process is None or (code := process.poll()) is None:
            return
        del self._running[identity]
        before, now = self._kills_before.pop(identity), memory.kills()
        signalled = code < 0
        self._ended[identity] = SandboxState(
            alive=False,
            exit_code=None if signalled else code,
            signal=-code if signalled else None,
            out_of_memory=code in _KILLED and before is not None and now is not None and now > before,
        )


async def ended(identity: ProcessIdentity) -> None:
    """Return once a process has ended, whoever its parent is."""
    with contextlib.suppress(ProcessLookupError), processes.open_process(identity) as descriptor:
        if descriptor is not None:
            await readable(descriptor)
            return
        while processes.alive(identity):  # noqa: ASYNC110 - the system has no event for it
            await asyncio.sleep(_POLL_SECONDS)


async def readable(descriptor: int) -> None:
    """Return once something can be read from a file descriptor that nobody else in this process watches."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _settle, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _settle(future: "asyncio.Future[None]") -> None:
    if not future.done():
        future.set_result(None)


async def kill_until_gone(identities: Sequence[ProcessIdentity], *, timeout_seconds: float) -> bool:
    """Send SIGKILL to processes and return whether all were gone in time."""
    for identity in identities:
        processes.send_signal(identity, signal.SIGKILL)
    try:
        async with asyncio.timeout(timeout_seconds):
            await asyncio.gather(*(ended(identity) for identity in identities))
    except TimeoutError:
        return False
    return True
