"""Real processes on real data directories. The runtime tree is laid out once per run of tests, since it is the same for all."""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from filelock import FileLock

from hedgerow.agents import runtime_tree
from tests.end_to_end.house import House
from tests.leftovers import end_processes_of


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here starts whole hedgerows."""
    for item in items:
        if item.nodeid.startswith("tests/end_to_end/"):
            item.add_marker(pytest.mark.whole)


IDENTITY = ("-c", "user.name=Somebody", "-c", "user.email=somebody@localhost")


def git(folder: Path, *arguments: str) -> str:
    """What git says in a folder."""
    return subprocess.run(["git", "-C", str(folder), *IDENTITY, *arguments], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="session")
def runtime_folder(testrun_uid: str) -> Path:
    """A runtime tree that the data directories of all tests share."""
    folder = Path(tempfile.gettempdir()) / f"hedgerow-tests-runtime-{testrun_uid[:12]}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o755)
    with FileLock(f"{folder}.lock"):
        asyncio.run(runtime_tree.ensure(folder))
    return folder / "runtime"


@contextmanager
def houses_on(runtime_folder: Path) -> Iterator[Callable[..., House]]:
    """Makes houses in data directories that PostgreSQL's account can enter; each ends with the block."""
    houses: list[House] = []
    with tempfile.TemporaryDirectory(prefix="hedgerow-tests-") as folder:
        Path(folder).chmod(0o755)

        def make(**settings: str) -> House:
            data_dir = Path(folder) / f"house{len(houses)}"
            data_dir.mkdir()
            shutil.copytree(runtime_folder, data_dir / "runtime", copy_function=os.link, symlinks=True)
            houses.append(House(data_dir, settings))
            return houses[-1]

        try:
            yield make
            for house in houses:
                house.stop()
        finally:
            end_processes_of(Path(folder))


@pytest.fixture
def make_house(runtime_folder: Path) -> Iterator[Callable[..., House]]:
    """Makes houses that a test may kill."""
    with houses_on(runtime_folder) as make:
        yield make


@pytest.fixture(scope="session")
def house(runtime_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A hedgerow that runs, for all tests that leave it running."""
    with houses_on(runtime_folder) as make:
        house = make(HEDGEROW_GIT_BASE_URL=f"file://{tmp_path_factory.mktemp('nowhere')}", HEDGEROW_INACTIVITY_TIMEOUT_MINUTES="0.05")
        house.up()
        yield house


def make_repository(folder: Path) -> Path:
    """A repository with one commit."""
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    (folder / "README.md").write_text("# A project\n")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "Begin")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of a developer, with one commit."""
    return make_repository(tmp_path / "project")
