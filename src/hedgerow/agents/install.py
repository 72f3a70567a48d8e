"""Installing an agent: the locked packages from npm, under their version, all or nothing."""

import asyncio
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import filelock

from hedgerow.agents.claude import shell_without_keys
from hedgerow.agents.folder_copy import let_everyone_read, make_folder
from hedgerow.agents.node import Node, find_node
from hedgerow.agents.options import AgentOptions, without_secrets
from hedgerow.agents.pins import LOCKS, PACKAGES, AgentPackage
from hedgerow.agents.programs import run
from hedgerow.domain.errors import InvalidError, UnavailableError

_INSTALL_SECONDS = 900
_LOOK_SECONDS = 0.3
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--no-progress", "--loglevel=error")
_NPM = ("ci", "--ignore-scripts", "--omit=dev", "--no-global", *_QUIET)


@dataclass(frozen=True, slots=True)
class InstallProgress:
    """How far an installation has come. `fraction` goes from 0 to 1 and is an estimate until it is 1."""

    agent: str
    step: str
    fraction: float


Report = Callable[[InstallProgress], None]


async def install(name: str, tree: Path, options: AgentOptions, report: Report = lambda progress: None) -> Path:
    """The folder of an agent, installed beside `tree` first where it is missing. Safe to call from several processes at once.

    Raises InvalidError for a name that needs no installing, UnavailableError where it cannot be installed.
    """
    package = PACKAGES.get(name)
    if package is None:
        raise InvalidError(f"There is no agent {name!r} to install; there are {', '.join(PACKAGES)}.", attr="name")
    if not package.installed(tree):
        try:
            await _install_locked(package, tree, options, report)
        except OSError as error:
            raise UnavailableError(f"{package.title} cannot be installed in {package.folder(tree)}: {error.strerror or error}.") from error
    report(InstallProgress(name, "installed", 1.0))
    return package.folder(tree)


async def _install_locked(package: AgentPackage, tree: Path, options: AgentOptions, report: Report) -> None:
    home = package.folder(tree).parent
    make_folder(home)
    report(InstallProgress(package.agent, "waiting for another installation", 0.0))
    async with filelock.AsyncFileLock(home / ".lock"):
        if package.installed(tree):
            return
        report(InstallProgress(package.agent, "looking for Node", 0.0))
        node = await find_node(tree, options)
        partial = home / f".{package.version}.partial"
        try:
            await _download(package, node, partial, options, report)
            report(InstallProgress(package.agent, "making it readable for sandboxes", 0.95))
            await asyncio.to_thread(_finish, package, node, partial, package.folder(tree))
        finally:
            await asyncio.to_thread(shutil.rmtree, partial, ignore_errors=True)


async def _download(package: AgentPackage, node: Node, partial: Path, options: AgentOptions, report: Report) -> None:
    """Let npm lay out exactly what the lock file says. Nothing that a package brings is run."""
    await asyncio.to_thread(_begin, package, partial)
    environment = without_secrets(options.environment)
    # npm starts its own Node by name.
    environment["PATH"] = f"{Path(node.npm[0]).parent}{os.pathsep}{environment.get('PATH', os.defpath)}"
    command = (*node.npm, *_NPM, "--cache", str(partial / ".npm"), "--prefix", str(partial))
    watch = asyncio.create_task(_watch(package, partial, report))
    try:
        await run(command, environment=environment, cwd=partial, timeout_seconds=_INSTALL_SECONDS)
    except UnavailableError as error:
        raise UnavailableError(f"{package.title} could not be installed with npm: {error.message}.") from error
    finally:
        watch.cancel()


def _begin(package: AgentPackage, partial: Path) -> None:
    shutil.rmtree(partial, ignore_errors=True)
    make_folder(partial)
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(LOCKS / package.agent / name, partial / name)


async def _watch(package: AgentPackage, partial: Path, report: Report) -> None:
    """Report how much is there, measured against what it takes in the end: npm itself says nothing that can be counted."""
    while True:
        size = await asyncio.to_thread(_megabytes, partial / "node_modules")
        report(InstallProgress(package.agent, f"downloading {package.npm_name} {package.version}", min(0.9, size / package.megabytes)))
        await asyncio.sleep(_LOOK_SECONDS)


def _megabytes(folder: Path) -> float:
    total = 0
    for inner, _, files in os.walk(folder):
        for name in files:
            try:
                total += (Path(inner) / name).lstat().st_size
            except FileNotFoundError:  # npm moves files about while it works
                continue
    return total / 1e6


def _finish(package: AgentPackage, node: Node, partial: Path, folder: Path) -> None:
    """Drop what was only for the way, add the programs, let everybody read it all, and give it its name."""
    shutil.rmtree(partial / ".npm", ignore_errors=True)
    programs = partial / "bin"
    make_folder(programs)
    (programs / "node").symlink_to(node.program)
    shell = programs / "without-keys"
    shell.write_text(shell_without_keys())
    shell.chmod(0o755)
    let_everyone_read(partial)
    shutil.rmtree(folder, ignore_errors=True)
    partial.rename(folder)
