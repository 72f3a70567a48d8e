"""How Codex is started."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from hedgerow.agents.base import AgentLaunch
from hedgerow.agents.codex import CodexRuntime
from hedgerow.agents.options import AgentOptions
from hedgerow.domain.errors import UnavailableError
from tests.agents.conftest import Wishes


def _launch(tree: Path, wishes: Wishes, environment: dict[str, str], **given: object) -> AgentLaunch:
    return CodexRuntime(AgentOptions(environment=environment)).launch(tree, wishes(**given))


def _settings(launch: AgentLaunch) -> dict[str, Any]:
    return tomllib.loads(launch.files[".codex/config.toml"])


def _logged_in(folder: Path, content: object) -> dict[str, str]:
    (folder / ".codex").mkdir(parents=True)
    (folder / ".codex" / "auth.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return {"HOME": str(folder)}


def test_a_key_goes_through_the_environment_and_only_its_name_into_the_settings(tree_with_agents: Path, wishes: Wishes) -> None:
    launch = _launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "sk-1", "OPENAI_BASE_URL": "https://models.example.com/v1"})
    settings = _settings(launch)
    provider = settings["model_providers"][settings["model_provider"]]
    assert provider["base_url"] == "https://models.example.com/v1"
    assert launch.environment[provider["env_key"]] == "sk-1"
    assert "sk-1" not in str(launch.files)
    assert _launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "sk-1", "CODEX_API_KEY": "sk-2"}).environment["OPENAI_API_KEY"] == "sk-2"


def test_without_a_base_url_only_the_provider_is_reached(tree_with_agents: Path, wishes: Wishes) -> None:
    launch = _launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "sk-1"})
    assert [str(host) for host in launch.hosts] == ["api.openai.com:443"]


def test_model_and_effort_stand_in_the_settings_whatever_characters_they_hold(tree_with_agents: Path, wishes: Wishes) -> None:
    model = 'gpt "five" \\ \u2028 \x7f ü'
    settings = _settings(_launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "k"}, model=model, reasoning_effort="high"))
    assert (settings["model"], settings["model_reasoning_effort"]) == (model, "high")
    assert "model" not in _settings(_launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "k"}))


def test_commands_get_no_variable_that_looks_like_a_secret(tree_with_agents: Path, wishes: Wishes) -> None:
    settings = _settings(_launch(tree_with_agents, wishes, {"OPENAI_API_KEY": "k"}))
    assert "OPENAI_API_KEY" in settings["shell_environment_policy"]["exclude"]
    assert settings["features"]["shell_snapshot"] is False


def test_a_login_of_the_operator_is_handed_over_as_a_file(tree_with_agents: Path, wishes: Wishes, tmp_path: Path) -> None:
    login = {"OPENAI_API_KEY": None, "tokens": {"access_token": "t"}}
    launch = _launch(tree_with_agents, wishes, _logged_in(tmp_path / "operator", login))
    assert json.loads(launch.files[".codex/auth.json"]) == login
    assert {str(host) for host in launch.hosts} == {"api.openai.com:443", "auth.openai.com:443", "chatgpt.com:443"}
    assert "model_provider" not in _settings(launch)
    assert "OPENAI_API_KEY" not in launch.environment


def test_a_key_in_the_operators_login_counts_as_a_key(tree_with_agents: Path, wishes: Wishes, tmp_path: Path) -> None:
    launch = _launch(tree_with_agents, wishes, _logged_in(tmp_path / "operator", {"OPENAI_API_KEY": "sk-9"}))
    assert launch.environment["OPENAI_API_KEY"] == "sk-9"
    assert ".codex/auth.json" not in launch.files


def test_the_operators_codex_folder_may_lie_elsewhere(tmp_path: Path) -> None:
    _logged_in(tmp_path / "operator", {"OPENAI_API_KEY": "sk-9"})
    assert CodexRuntime(AgentOptions(environment={"CODEX_HOME": str(tmp_path / "operator" / ".codex")})).has_key
    assert not CodexRuntime(AgentOptions(environment={"HOME": str(tmp_path)})).has_key


@pytest.mark.parametrize("content", ["not json", "[]", "{}"])
def test_a_login_that_holds_nothing_usable_is_no_key(content: str, tree_with_agents: Path, wishes: Wishes, tmp_path: Path) -> None:
    environment = _logged_in(tmp_path / "operator", content)
    assert not CodexRuntime(AgentOptions(environment=environment)).has_key
    with pytest.raises(UnavailableError, match="codex login"):
        _launch(tree_with_agents, wishes, environment)


def test_inside_an_isolated_sandbox_it_makes_none_of_its_own(tree_with_agents: Path, wishes: Wishes) -> None:
    key = {"OPENAI_API_KEY": "k"}
    assert _launch(tree_with_agents, wishes, key, permission_mode="auto", isolated=True).mode == "full-access"
    reading = _launch(tree_with_agents, wishes, key, permission_mode="read-only", isolated=True)
    assert reading.mode == "read-only"
    assert _settings(reading)["features"]["use_legacy_landlock"] is True
    bare = _launch(tree_with_agents, wishes, key, permission_mode="auto", isolated=False)
    assert bare.mode == "auto"
    assert not Path(bare.environment["CODEX_HOME"]).is_relative_to(bare.environment["TMPDIR"])
