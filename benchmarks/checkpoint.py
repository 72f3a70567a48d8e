"""A checkpoint of 5,000 files of which none has changed: the sandbox, git's look at the files, the reading of what it says."""

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.report import Figure
from hedgerow.domain import checkpoints
from hedgerow.domain.checkpoints import GitCheckpoint
from hedgerow.domain.sandboxes import Mount, SandboxSpec
from hedgerow.repositories import Checkout, Repositories, Taking
from hedgerow.repositories.checkpoints import Files
from hedgerow.sandboxes import SandboxOptions, SandboxProvider, providers

FILES = 5_000
ROUNDS = 40
GOAL_SECONDS = 0.05
_MOST_BYTES = 2**30


class _Bench:
    """One workspace, and what takes checkpoints of it."""

    def __init__(self, root: Path, provider: SandboxProvider) -> None:
        self.provider = provider
        self.root = root
        root.mkdir()
        root.chmod(0o755)
        self.workspace, self.home, self.own, self.result, self.copied = map(self._folder, ("workspace", "home", "own", "result", "copied"))
        self.checkout: Checkout
        self.repositories: Repositories

    def _folder(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir()
        if self.provider.owner is not None and name != "copied":
            os.chown(folder, *self.provider.owner)
        return folder

    def _clear(self) -> None:
        for folder in (self.result, self.copied):
            for file in folder.iterdir():
                file.unlink()

    async def begin(self, origin: Path, mirrors: Path) -> None:
        """Check the files out."""
        self.repositories = Repositories(mirrors, allow_local=True)
        self.checkout = await self.repositories.check_out(
            project_id=1, clone_url=str(origin), base=None, branch="hedgerow/bench", workspace=self.workspace, owner=self.provider.owner
        )

    def git(self, *arguments: str) -> None:
        """Run git in the workspace, whoever owns it."""
        command = ["git", "-c", "safe.directory=*", "-C", str(self.workspace), *arguments]
        subprocess.run(command, check=True, capture_output=True, env=os.environ | {"GIT_OPTIONAL_LOCKS": "0"})

    async def take(self, known: GitCheckpoint | None) -> tuple[float, Files | None]:
        """How long a checkpoint took in seconds, and what it holds."""
        self._clear()
        began = time.monotonic()
        taking = Taking(
            workspace=self.workspace,
            own=self.own,
            result=self.result,
            mirror=self.checkout.mirror,
            base_commit=self.checkout.base_commit,
            known=known,
            max_bytes=_MOST_BYTES,
        )
        writable = (self.workspace, self.home, self.own, self.result)
        spec = SandboxSpec(
            name="checkpoint",
            command=taking.command(),
            working_directory=self.workspace,
            home=self.home,
            mounts=(*(Mount(path, writable=True) for path in writable), Mount(self.checkout.mirror.parent)),
            log_file=self.root / "log",
        )
        handle = await self.provider.create(spec)
        await self.provider.wait(handle)
        await self.provider.destroy(handle)
        return time.monotonic() - began, await self.repositories.read_taken(taking, self.copied)

    def status_seconds(self) -> float:
        """How long git takes to say that nothing has changed."""
        began = time.monotonic()
        self.git("status", "--porcelain")
        return time.monotonic() - began


def _stream() -> Iterator[bytes]:
    yield b"commit refs/heads/main\ncommitter Benchmark <benchmark@localhost> 1700000000 +0000\ndata 5\nFiles\n"
    for number in range(FILES):
        content = b"an ordinary line of file %d\n" % number * 100
        yield b"M 100644 inline src/d%d/f%d.py\ndata %d\n%s\n" % (number // 50, number, len(content), content)


def _make_origin(folder: Path) -> Path:
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", folder], check=True)
    with subprocess.Popen(["git", "-C", folder, "fast-import", "--quiet"], stdin=subprocess.PIPE) as importing:
        assert importing.stdin is not None
        importing.stdin.writelines(_stream())
    assert importing.returncode == 0
    return folder


async def _measure(bench: _Bench, origin: Path, mirrors: Path) -> Figure:
    await bench.begin(origin, mirrors)
    bench.git("update-index", "-q", "--refresh")  # as an agent's first look does: the files were given to the sandbox's account
    _, files = await bench.take(None)
    assert files is not None
    now = datetime(2026, 5, 7, tzinfo=UTC)
    known = checkpoints.read(checkpoints.told("1", files.taken, remote_url="", pack_path="p", index_path="i", now=now))
    ours, bare = [], []
    for _ in range(ROUNDS):
        seconds, files = await bench.take(known)
        assert files is None, "something has changed"
        ours.append(seconds)
        bare.append(bench.status_seconds())
    taken, yardstick = median(ours), median(bare)
    return Figure(
        f"a checkpoint of {FILES:,} unchanged files, {bench.provider.name}",
        f"{taken * 1000:.0f} ms, the fastest {min(ours) * 1000:.0f} ms",
        f"git status {yardstick * 1000:.0f} ms, {min(bare) * 1000:.0f} ms",
        f"{taken / yardstick:.1f}",
        f"under {GOAL_SECONDS * 1000:.0f} ms",
        taken < GOAL_SECONDS,
    )


def measure(*sandboxes: str) -> list[Figure]:
    """One figure for each kind of sandbox."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-bench-") as name:
        root = Path(name)
        root.chmod(0o755)
        origin = _make_origin(root / "origin")
        kinds = providers(SandboxOptions())
        figures = [asyncio.run(_measure(_Bench(root / kind, kinds[kind]), origin, root / "mirrors")) for kind in sandboxes]
        shutil.rmtree(root / "mirrors")
        return figures
