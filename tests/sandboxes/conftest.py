"""Sandboxes of every kind that work on this machine, and folders for them."""

import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import Mount, SandboxSpec
from hedgerow.sandboxes import SandboxOptions, SandboxProvider, providers

PYTHON = os.path.realpath(sys.executable)
PYTHON_TREE = Mount(Path(sys.base_prefix).resolve())

MakeSpec = Callable[..., SandboxSpec]


class Workshop:
    """Makes sandboxes of one kind, and destroys them after the test."""

    def __init__(self, provider: SandboxProvider, folder: Path) -> None:
        self.provider = provider
        self.folder = folder
        self.work = self.writable("work")
        self.log = folder / "log"
        self.handles: list[SandboxHandle] = []

    def writable(self, name: str) -> Path:
        """A folder that the sandbox account may write."""
        path = self.folder / name
        path.mkdir()
        if self.provider.owner is not None:
            os.chown(path, *self.provider.owner)
        return path

    def spec(self, *command: str, mounts: tuple[Mount, ...] = (), environment: dict[str, str] | None = None) -> SandboxSpec:
        """A sandbox that sees the work folder and Python."""
        return SandboxSpec(
            name="test",
            command=command,
            working_directory=self.work,
            home=self.work,
            mounts=(Mount(self.work, writable=True), PYTHON_TREE, *mounts),
            environment=environment or {},
            log_file=self.log,
        )

    async def start(self, spec: SandboxSpec) -> SandboxHandle:
        """Start it."""
        handle = await self.provider.create(spec)
        self.handles.append(handle)
        return handle

    async def output(self, *command: str, **options: object) -> str:
        """What a command prints, once it has ended well."""
        handle = await self.start(self.spec(*command, **options))  # type: ignore[arg-type]
        state = await self.provider.wait(handle)
        text = self.log.read_text()
        assert state.exit_code == 0, (state, text)
        return text


async def workshop_of(name: str, folder: Path) -> Workshop:
    """A workshop, or the test is skipped with the reason why there can't be one."""
    provider = providers(SandboxOptions(grace_seconds=0.3))[name]
    try:
        await provider.check()
    except UnavailableError as error:
        pytest.skip(error.message)
    return Workshop(provider, folder)


@pytest.fixture(params=sorted(providers()))
async def workshop(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Workshop]:
    """Each kind of sandbox in turn."""
    made = await workshop_of(request.param, tmp_path)
    yield made
    for handle in made.handles:
        await made.provider.destroy(handle)


@pytest.fixture
async def isolated(tmp_path: Path) -> AsyncIterator[Workshop]:
    """The isolated kind."""
    made = await workshop_of("bubblewrap", tmp_path)
    yield made
    for handle in made.handles:
        await made.provider.destroy(handle)
