"""What the tests of repositories share: an origin, folders of runs, and the repositories under test."""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from hedgerow.repositories import Repositories
from tests.repositories.desk import Desk
from tests.repositories.workbench import GitHost, Run, git, make_repository, serve


@pytest.fixture
def operator(tmp_path: Path) -> dict[str, str]:
    """The environment of an operator without any configuration of git."""
    home = tmp_path / "operator"
    home.mkdir()
    return {"PATH": os.environ["PATH"], "HOME": str(home), "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture
def repositories(tmp_path: Path, operator: dict[str, str]) -> Repositories:
    return Repositories(tmp_path / "mirrors", allow_local=True, environment=operator)


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository as people have it (`plain`) and as a host has it (`bare`): copying is quicker than making."""
    folder = tmp_path_factory.mktemp("templates")
    make_repository(folder / "plain")
    git(folder, "clone", "-q", "--bare", "plain", "bare")
    git(folder / "bare", "config", "http.receivepack", "true")
    return folder


@pytest.fixture
def origin(tmp_path: Path, templates: Path) -> Path:
    return shutil.copytree(templates / "plain", tmp_path / "origin")


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every account can reach; pytest keeps its own closed."""
    folder = Path(tempfile.mkdtemp(prefix="hedgerow-repositories-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def host(tmp_path: Path, templates: Path) -> Iterator[GitHost]:
    """A host that serves the bare repository `team/app.git`, which takes pushes."""
    shutil.copytree(templates / "bare", tmp_path / "hosted" / "team" / "app.git")
    with serve(tmp_path / "hosted") as host:
        yield host


@pytest.fixture
def new_run(tmp_path: Path) -> Callable[[], Run]:
    numbers = count(1)

    def make() -> Run:
        run = Run(tmp_path / "runs" / str(next(numbers)))
        run.workspace.mkdir(parents=True)
        run.result.mkdir()
        return run

    return make


@pytest.fixture
def run(new_run: Callable[[], Run]) -> Run:
    return new_run()


@pytest.fixture
async def desk(repositories: Repositories, origin: Path, run: Run) -> Desk:
    """A run that has been checked out from the local origin."""
    return await Desk(repositories, origin, run).begin()
