"""The runtime tree: what a sandbox needs to run an agent server, readable for every account, made once for each version.

    DATA_DIR/runtime/              mounted read-only into every sandbox
        <version>/python/          a copy of the running Python
        <version>/packages/        hedgerow's inner modules and what these import
        agents/<name>/<version>/   installed agents (install.py)
        node/<version>/            Node, where the machine's own cannot be used inside (node.py)

A tree appears under its name only when it is whole. Its version names what it was made from, so that an upgrade makes another one,
while sandboxes that run on the old one go on undisturbed.
"""

import asyncio
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from pathlib import Path

import filelock

from hedgerow.agents.folder_copy import make_folder
from hedgerow.agents.inner_packages import copy_packages, inner_distributions, own_files
from hedgerow.agents.interpreter_copy import base_interpreter, check_copy, copy_interpreter, describe
from hedgerow.agents.pins import PACKAGES
from hedgerow.domain.errors import UnavailableError

_LAYOUT = "1"  # raised whenever the layout of a tree changes
_COMPILE_SECONDS = 300
_BUSY_SECONDS = 10
_GOING = "-going.partial"


async def ensure(data_dir: Path, *, interpreter: Path | None = None) -> Path:
    """The tree for this hedgerow and this Python (`interpreter`; None: the running one), made first where it is missing.

    Safe to call from any number of processes at once. Raises UnavailableError where it cannot be made, for instance on a full disk.
    """
    return await asyncio.to_thread(_ensure, data_dir, interpreter or base_interpreter())


def python_command(tree: Path) -> tuple[str, ...]:
    """The start of a command line that runs the tree's Python: isolated from the environment and the working directory (`-I`)."""
    return (str(tree / "python" / "bin" / "python3"), "-I", "-B")


def folders(tree: Path) -> tuple[Path, ...]:
    """The folders that a sandbox must see, read-only, to run the tree and the agents that are installed beside it."""
    return (tree.parent,)


def present(data_dir: Path) -> Path:
    """Where the tree for this hedgerow and this Python lies, whether it was made yet or not."""
    return data_dir.resolve() / "runtime" / _version(base_interpreter())


def others(data_dir: Path) -> list[Path]:
    """What is of another version: the trees, the agents, and each Node that no agent here runs on."""
    root = data_dir.resolve() / "runtime"
    trees = [tree for tree in _visible(root, "*") if (tree / "packages").is_dir()]
    own = present(data_dir) if trees else None
    agents = _visible(root, "agents/*/*")
    needed = {node for agent in agents if (node := _node_of(agent)) is not None}
    return [
        *(tree for tree in trees if tree != own),
        *(agent for agent in agents if not _is_ours(agent)),
        *(node for node in _visible(root, "node/*") if not any(program.is_relative_to(node) for program in needed)),
    ]


def _visible(root: Path, pattern: str) -> list[Path]:
    """Folders that are whole: what is being made or removed is hidden."""
    return [folder for folder in sorted(root.glob(pattern)) if not folder.name.startswith(".") and folder.is_dir()]


def _is_ours(agent: Path) -> bool:
    package = PACKAGES.get(agent.parent.name)
    return package is not None and package.version == agent.name


def _node_of(agent: Path) -> Path | None:
    """The Node that an installed agent runs on."""
    with suppress(OSError):
        return (agent / "bin" / "node").readlink()
    return None


def may_be_used(found: Path, data_dir: Path, trees: Collection[str]) -> bool:
    """Whether one of the `others` may be in use by sandboxes on the trees of these names. Those on our own tree run our own agents."""
    own = present(data_dir)
    return found.name in trees if found.parent == own.parent else any(tree != own.name for tree in trees)


def note_use(folder: Path) -> None:
    """Have the time of a tree, an agent or a Node say when it was last used."""
    with suppress(OSError):
        os.utime(folder)


def remove(folder: Path, may_go: Callable[[], bool]) -> bool:
    """Remove one of the `others` unless `may_go`, asked while none of its kind can be made, says otherwise; whether it went.

    What is cut off in the middle is one of the `remains`. Raises OSError where one is being made for long.
    """
    with filelock.FileLock(folder.parent / ".lock", timeout=_BUSY_SECONDS):
        if not folder.is_dir() or not may_go():
            return False
        going = folder.with_name(f".{folder.name}{_GOING}")
        shutil.rmtree(going, ignore_errors=True)
        folder.rename(going)
    shutil.rmtree(going, ignore_errors=True)
    return True


def remains(data_dir: Path) -> list[Path]:
    """What a removal that was cut off has left."""
    root = data_dir.resolve() / "runtime"
    return [path for pattern in ("", "agents/*/", "node/") for path in sorted(root.glob(f"{pattern}.*{_GOING}"))]


def _ensure(data_dir: Path, interpreter: Path) -> Path:
    tree = data_dir.resolve() / "runtime" / _version(interpreter)
    if tree.is_dir():
        return tree
    try:
        make_folder(tree.parent)
        with filelock.FileLock(tree.parent / ".lock"):
            if not tree.is_dir():
                _make(tree, interpreter)
    except OSError as error:
        raise UnavailableError(f"The runtime for sandboxes cannot be laid out in {tree.parent}: {error.strerror or error}.") from error
    return tree


def _make(tree: Path, interpreter: Path) -> None:
    """Build the tree under another name, check it and give it its own. The caller holds the lock."""
    for remains in tree.parent.glob(".*.partial"):
        shutil.rmtree(remains, ignore_errors=True)
    partial = tree.parent / f".{tree.name}.partial"
    try:
        program = copy_interpreter(describe(interpreter), partial / "python")
        copy_packages(partial / "packages", inner_distributions())
        _add_packages_to_path(program, partial)
        _compile(program, partial)
        check_copy(program, partial / "python")
        partial.rename(tree)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


def _add_packages_to_path(program: Path, partial: Path) -> None:
    """Let the copied Python find `packages` by a .pth file in its first site folder, whatever its distribution calls that folder."""
    answer = _run(program, "-c", "import site; print(site.getsitepackages()[0])")
    site_folder = Path(answer.strip())
    make_folder(site_folder)
    path_file = site_folder / "hedgerow.pth"
    path_file.write_text(os.path.relpath(partial / "packages", site_folder.resolve()) + "\n")
    path_file.chmod(0o644)


def _compile(program: Path, partial: Path) -> None:
    """Write all bytecode now: nobody may write it later, and compiling at every start would take longer than starting.

    The library's bytecode was copied with its times, so that only what is missing is compiled; the packages' is never checked again.
    """
    common = ("-m", "compileall", "-q", "-j", str(min(4, os.cpu_count() or 1)))
    _run(program, *common, "--invalidation-mode", "unchecked-hash", str(partial / "packages"), may_fail=True)
    _run(program, *common, *(str(library) for library in (partial / "python").glob("lib*/python3*")), may_fail=True)
    for bytecode in partial.rglob("*.pyc"):
        bytecode.chmod(0o644)
    for folder in partial.rglob("__pycache__"):
        folder.chmod(0o755)


def _run(program: Path, *arguments: str, may_fail: bool = False) -> str:
    """Run the copied Python; `may_fail` for compiling, since packages carry files that are meant not to compile."""
    command = [str(program), "-I", *arguments]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError("The copy of Python that sandboxes use did not finish its work in time.") from error
    if answer.returncode != 0 and not may_fail:
        raise UnavailableError(f"The copy of Python that sandboxes use does not run: {answer.stderr.strip()[-300:]}")
    return answer.stdout


def _version(interpreter: Path) -> str:
    """A name that changes with everything that goes into a tree."""
    digest = hashlib.sha256()
    for part in _ingredients(interpreter):
        digest.update(part.encode() + b"\0")
    return f"{importlib.metadata.version('hedgerow')}-{digest.hexdigest()[:12]}"


def _ingredients(interpreter: Path) -> Iterator[str]:
    status = interpreter.stat()
    yield from (_LAYOUT, str(interpreter), str(status.st_size), str(status.st_mtime_ns), sys.version)
    for file, inner in own_files():
        yield from (inner, hashlib.sha256(file.read_bytes()).hexdigest())
    for name, distribution in sorted(inner_distributions().items()):
        yield from (name, distribution.version)
