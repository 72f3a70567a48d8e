"""A machine that holds runs: what its workers act with, and where a run's folders lie on it."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Protocol
from uuid import UUID

from hedgerow.agents import runtime_tree
from hedgerow.agents.base import AgentRuntime
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.housekeeping import Retention, Room
from hedgerow.domain.queue import RunLimits
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, HostPort, PublicHosts
from hedgerow.lifecycle.lease import NodeLease
from hedgerow.operations.backends import Backends
from hedgerow.repositories import Repositories, ScanLimits
from hedgerow.sandboxes.base import SandboxProvider

_LONGEST_SOCKET_PATH = 107  # bytes that a unix socket's address holds, less the closing zero
_LONGEST_SOCKET_NAME = "/egress.sock"


class SandboxGate(Protocol):
    """The way between sandboxes and the control plane. The worker holds it; a run's actions open and close their own door."""

    async def open(
        self,
        run_id: UUID,
        sockets: Path,
        allowed: frozenset[HostPort],
        owner: tuple[int, int] | None,
        *,
        public: PublicHosts = NO_PUBLIC_HOSTS,
    ) -> None:
        """Let the run's sandbox reach the control plane, the `allowed` addresses and the `public` hosts. Safe to repeat."""
        ...

    async def close(self, run_id: UUID) -> None:
        """Cut the run's sandbox off. Safe to repeat."""
        ...

    def open_runs(self) -> list[UUID]:
        """The runs whose door is open."""
        ...


class RuntimeTree(Protocol):
    """Lays out the programs that sandboxes mount read-only."""

    async def __call__(self, agent: str) -> Path:
        """The tree, with `agent` installed in it. Raises UnavailableError saying what is missing."""
        ...

    async def tree(self) -> Path:
        """The tree alone."""
        ...


@dataclass(frozen=True, slots=True)
class RunFolders:
    """Where one run's files lie on its node. All but `sockets` go when the run is cleaned up."""

    root: Path
    sockets: Path

    @property
    def workspace(self) -> Path:
        """The clone that the agent works in."""
        return self.root / "workspace"

    @property
    def home(self) -> Path:
        """The agent's own home folder."""
        return self.root / "home"

    @property
    def spool(self) -> Path:
        """What the agent server has not yet handed to the control plane."""
        return self.root / "spool"

    def result(self, attempt: str) -> Path:
        """What a collecting sandbox leaves for the host to publish: each attempt its own, since a killed worker's may still be at it."""
        return self.root / f"result-{attempt}"

    def note_runtime(self, tree: Path) -> None:
        """Say which runtime tree the sandbox of this start runs on, so that nobody removes it."""
        (self.root / "runtime").write_text(tree.name)
        runtime_tree.note_use(tree)

    def runtime(self) -> str | None:
        """The name of that tree; None where nobody has said it."""
        try:
            return (self.root / "runtime").read_text()
        except (OSError, UnicodeDecodeError):
            return None

    @property
    def kept(self) -> bool:
        """Whether the work in here could not be collected, and stays until a person or housekeeping removes it."""
        return self._keep_mark.exists()

    def keep(self) -> None:
        """Let the work in here stay. Raises OSError."""
        self._keep_mark.touch(mode=0o600)

    @property
    def _keep_mark(self) -> Path:
        return self.root / "kept"

    def set_aside(self) -> Path | None:
        """Make room for a new start: what an earlier one could not land is moved away; where to, and None where there is nothing."""
        if not self.root.exists():
            return None
        number = next(n for n in count(1) if not self.root.with_name(f"{self.root.name}-kept-{n}").exists())
        return self.root.rename(self.root.with_name(f"{self.root.name}-kept-{number}"))

    def remove(self) -> None:
        """Remove everything. Safe to repeat."""
        for folder in (self.root, self.sockets):
            _open_up(folder)
            shutil.rmtree(folder, ignore_errors=True)


def _open_up(folder: Path) -> None:
    """Let the folders within be emptied, which agents and their tools like to write-protect. Root needs no leave."""
    if os.geteuid() == 0:
        return
    for inner, folders, _ in os.walk(folder):
        for path in (Path(inner) / name for name in folders):
            if not path.is_symlink():
                with suppress(OSError):
                    path.chmod(0o700)


def make_private(folder: Path, owner: tuple[int, int] | None) -> None:
    """Make a folder for `owner` (None: the present account) alone. Safe to repeat."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if owner is not None:
        os.chown(folder, *owner)


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Everything that the actions of a run need beyond `Backends`. One per worker process."""

    id: UUID
    backends: Backends
    data_dir: Path
    worker_url: Callable[[], str]  # where the control plane reaches the gate of this worker
    gate: SandboxGate
    sandboxes: Mapping[str, SandboxProvider]
    sandbox_choice: str  # "auto" or the name of a provider
    agents: Mapping[str, AgentRuntime]
    default_models: Mapping[str, str] = field(default_factory=dict)  # the operator's, for runs that name none
    runtime_tree: RuntimeTree
    repositories: Repositories
    egress: frozenset[HostPort]
    deadlines: Deadlines
    limits: RunLimits = field(default_factory=RunLimits)
    claiming: asyncio.Lock = field(default_factory=asyncio.Lock)  # so that those who wait for a line hold no connection meanwhile
    scan_limits: ScanLimits = field(default_factory=ScanLimits)
    lease: NodeLease = field(default_factory=NodeLease)
    one_shots: set[str] = field(default_factory=set)  # names of sandboxes that no run claims, since they live for one command
    least_free_bytes: int = 0  # of the disk of the data directory, for a new sandbox
    least_free_percent: float = 0.0
    retention: Retention = field(default_factory=Retention)

    def room(self) -> Room:
        """How much of the data directory's disk is free."""
        disk = shutil.disk_usage(self.data_dir)
        return Room(free_bytes=disk.free, total_bytes=disk.total, least_bytes=self.least_free_bytes, least_percent=self.least_free_percent)

    def may_claim(self, run: TaskRun) -> bool:
        """Whether this machine has room for a run that nobody holds."""
        return run.execution.node_id is not None or self.room().enough

    def folders(self, run_id: UUID) -> RunFolders:
        """Where the run's files lie."""
        name = run_id.hex[-12:]
        sockets = self.data_dir / "s" / name
        if len(str(sockets).encode()) + len(_LONGEST_SOCKET_NAME) > _LONGEST_SOCKET_PATH:
            house = hashlib.sha256(str(self.data_dir).encode()).hexdigest()[:8]
            sockets = Path(tempfile.gettempdir()) / f"hedgerow-{house}" / name
        return RunFolders(root=self.data_dir / "runs" / str(run_id), sockets=sockets)
