"""The real agents, installed once into a cache that later runs find again, and a scripted model for them to talk to."""

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from hedgerow.agents import runtimes
from hedgerow.agents.base import AgentLaunch, LaunchRequest
from hedgerow.agents.install import install
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.runtime_tree import ensure
from hedgerow.domain.reasoning import DEFAULT_PERMISSION_MODES
from tests.agents_real.model_server import ModelServer

KEY = "sk-test-0123456789"

Launcher = Callable[..., AgentLaunch]


def agents_folder() -> Path:
    """Where the agents are kept between test runs: HEDGEROW_TEST_AGENTS, else the user's cache folder."""
    return Path(os.environ.get("HEDGEROW_TEST_AGENTS") or platformdirs.user_cache_path("hedgerow-tests"))


@pytest.fixture(scope="session")
def tree() -> Path:
    """A runtime tree with both agents beside it."""

    async def prepare() -> Path:
        made = await ensure(agents_folder())
        for name in ("claude", "codex"):
            await install(name, made, AgentOptions(environment=os.environ))
        return made

    return asyncio.run(prepare())


@pytest.fixture
def model() -> Iterator[ModelServer]:
    """A model that takes every key."""
    with ModelServer() as server:
        yield server


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """An empty folder for the agent to work in."""
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def launcher(tree: Path, tmp_path: Path) -> Launcher:
    """Composes the launch of an agent for a base URL, as a worker does."""

    def compose(name: str, url: str, *, isolated: bool = False, mode: str | None = None, **variables: str) -> AgentLaunch:
        keys = {"ANTHROPIC_API_KEY": KEY, "ANTHROPIC_BASE_URL": url, "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": f"{url}/v1"}
        options = AgentOptions(environment={"PATH": os.environ["PATH"], **keys, **variables})
        home = tmp_path / "home"
        home.mkdir(exist_ok=True)
        request = LaunchRequest(
            model=None, reasoning_effort=None, permission_mode=mode or DEFAULT_PERMISSION_MODES[name], home=home, isolated=isolated
        )
        return runtimes(options)[name].launch(tree, request)

    return compose
