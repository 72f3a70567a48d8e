"""What holds for every kind of agent in the table."""

from pathlib import Path

import pytest

from hedgerow.agents import RUNTIMES, runtimes
from hedgerow.agents.options import AgentOptions
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.reasoning import DEFAULT_PERMISSION_MODES, PERMISSION_MODES, PROVIDERS
from tests.agents.conftest import Wishes

KEYS = {"ANTHROPIC_API_KEY": "sk-ant-1", "OPENAI_API_KEY": "sk-oai-1"}
NAMES = tuple(RUNTIMES)


def test_the_table_names_the_agents_that_the_rest_of_the_house_knows() -> None:
    assert set(RUNTIMES) == set(PERMISSION_MODES) == set(DEFAULT_PERMISSION_MODES)
    for name, runtime in runtimes(AgentOptions()).items():
        assert (runtime.name, runtime.provider) == (name, PROVIDERS.get(name))


@pytest.mark.parametrize("name", NAMES)
def test_a_launch_carries_its_own_home_and_a_path(name: str, tree_with_agents: Path, wishes: Wishes) -> None:
    request = wishes()
    launch = runtimes(AgentOptions(environment=KEYS))[name].launch(tree_with_agents, request)
    assert launch.environment["HOME"] == str(request.home)
    assert "/usr/bin" in launch.environment["PATH"]
    assert Path(launch.command[0]).is_absolute()


@pytest.mark.parametrize("name", NAMES)
def test_no_key_stands_in_a_command_line_or_in_a_representation(name: str, tree_with_agents: Path, wishes: Wishes) -> None:
    options = AgentOptions(environment=KEYS)
    launch = runtimes(options)[name].launch(tree_with_agents, wishes())
    assert not any(key in part for key in KEYS.values() for part in launch.command)
    assert not any(key in f"{launch!r}{options!r}" for key in KEYS.values())


@pytest.mark.parametrize("name", NAMES)
def test_an_agent_gets_no_key_of_another_provider_and_nothing_of_hedgerow(name: str, tree_with_agents: Path, wishes: Wishes) -> None:
    options = AgentOptions(environment={**KEYS, "HEDGEROW_SECRET_KEY": "house", "AWS_SECRET_ACCESS_KEY": "cloud", "PATH": "/opt/bin"})
    environment = runtimes(options)[name].launch(tree_with_agents, wishes()).environment
    own = {"claude": {"sk-ant-1"}, "codex": {"sk-oai-1"}, "scripted": set()}[name]
    assert {value for value in environment.values() if value in {*KEYS.values(), "house", "cloud"}} == own


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_an_agent_without_a_key_says_which_to_set(name: str, tree_with_agents: Path, wishes: Wishes, tmp_path: Path) -> None:
    runtime = runtimes(AgentOptions(environment={"HOME": str(tmp_path)}))[name]
    assert not runtime.has_key
    with pytest.raises(UnavailableError, match="_API_KEY"):
        runtime.launch(tree_with_agents, wishes())


@pytest.mark.parametrize("name", ["claude", "codex"])
def test_an_agent_that_is_not_installed_says_how_to_install_it(name: str, tmp_path: Path, wishes: Wishes) -> None:
    runtime = runtimes(AgentOptions(environment=KEYS))[name]
    tree = tmp_path / "runtime" / "1.0"
    assert not runtime.installed(tree)
    with pytest.raises(UnavailableError, match=f"hedgerow agents install {name}"):
        runtime.launch(tree, wishes())


@pytest.mark.parametrize(("name", "variable"), [("claude", "ANTHROPIC_BASE_URL"), ("codex", "OPENAI_BASE_URL")])
@pytest.mark.parametrize("url", ["models.example.com", "ftp://models.example.com", "http://", "http://host:99999"])
def test_an_unusable_base_url_is_named(name: str, variable: str, url: str, tree_with_agents: Path, wishes: Wishes) -> None:
    runtime = runtimes(AgentOptions(environment={**KEYS, variable: url}))[name]
    with pytest.raises(UnavailableError, match=variable):
        runtime.launch(tree_with_agents, wishes())


@pytest.mark.parametrize(("name", "variable"), [("claude", "ANTHROPIC_BASE_URL"), ("codex", "OPENAI_BASE_URL")])
@pytest.mark.parametrize(
    ("url", "isolated", "host", "relays"),
    [
        ("https://models.example.com/v1", True, "models.example.com:443", []),
        ("http://10.0.0.7:4000", True, "10.0.0.7:4000", []),
        ("http://127.0.0.1:4000/v1", True, "127.0.0.1:4000", ["127.0.0.1:4000"]),
        ("http://LocalHost:4000", True, "localhost:4000", ["localhost:4000"]),
        ("http://127.0.0.1:4000/v1", False, "127.0.0.1:4000", []),
    ],
)
def test_the_models_address_is_let_through_and_a_loopback_one_is_relayed(
    name: str, variable: str, url: str, isolated: bool, host: str, relays: list[str], tree_with_agents: Path, wishes: Wishes
) -> None:
    runtime = runtimes(AgentOptions(environment={**KEYS, variable: url}))[name]
    launch = runtime.launch(tree_with_agents, wishes(isolated=isolated))
    assert [str(each) for each in launch.hosts] == [host]
    assert [str(each) for each in launch.relays] == relays


@pytest.mark.parametrize("name", NAMES)
def test_only_outside_an_isolated_sandbox_the_operators_path_is_used(name: str, tree_with_agents: Path, wishes: Wishes) -> None:
    runtime = runtimes(AgentOptions(environment={**KEYS, "PATH": "/opt/bin"}))[name]
    assert runtime.launch(tree_with_agents, wishes(isolated=False)).environment["PATH"] == "/opt/bin"
    assert "/opt/bin" not in runtime.launch(tree_with_agents, wishes(isolated=True)).environment["PATH"]
