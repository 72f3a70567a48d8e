"""Sandboxes without walls: a command in a session of its own, as the present account, with everything that it can read and reach."""

import asyncio
import secrets
import signal
from dataclasses import dataclass

from hedgerow.domain.errors import UnavailableError, unavailable
from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import FoundSandbox, SandboxSpec, SandboxState
from hedgerow.sandboxes import preparation, processes
from hedgerow.sandboxes.children import Children, Start, ended
from hedgerow.sandboxes.preparation import MARK
from hedgerow.sandboxes.processes import ProcessIdentity

_POLL_SECONDS = 0.02
_KILL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class _Machine:
    """What a handle's id holds: the first process, and the mark that all of its descendants inherit."""

    leader: ProcessIdentity
    mark: str

    def __str__(self) -> str:
        return f"{self.leader}/{self.mark}"

    @classmethod
    def of(cls, handle: SandboxHandle) -> "_Machine":
        leader, mark = handle.id.split("/")
        return cls(ProcessIdentity.parse(leader), mark)


class ProcessSandboxes:
    """Runs commands as ordinary processes. They see this machine as the account that runs hedgerow sees it."""

    name = "process"
    isolated = False
    owner: tuple[int, int] | None = None

    def __init__(self, *, grace_seconds: float = 2.0) -> None:
        """`grace_seconds`: how long processes may take to end after SIGTERM before SIGKILL ends them."""
        self._grace_seconds = grace_seconds
        self._children = Children()

    async def check(self) -> None:
        """Ordinary processes work on every machine."""

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        """Start the command; see SandboxProvider. Its log file is not bounded in size: nothing stands between the two."""
        preparation.require_usable(spec)
        mark = secrets.token_hex(16)
        leader = self._start(spec, {**preparation.environment(spec), **preparation.label(spec), MARK: mark})
        return SandboxHandle(provider=self.name, id=str(_Machine(leader, mark)))

    async def inspect(self, handle: SandboxHandle) -> SandboxState:
        """How the first process stands: the machine ends with it."""
        return self._children.state(_Machine.of(handle).leader)

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        """Return once the first process has ended."""
        await ended(_Machine.of(handle).leader)
        return await self.inspect(handle)

    async def destroy(self, handle: SandboxHandle) -> None:
        """Ask every process to end, then end it. Raises UnavailableError where some can't be ended."""
        machine = _Machine.of(handle)
        await self._ask(machine)
        await self._force(machine)
        self._children.forget([machine.leader])

    async def find(self, owner: str) -> list[FoundSandbox]:
        """Every machine of which a process is left; see SandboxProvider."""
        machines = await asyncio.to_thread(_machines, owner)
        return [FoundSandbox(name, SandboxHandle(provider=self.name, id=str(machine))) for machine, name in machines]

    def _start(self, spec: SandboxSpec, environment: dict[str, str]) -> ProcessIdentity:
        with preparation.open_log(spec.log_file) as log:
            try:
                return self._children.start(
                    Start(command=spec.command, environment=environment, working_directory=spec.working_directory, log=log)
                )
            except OSError as error:
                raise unavailable(f"The command {spec.command[0]} of the sandbox cannot be started: {error.strerror}.", error) from error

    async def _ask(self, machine: _Machine) -> None:
        members = await asyncio.to_thread(_members, machine)
        for member in members:
            processes.send_signal(member, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._grace_seconds):
                while members:
                    await asyncio.sleep(_POLL_SECONDS)
                    members = await asyncio.to_thread(_members, machine)
        except TimeoutError:
            return

    async def _force(self, machine: _Machine) -> None:
        """Rounds of SIGKILL: a process that is born during one round falls in the next."""
        try:
            async with asyncio.timeout(_KILL_SECONDS):
                while members := await asyncio.to_thread(_members, machine):
                    for member in members:
                        processes.send_signal(member, signal.SIGKILL)
                    await asyncio.sleep(0)
        except TimeoutError:
            raise UnavailableError(f"Processes of the sandbox with first process {machine.leader.pid} cannot be ended.") from None


def _machines(owner: str) -> list[tuple[_Machine, str]]:
    """Each with its name. Its first process is the one that began first: where that is gone, another stands for it."""
    found: dict[str, tuple[_Machine, str]] = {}
    rows = (row for row in processes.table().values() if not row.zombie)
    for row in sorted(rows, key=lambda row: (row.identity.started, row.identity.pid)):
        settings = processes.environment(row.identity.pid, {MARK, preparation.LABEL})
        name = preparation.name_of(settings.get(preparation.LABEL, ""), owner)
        if name is not None and MARK in settings:
            found.setdefault(settings[MARK], (_Machine(row.identity, settings[MARK]), name))
    return list(found.values())


def _members(machine: _Machine) -> list[ProcessIdentity]:
    """Every process that belongs to a machine: marked, descended from a member, or in a session that a member made.

    Only those that began after its first process are asked for the mark: to ask every process of a busy machine takes long.
    """
    rows = {pid: row for pid, row in processes.table().items() if not row.zombie and row.identity.started >= machine.leader.started}
    setting = f"{MARK}={machine.mark}"
    found = {pid for pid, row in rows.items() if row.identity == machine.leader or processes.has_environment(pid, setting)}
    return processes.family(rows, found)
