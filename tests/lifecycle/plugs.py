"""The outside world of a worker, in memory: sandboxes that only say that they live, repositories that can be made to wait or fail."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from hedgerow.agents.base import AgentLaunch, AgentRuntime, LaunchRequest
from hedgerow.domain.deadlines import Deadlines
from hedgerow.domain.errors import HedgerowError, UnavailableError
from hedgerow.domain.ids import uuid7
from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, FoundSandbox, HostPort, PublicHosts, SandboxSpec, SandboxState
from hedgerow.lifecycle import Node
from hedgerow.operations.backends import Backends
from hedgerow.repositories import Checkout, Published, Repositories, Taking
from hedgerow.repositories.idle_mirrors import FoundMirror
from hedgerow.sandboxes.base import SandboxProvider


@dataclass
class MemorySandboxes:
    """A provider whose machines do nothing."""

    name: str = "process"
    isolated: bool = False
    problem: str | None = None
    owner: tuple[int, int] | None = None
    alive: dict[str, SandboxSpec] = field(default_factory=dict)
    made: int = 0

    async def check(self) -> None:
        if self.problem is not None:
            raise UnavailableError(self.problem)

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        self.made += 1
        self.alive[str(self.made)] = spec
        return SandboxHandle(provider=self.name, id=str(self.made))

    async def inspect(self, handle: SandboxHandle) -> SandboxState:
        return SandboxState(alive=False)  # so that nobody tries to speak to an agent server in it

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        return SandboxState(alive=False, exit_code=0)

    async def destroy(self, handle: SandboxHandle) -> None:
        self.alive.pop(handle.id, None)

    async def find(self, owner: str) -> list[FoundSandbox]:
        found = ((spec, SandboxHandle(provider=self.name, id=number)) for number, spec in self.alive.items() if spec.owner == owner)
        return [FoundSandbox(spec.name, handle) for spec, handle in found]


@dataclass
class MemoryRepositories:
    """Repositories whose check-out waits for `let_go`, and whose result is what a test says."""

    let_go: asyncio.Event = field(default_factory=asyncio.Event)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)
    problem: HedgerowError | None = None
    published: Published | None = None
    publishing_problem: HedgerowError | None = None
    before_push: Callable[[], Awaitable[None]] | None = None  # what happens while the result is on its way to the git host

    def mirror(self, *, project_id: int, clone_url: str) -> Path:
        return self.root / "mirror.git"

    root: Path = Path("/nonexistent")

    def mirrors(self) -> list[FoundMirror]:
        return []

    def remains(self) -> list[Path]:
        return []

    async def check_out(self, **wishes: Any) -> Checkout:
        self.began.set()
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.given_up.set()
            raise
        if self.problem is not None:
            raise self.problem
        return Checkout(base_commit="1" * 40, base_branch="main", mirror=self.root / "mirror.git")

    def collect_command(self, **wishes: Any) -> tuple[str, ...]:
        return ("true",)

    async def read_taken(self, taking: Taking, target: Path) -> None:
        return None  # nothing has changed

    async def publish(self, **wishes: Any) -> Published | None:
        if self.before_push is not None:
            await self.before_push()
        await wishes["allowed"]()
        if self.publishing_problem is not None:
            raise self.publishing_problem
        return self.published


class MemoryGate:
    """A gate that remembers whose door is open."""

    def __init__(self) -> None:
        self.doors: dict[UUID, frozenset[HostPort]] = {}
        self.public: dict[UUID, PublicHosts] = {}

    async def open(
        self,
        run_id: UUID,
        sockets: Path,
        allowed: frozenset[HostPort],
        owner: tuple[int, int] | None,
        *,
        public: PublicHosts = NO_PUBLIC_HOSTS,
    ) -> None:
        self.doors[run_id] = allowed
        self.public[run_id] = public

    async def close(self, run_id: UUID) -> None:
        self.doors.pop(run_id, None)

    def open_runs(self) -> list[UUID]:
        return list(self.doors)


@dataclass(frozen=True)
class MemoryAgent:
    """A runtime that can be given a key."""

    name: str
    has_key: bool = True
    provider: str | None = None
    problem: str | None = None

    def installed(self, runtime_tree: Path) -> bool:
        return True

    def launch(self, runtime_tree: Path, request: LaunchRequest) -> AgentLaunch:
        if self.problem is not None:
            raise UnavailableError(self.problem)
        return AgentLaunch(command=(self.name,), hosts=frozenset({HostPort("models.test", 443)}))


@dataclass(frozen=True)
class MemoryTree:
    """A runtime tree in which every agent stands."""

    folder: Path

    async def __call__(self, agent: str) -> Path:
        return self.folder

    async def tree(self) -> Path:
        return self.folder


WORKER_URL = "http://worker.test"


def memory_node(
    backends: Backends,
    folder: Path,
    sandboxes: Mapping[str, MemorySandboxes],
    *,
    choice: str,
    gate: MemoryGate,
    repositories: MemoryRepositories,
) -> Node:
    """A node in a folder, everything outside of which is memory."""
    tree = folder / "runtime" / "1"
    tree.mkdir(parents=True)
    return Node(
        id=uuid7(),
        backends=backends,
        data_dir=folder,
        worker_url=lambda: WORKER_URL,
        gate=gate,
        sandboxes=cast("dict[str, SandboxProvider]", dict(sandboxes)),
        sandbox_choice=choice,
        agents=cast("dict[str, AgentRuntime]", agents(MemoryAgent("scripted"), MemoryAgent("claude", has_key=False))),
        runtime_tree=MemoryTree(tree),
        repositories=cast("Repositories", repositories),
        egress=frozenset(),
        deadlines=Deadlines(inactivity=timedelta(minutes=30), wall_clock=timedelta(hours=6), look_again=timedelta(minutes=1)),
    )


def agents(*made: MemoryAgent) -> Mapping[str, MemoryAgent]:
    """The table of them."""
    return {agent.name: agent for agent in made}
