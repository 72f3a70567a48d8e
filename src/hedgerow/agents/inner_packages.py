"""Which packages the code inside a sandbox needs: those modules of hedgerow that run there, and the distributions that these import."""

import ast
import importlib.metadata
import re
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import hedgerow
from hedgerow.agents.folder_copy import copy_file
from hedgerow.domain.errors import UnavailableError

_INNER_ROOMS = ("agent_server", "scripted_agent")

_REQUIREMENT = re.compile(r"\s*(?P<name>[A-Za-z0-9._-]+)\s*(\[(?P<extras>[^\]]*)\])?")
_EXTRA = re.compile(r"extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"]")
_PARSING = threading.Lock()  # Python 3.11 counts the depth of trees for all threads together, and fails where two parse at once


@dataclass(frozen=True, slots=True)
class Requirement:
    """A distribution that another one asks for, with the extras of it that are wanted."""

    name: str
    extras: frozenset[str]


def own_files() -> list[tuple[Path, str]]:
    """The files of hedgerow that run inside a sandbox, each with its path below the packages folder.

    They are the rooms that run inside, and every module of hedgerow that these import.
    """
    root = Path(hedgerow.__file__).parent
    pending = [file for room in _INNER_ROOMS for file in (root / room).rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    found: set[Path] = set()
    while pending:
        file = pending.pop()
        if file not in found:
            found.add(file)
            pending.extend(_own_modules(root, _imports(file)) if file.suffix == ".py" else ())
    return [(file, f"hedgerow/{file.relative_to(root).as_posix()}") for file in sorted(found)]


def inner_distributions() -> dict[str, importlib.metadata.Distribution]:
    """The distributions that hedgerow's inner modules import, with all that these need, by normalised name."""
    wanted = _imported_modules()
    found: dict[str, importlib.metadata.Distribution] = {}
    for requirement in _requirements("hedgerow", frozenset()):
        distribution = _installed(requirement.name)
        if distribution is not None and wanted & _modules(requirement.name, distribution.version):
            _collect(requirement, found)
    return found


def copy_packages(target: Path, distributions: dict[str, importlib.metadata.Distribution]) -> None:
    """Copy hedgerow's inner modules and `distributions` below `target`. Raises UnavailableError for one without a list of files."""
    for source, inner in own_files():
        copy_file(source, target / inner)
    for name, distribution in distributions.items():
        if distribution.files is None:
            raise UnavailableError(
                f"The Python package {name} has no list of its files; install hedgerow and what it needs with pip or uv."
            )
        for file in distribution.files:
            source = Path(str(distribution.locate_file(file)))
            if ".." not in file.parts and file.suffix != ".pyc" and source.is_file():
                copy_file(source, target / file)


def _imported_modules() -> frozenset[str]:
    """The outermost names of all modules that the inner files import anywhere, without the standard library's."""
    names = {name.split(".")[0] for file, _ in own_files() if file.suffix == ".py" for name in _imports(file)}
    return frozenset(names - sys.stdlib_module_names - {"hedgerow"})


def _imports(file: Path) -> tuple[str, ...]:
    """Every module that a source file imports; `from a import b` gives both a and a.b, since b may be a module."""
    status = file.stat()
    return _parsed_imports(file, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=1024)
def _parsed_imports(file: Path, _changed: int, _bytes: int) -> tuple[str, ...]:
    """As `_imports`, for a file as it stood then: to parse them all takes half a second, and who asks for a tree asks for them twice."""
    with _PARSING:
        tree = ast.parse(file.read_bytes())
    return tuple(_imported(tree))


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _own_modules(root: Path, names: Iterable[str]) -> Iterator[Path]:
    """The files that are run when these modules of hedgerow are imported: their own, and those of the packages around them."""
    for name in names:
        outermost, *parts = name.split(".")
        if outermost == "hedgerow":
            packages = [root.joinpath(*parts[:depth]) / "__init__.py" for depth in range(len(parts) + 1)]
            module = root.joinpath(*parts).with_suffix(".py") if parts else packages[0]
            yield from (file for file in (*packages, module) if file.is_file())


@lru_cache(maxsize=256)
def _modules(name: str, version: str) -> frozenset[str]:
    """The outermost module names that a version of a distribution installs, remembered since lists of files are long."""
    distribution = importlib.metadata.distribution(name)
    return frozenset(file.parts[0].split(".")[0] for file in distribution.files or () if file.suffix in {".py", ".so"})


def _collect(requirement: Requirement, found: dict[str, importlib.metadata.Distribution]) -> None:
    """Add what `requirement` names and, first come, all that it needs. What is not installed is not needed on this machine."""
    name = _normal(requirement.name)
    distribution = _installed(requirement.name)
    if distribution is None or (name in found and not requirement.extras):
        return
    found[name] = distribution
    for inner in _requirements(requirement.name, requirement.extras):
        if _normal(inner.name) not in found:
            _collect(inner, found)


def _requirements(name: str, extras: frozenset[str]) -> Iterator[Requirement]:
    """What a distribution asks for, with that of the given extras (core metadata, Requires-Dist)."""
    distribution = _installed(name)
    for line in (distribution.requires if distribution is not None else None) or ():
        requirement, _, marker = line.partition(";")
        extra = _EXTRA.search(marker)
        found = _REQUIREMENT.match(requirement)
        if found is not None and (extra is None or extra["extra"] in extras):
            asked = (found["extras"] or "").split(",")
            yield Requirement(found["name"], frozenset(each.strip() for each in asked if each.strip()))


def _installed(name: str) -> importlib.metadata.Distribution | None:
    try:
        return importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
