"""The real agents through every floor: a task over HTTP, the agent in a sandbox without a network, its commit on a branch."""

import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.agents_real.conftest import KEY
from tests.agents_real.model_server import ModelServer
from tests.end_to_end.conftest import git, make_repository
from tests.end_to_end.house import House, Run, methods
from tests.leftovers import end_processes_of

pytestmark = [pytest.mark.agents, pytest.mark.timeout(180)]

AGENTS = ("claude", "codex")
HouseOf = Callable[..., House]
PATHS = {"claude": "/v1/messages", "codex": "/v1/responses"}


@pytest.fixture(scope="module")
def model() -> Iterator[ModelServer]:
    """A model that takes the operator's key alone."""
    with ModelServer(accepted_keys=frozenset({KEY})) as server:
        yield server


@pytest.fixture(scope="module")
def house_of(tree: Path, model: ModelServer) -> Iterator[Callable[..., House]]:
    """Gives a house with the agents installed, whose model is the scripted one: one for each kind of sandbox and key."""
    houses: dict[tuple[str, str], House] = {}
    with tempfile.TemporaryDirectory(prefix="hedgerow-tests-") as folder:
        Path(folder).chmod(0o755)

        def give(sandbox: str, key: str = KEY) -> House:
            if (sandbox, key) not in houses:
                data_dir = Path(folder) / f"house{len(houses)}"
                _lay_out(tree, data_dir)
                urls = {"ANTHROPIC_BASE_URL": model.url, "OPENAI_BASE_URL": f"{model.url}/v1"}
                keys = {"ANTHROPIC_API_KEY": key, "OPENAI_API_KEY": key}
                houses[sandbox, key] = House(data_dir, {**urls, **keys, "HEDGEROW_SANDBOX": sandbox})
                houses[sandbox, key].up()
            return houses[sandbox, key]

        yield give
        for house in houses.values():
            house.stop()
        end_processes_of(Path(folder))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository of a developer, with one commit."""
    return make_repository(tmp_path / "project")


@pytest.mark.parametrize("sandbox", ["bubblewrap", "process"])
@pytest.mark.parametrize("agent", AGENTS)
def test_a_real_agent_edits_a_file_and_runs_a_command(
    agent: str, sandbox: str, house_of: HouseOf, model: ModelServer, repository: Path
) -> None:
    house = house_of(sandbox)
    run = _run(
        house, repository, agent, "model: run echo Hello. > greeting.txt\nmodel: run cp greeting.txt copy.txt\nmodel: say It is done."
    )
    ended = run.ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("completed", "finished"), ended
    branch = ended["output"]["head_branch"]
    assert git(repository, "show", f"{branch}:greeting.txt") == git(repository, "show", f"{branch}:copy.txt") == "Hello."
    entries = run.logs()
    assert methods(entries).count("_posthog/turn_complete") == 1
    assert [entry for _, entry in run.events() if entry.get("type") == "notification"] == entries
    assert "It is done." in str(entries)
    assert len([1 for entry in entries if '"tool_call"' in json.dumps(entry)]) == 2
    assert KEY not in str(entries)
    assert KEY in {seen.key for seen in model.requests if seen.path == PATHS[agent]}


@pytest.mark.parametrize("agent", AGENTS)
def test_a_sandboxed_agent_reaches_nothing_but_its_model(agent: str, house_of: HouseOf, repository: Path) -> None:
    house = house_of("bubblewrap")
    reach = f"curl -s -m 5 -o /dev/null -w '%{{http_code}}' --noproxy '*' {house_url(house)}/health >> reached.txt; env > variables.txt"
    look = "ls -A /root /home > seen.txt 2>&1; true"
    ended = _run(house, repository, agent, f"model: run {reach}\nmodel: run {look}").ended()
    branch = ended["output"]["head_branch"]
    assert git(repository, "show", f"{branch}:reached.txt") == "000"
    assert KEY not in git(repository, "show", f"{branch}:variables.txt")
    assert ".ssh" not in git(repository, "show", f"{branch}:seen.txt")


def test_codex_that_may_only_read_writes_nothing_inside_a_sandbox_either(house_of: HouseOf, model: ModelServer, repository: Path) -> None:
    prompt = "model: run cat README.md; echo no > written.txt\nmodel: say I have read it."
    ended = _run(house_of("bubblewrap"), repository, "codex", prompt, initial_permission_mode="read-only").ended()
    assert (ended["status"], ended["output"]) == ("completed", None), ended
    answered = str(model.requests[-1].body["input"][-1])
    assert "# A project" in answered
    assert "Permission denied" in answered


@pytest.mark.parametrize("agent", AGENTS)
def test_a_key_that_is_refused_ends_the_run_with_one_sentence(agent: str, house_of: HouseOf, repository: Path) -> None:
    house = house_of("bubblewrap", key="sk-test-not-accepted")
    begun = time.monotonic()
    ended = _run(house, repository, agent, "Hello.").ended()
    assert (ended["status"], ended["state"]["end_reason"]) == ("failed", "agent_failed")
    assert "401" in ended["error_message"]
    assert "sk-test" not in ended["error_message"]
    assert time.monotonic() - begun < 25
    assert house.leaves_nothing()


def house_url(house: House) -> str:
    """Where the API of a house is."""
    with house.client() as http:
        return f"http://{http.base_url.host}:{http.base_url.port}"


def _run(house: House, repository: Path, agent: str, prompt: str, **wishes: str) -> Run:
    return house.run(prompt, repository=house.register(repository), runtime_adapter=agent, mode="background", **wishes)


def _lay_out(tree: Path, data_dir: Path) -> None:
    """A data directory that has the tree and the agents already."""
    shutil.copytree(tree, data_dir / "runtime" / tree.name, copy_function=_link, symlinks=True)
    for folder in ("agents", "node"):
        if (tree.parent / folder).is_dir():
            shutil.copytree(tree.parent / folder, data_dir / "runtime" / folder, copy_function=_link, symlinks=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)
