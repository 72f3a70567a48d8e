"""How Claude Code is started."""

import subprocess
from pathlib import Path

import pytest

from hedgerow.agents.base import AgentLaunch
from hedgerow.agents.claude import ClaudeRuntime, shell_without_keys
from hedgerow.agents.options import AgentOptions
from tests.agents.conftest import Wishes


def _launch(tree: Path, wishes: Wishes, environment: dict[str, str], **given: object) -> AgentLaunch:
    return ClaudeRuntime(AgentOptions(environment={"ANTHROPIC_API_KEY": "sk-1", **environment})).launch(tree, wishes(**given))


@pytest.mark.parametrize("key", ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"])
def test_each_kind_of_key_reaches_it(key: str, tree_with_agents: Path, wishes: Wishes) -> None:
    runtime = ClaudeRuntime(AgentOptions(environment={key: "secret"}))
    assert runtime.has_key
    assert runtime.launch(tree_with_agents, wishes()).environment[key] == "secret"


def test_an_empty_key_is_none() -> None:
    assert not ClaudeRuntime(AgentOptions(environment={"ANTHROPIC_API_KEY": "  "})).has_key


def test_it_asks_nobody_but_its_provider(tree_with_agents: Path, wishes: Wishes) -> None:
    launch = _launch(tree_with_agents, wishes, {})
    assert [str(host) for host in launch.hosts] == ["api.anthropic.com:443"]
    assert launch.environment["DISABLE_TELEMETRY"] == launch.environment["CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC"] == "1"
    assert launch.environment["IS_SANDBOX"] == "1"


def test_the_runs_model_stands_above_the_operators(tree_with_agents: Path, wishes: Wishes) -> None:
    operator = {"ANTHROPIC_MODEL": "claude-sonnet-4-6"}
    assert _launch(tree_with_agents, wishes, operator).environment["ANTHROPIC_MODEL"] == "claude-sonnet-4-6"
    assert _launch(tree_with_agents, wishes, operator, model="claude-opus-4-7").environment["ANTHROPIC_MODEL"] == "claude-opus-4-7"


def test_mode_and_effort_are_set_in_the_session(tree_with_agents: Path, wishes: Wishes) -> None:
    launch = _launch(tree_with_agents, wishes, {}, permission_mode="plan", reasoning_effort="high")
    assert (launch.mode, launch.reasoning_effort) == ("plan", "high")


def test_a_refused_key_ends_the_turn_with_the_name_of_the_variable(tree_with_agents: Path, wishes: Wishes) -> None:
    launch = _launch(tree_with_agents, wishes, {})
    rule = launch.gives_up[0]
    assert rule.pattern["params"]["message"]["error_status"] == 401
    assert "ANTHROPIC_API_KEY" in rule.sentence
    assert "sk-1" not in rule.sentence


def test_certificates_outside_the_systems_folders_are_copied_into_an_isolated_home(
    tree_with_agents: Path, wishes: Wishes, tmp_path: Path
) -> None:
    authority = tmp_path / "authority.pem"
    authority.write_text("-----BEGIN CERTIFICATE-----")
    given = {"NODE_EXTRA_CA_CERTS": str(authority)}
    inside = _launch(tree_with_agents, wishes, given, isolated=True)
    copied = Path(inside.environment["NODE_EXTRA_CA_CERTS"]).relative_to(inside.environment["HOME"])
    assert inside.files[str(copied)] == "-----BEGIN CERTIFICATE-----"
    assert _launch(tree_with_agents, wishes, given, isolated=False).environment["NODE_EXTRA_CA_CERTS"] == str(authority)
    system = _launch(tree_with_agents, wishes, {"NODE_EXTRA_CA_CERTS": "/etc/ssl/certs/all.pem"}, isolated=True)
    assert system.environment["NODE_EXTRA_CA_CERTS"] == "/etc/ssl/certs/all.pem"
    assert system.files == {}


def test_its_commands_start_without_the_keys(tmp_path: Path) -> None:
    shell = tmp_path / "without-keys"
    shell.write_text(shell_without_keys())
    shell.chmod(0o755)
    environment = {
        "PATH": "/usr/bin:/bin",
        "ANTHROPIC_API_KEY": "a",
        "ANTHROPIC_AUTH_TOKEN": "b",
        "CLAUDE_CODE_OAUTH_TOKEN": "c",
        "OTHER": "d",
    }
    answer = subprocess.run([shell, "env && echo 'two words'"], env=environment, capture_output=True, text=True, check=True)
    assert "OTHER=d" in answer.stdout
    assert "two words" in answer.stdout
    assert "ANTHROPIC" not in answer.stdout
    assert "OAUTH" not in answer.stdout
