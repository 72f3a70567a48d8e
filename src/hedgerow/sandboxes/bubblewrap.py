"""Isolated sandboxes: bubblewrap gives a command its own users, files, processes and network (loopback alone)."""

import asyncio
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import PassingError, UnavailableError, unavailable
from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import FoundSandbox, SandboxSpec, SandboxState
from hedgerow.sandboxes import bubblewrap_start, preparation, processes
from hedgerow.sandboxes.bubblewrap_check import verify
from hedgerow.sandboxes.bubblewrap_start import Launch
from hedgerow.sandboxes.children import Children, Start, ended, kill_until_gone
from hedgerow.sandboxes.preparation import MARK
from hedgerow.sandboxes.processes import ProcessIdentity

_START_SECONDS = 15.0
_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Machine:
    """What a handle's id holds: bwrap itself, which ends with the command, and the first process of the sandbox's own process table."""

    outer: ProcessIdentity
    inner: ProcessIdentity

    def __str__(self) -> str:
        return f"{self.outer}/{self.inner}"

    @classmethod
    def of(cls, handle: SandboxHandle) -> "_Machine":
        outer, inner = handle.id.split("/")
        return cls(ProcessIdentity.parse(outer), ProcessIdentity.parse(inner))


class BubblewrapSandboxes:
    """Runs commands where they see the system read-only and the given folders, and reach nothing but what lies in these."""

    name = "bubblewrap"
    isolated = True

    def __init__(self, *, account: tuple[int, int] = (61000, 61000)) -> None:
        """`account`: the uid and gid that sandboxes run as where hedgerow runs as root. It needs no entry in passwd."""
        self._account = account if os.geteuid() == 0 else None
        self._children = Children()
        self._checked: asyncio.Future[None] | None = None

    @property
    def owner(self) -> tuple[int, int] | None:
        """The sandbox account as root; else None: a plain user's sandboxes run as that user."""
        return self._account

    async def check(self) -> None:
        """Start a tiny sandbox, until one has worked. Raises UnavailableError saying what keeps this machine from it."""
        checked = self._checked
        if checked is None or (checked.done() and (checked.cancelled() or checked.exception() is not None)):
            checked = self._checked = asyncio.ensure_future(verify(self))
        await asyncio.shield(checked)

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        """Start the command in a sandbox of its own; see SandboxProvider."""
        preparation.require_usable(spec)
        with preparation.open_log(spec.log_file) as log, bubblewrap_start.prepare(spec, self._account) as launch:
            log_start = os.fstat(log).st_size
            outer = self._launch(launch, log, preparation.label(spec))
            launch.release()
            try:
                return await self._settle(spec, launch, outer, log_start)
            except BaseException:
                await self._clear(outer)
                raise

    async def inspect(self, handle: SandboxHandle) -> SandboxState:
        """How the command stands. bwrap says `128 + n` for a command that signal n has ended, as a shell does."""
        state = self._children.state(_Machine.of(handle).outer)
        if state.exit_code is not None and state.exit_code > 128:
            return SandboxState(alive=False, signal=state.exit_code - 128, out_of_memory=state.out_of_memory)
        return state

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        """Return once the command has ended."""
        await ended(_Machine.of(handle).outer)
        return await self.inspect(handle)

    async def destroy(self, handle: SandboxHandle) -> None:
        """End the sandbox at once: with its first process the kernel ends all others. Raises UnavailableError where it can't."""
        machine = _Machine.of(handle)
        await self._end([machine.inner, machine.outer])
        self._children.forget([machine.outer])

    async def find(self, owner: str) -> list[FoundSandbox]:
        """Every machine whose bwrap still runs; see SandboxProvider. The kernel ends the others with their first process."""
        machines = await asyncio.to_thread(_machines, owner)
        return [FoundSandbox(name, SandboxHandle(provider=self.name, id=str(machine))) for machine, name in machines]

    def _launch(self, launch: Launch, log: int, label: dict[str, str]) -> ProcessIdentity:
        start = Start(
            command=launch.command,
            environment={"PATH": preparation.SEARCH_PATH, **label},
            working_directory=Path("/"),
            log=log,
            descriptors=launch.given,
        )
        try:
            return self._children.start(start)
        except OSError as error:
            raise unavailable(f"The sandbox cannot be made: {launch.command[0]} does not start ({error.strerror}).", error) from error

    async def _settle(self, spec: SandboxSpec, launch: Launch, outer: ProcessIdentity, log_start: int) -> SandboxHandle:
        """Wait until the command runs, or has run. Raises UnavailableError where it never did."""
        inner = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_SECONDS):
                inner = await launch.first_process()
                if inner is not None and await bubblewrap_start.runs(outer, inner):
                    return SandboxHandle(provider=self.name, id=str(_Machine(outer, inner)))
                await ended(outer)
        state = self._children.state(outer)
        if state.alive:
            raise PassingError(f"The sandbox did not start within {_START_SECONDS:.0f} seconds.")
        complaint = bubblewrap_start.complaint(spec.log_file, log_start, begun=inner is not None)
        if inner is None or complaint or (spec.log_file is None and state.exit_code == 1):
            raise UnavailableError(f"The sandbox cannot be made: {complaint or state.describe()}.")
        return SandboxHandle(provider=self.name, id=str(_Machine(outer, inner)))

    async def _clear(self, outer: ProcessIdentity) -> None:
        """End a half-made sandbox: bwrap first, so that it makes no further process, then what it had made."""
        remaining = [outer]
        while remaining:
            await self._end(remaining)
            remaining = _session_of(outer)
        self._children.forget([outer])

    async def _end(self, identities: list[ProcessIdentity]) -> None:
        if not await kill_until_gone(identities, timeout_seconds=_KILL_SECONDS):
            raise UnavailableError(f"The sandbox with process {identities[-1].pid} cannot be ended: the system does not let go of it.")


def _machines(owner: str) -> list[tuple[_Machine, str]]:
    """Each with its name. bwrap leads a session of its own, and the first process of the sandbox is its child."""
    rows = processes.table()
    found = []
    for row in rows.values():
        if row.zombie or row.session != row.identity.pid:
            continue
        settings = processes.environment(row.identity.pid, {preparation.LABEL, MARK})
        name = preparation.name_of(settings.get(preparation.LABEL, ""), owner)
        if name is not None and MARK not in settings:  # otherwise it is no bwrap, but a process of a sandbox without walls
            inner = next((child.identity for child in rows.values() if child.parent == row.identity.pid), row.identity)
            found.append((_Machine(row.identity, inner), name))
    return found


def _session_of(outer: ProcessIdentity) -> list[ProcessIdentity]:
    """What an ended bwrap has left in its session. The session's number is not given away while a process is in it."""
    rows = processes.table()
    leader = rows.get(outer.pid)
    if leader is not None and leader.identity != outer:
        return []
    return [row.identity for row in rows.values() if row.session == outer.pid and not row.zombie]
