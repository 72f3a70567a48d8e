"""What a sandbox is asked to be. A sandbox is a machine: it knows no agent, no git and no product."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hedgerow.domain.runs import SandboxHandle


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder that is seen inside under the very path that it has outside."""

    path: Path
    writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A machine to make: what it sees, and the one command that it lives for.

    `environment` holds no secrets: it can be read from outside for as long as the sandbox lives.
    """

    name: str
    command: tuple[str, ...]
    working_directory: Path
    home: Path
    mounts: tuple[Mount, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    log_file: Path | None = None  # where the command's own output goes; None: nowhere
    owner: str | None = None  # whose it is, so that its owner finds it again with nothing written down; without spaces, as the name


@dataclass(frozen=True, slots=True)
class FoundSandbox:
    """A sandbox that was found on the machine by its label."""

    name: str  # as its specification says
    handle: SandboxHandle


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxState:
    """Whether a sandbox lives, and if not, how its command ended where that is known."""

    alive: bool
    exit_code: int | None = None
    signal: int | None = None
    out_of_memory: bool = False  # the system says that it ended a process of this kind since the sandbox was made

    @property
    def killed(self) -> bool:
        """Whether it was ended with SIGKILL, as nobody here ends a sandbox that is still wanted."""
        return self.signal == signal.SIGKILL

    def describe(self) -> str:
        """How it stands, in a few words."""
        if self.alive:
            return "running"
        if self.killed:
            return "killed (signal 9)" + (": memory ran out" if self.out_of_memory else ", as the system does when memory runs out")
        if self.signal is not None:
            return f"killed by signal {self.signal} ({_signal_name(self.signal)})"
        return "gone" if self.exit_code is None else f"exit code {self.exit_code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown here"


@dataclass(frozen=True, slots=True, order=True)
class HostPort:
    """An address that an agent may reach through the gate: an exact host and port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicHosts:
    """The part of the public internet that an agent may reach through the gate, beside exact addresses.

    `domains`: names in lower case, and `*.name` for everything below a name, on the ports of the web. `every`: all hosts, all ports.
    """

    domains: frozenset[str] = frozenset()
    every: bool = False

    def hold(self, host: str, port: int) -> bool:
        """Whether a host (lower case) and port are among them. Where the name leads is another question."""
        if self.every:
            return True
        labels = host.split(".")
        above = ("*." + ".".join(labels[index:]) for index in range(1, len(labels)))
        return port in _WEB_PORTS and (host in self.domains or not self.domains.isdisjoint(above))


_WEB_PORTS = frozenset({80, 443})
NO_PUBLIC_HOSTS = PublicHosts()
