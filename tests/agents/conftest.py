"""One runtime tree for all tests of this room: laying it out takes seconds."""

import asyncio
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

import pytest

from hedgerow.agents.base import LaunchRequest
from hedgerow.agents.pins import PACKAGES
from hedgerow.agents.runtime_tree import ensure

Wishes = Callable[..., LaunchRequest]


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runtime tree made from the Python that runs the tests."""
    folder = tmp_path_factory.mktemp("data")
    for above in (folder, *takewhile(lambda parent: parent.name.startswith(("pytest-", "popen-")), folder.parents)):
        above.chmod(above.stat().st_mode | 0o011)
    return asyncio.run(ensure(folder))


@pytest.fixture
def tree_with_agents(tmp_path: Path) -> Path:
    """A path of a tree beside which claude and codex seem to be installed."""
    tree = tmp_path / "runtime" / "1.0"
    for package in PACKAGES.values():
        programs = package.folder(tree) / "bin"
        programs.mkdir(parents=True)
        (programs / "node").symlink_to("/bin/sh")
    return tree


@pytest.fixture
def wishes(tmp_path: Path) -> Wishes:
    """Composes what a run asks of its agent."""

    def compose(**given: object) -> LaunchRequest:
        plain = {"model": None, "reasoning_effort": None, "permission_mode": "default", "home": tmp_path / "home", "isolated": True}
        return LaunchRequest(**{**plain, **given})  # type: ignore[arg-type]

    return compose
