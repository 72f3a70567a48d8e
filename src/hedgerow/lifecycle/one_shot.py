"""A sandbox that lives for one command on a run's folders: what git does to an agent's workspace, it does in there."""

import asyncio
import contextlib
import stat
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.sandboxes import Mount, SandboxSpec
from hedgerow.lifecycle.node import Node
from hedgerow.sandboxes.base import SandboxProvider


@dataclass(frozen=True, slots=True, kw_only=True)
class OneShot:
    """A command, the folders that it sees, and how long it may take. Each `attempt` has a sandbox of its own."""

    what: str  # in one word, for names and the log
    command: tuple[str, ...]
    attempt: str
    writable: tuple[Path, ...]
    readable: tuple[Path, ...] = ()
    seconds: float

    async def run(self, node: Node, run: TaskRun, provider: SandboxProvider) -> None:
        """Let the command run to its end, whatever comes of it; nothing of the sandbox is left. Raises UnavailableError."""
        folders = node.folders(run.id)
        spec = SandboxSpec(
            name=f"{run.id}-{self.what}-{self.attempt}",
            command=self.command,
            working_directory=folders.workspace,
            home=folders.home,
            mounts=(*(Mount(path, writable=True) for path in self.writable), *(Mount(path) for path in self.readable)),
            log_file=folders.root / f"{self.what}.log",
            owner=str(node.id),
        )
        node.one_shots.add(spec.name)
        try:
            await self._run(provider, spec)
        finally:
            node.one_shots.discard(spec.name)

    async def _run(self, provider: SandboxProvider, spec: SandboxSpec) -> None:
        handle = await provider.create(spec)
        try:
            async with asyncio.timeout(self.seconds):
                await provider.wait(handle)
        except TimeoutError as error:
            raise UnavailableError(f"It took longer than {self.seconds:g} seconds.") from error
        finally:
            await provider.destroy(handle)


def open_again(folder: Path) -> None:
    """Let the owner of a folder into it again: an agent may have closed its own. A link in its place is left alone."""
    with contextlib.suppress(OSError):  # whoever needs the folder next says what is wrong with it
        if stat.S_ISDIR(folder.lstat().st_mode):
            folder.chmod(0o700)
