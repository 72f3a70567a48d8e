import asyncio
import os
import signal
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.repositories import git
from tests.repositories.workbench import ENVIRONMENT

SOURCE = {
    "PATH": ENVIRONMENT["PATH"],
    "HOME": "/home/ada",
    "GIT_DIR": "/elsewhere",
    "GIT_TRACE": "1",
    "GIT_ASKPASS": "/bin/ask",
    "SSH_ASKPASS": "/bin/ask",
    "DISPLAY": ":0",
    "GIT_SSH_COMMAND": "ssh -i key",
    "SSH_AUTH_SOCK": "/agent",
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "user.name",
    "GIT_CONFIG_VALUE_0": "Ada",
    "ANTHROPIC_API_KEY": "key",
}


def test_what_would_ask_or_lead_elsewhere_does_not_pass() -> None:
    operator = git.environments(SOURCE, protocols=("https",)).operator
    assert not {"GIT_DIR", "GIT_TRACE", "SSH_ASKPASS", "DISPLAY"} & set(operator)
    assert (operator["GIT_TERMINAL_PROMPT"], operator["GIT_ASKPASS"], operator["SSH_ASKPASS_REQUIRE"]) == ("0", "", "never")
    assert operator["GIT_ALLOW_PROTOCOL"] == "https"


def test_the_operators_ssh_and_settings_pass() -> None:
    operator = git.environments(SOURCE, protocols=("https",)).operator
    assert (operator["GIT_SSH_COMMAND"], operator["SSH_AUTH_SOCK"]) == ("ssh -i key", "/agent")
    assert (operator["GIT_CONFIG_KEY_0"], operator["GIT_CONFIG_VALUE_0"]) == ("user.name", "Ada")
    assert int(operator["GIT_CONFIG_COUNT"]) > 1


def test_the_sealed_environment_holds_nothing_of_the_operator() -> None:
    sealed = git.environments(SOURCE, protocols=("https",)).sealed
    assert not {"ANTHROPIC_API_KEY", "GIT_SSH_COMMAND", "SSH_AUTH_SOCK"} & set(sealed)
    assert (sealed["GIT_CONFIG_GLOBAL"], sealed["GIT_CONFIG_NOSYSTEM"]) == ("/dev/null", "1")


async def test_a_setting_is_added_to_those_that_stand() -> None:
    environment = git.configured(git.configured(ENVIRONMENT, [("a.b", "1")]), [("a.b", "2")])
    finished = await git.run(["config", "--get-all", "a.b"], environment=environment, directory=Path("/"), timeout_seconds=10)
    assert finished.output.split() == ["1", "2"]


async def test_output_of_any_size_arrives_whole(tmp_path: Path) -> None:
    text = "x" * 2**20 + "\n"
    arguments = ["stripspace"]
    finished = await git.run(arguments, environment=ENVIRONMENT, directory=tmp_path, timeout_seconds=30, stdin=text)
    assert finished.output == text


async def test_a_daemon_that_keeps_the_output_open_holds_nothing_up(tmp_path: Path) -> None:
    command = "!setsid sleep 20 & echo $!"
    environment = git.configured(ENVIRONMENT, [("alias.leave", command)])
    async with asyncio.timeout(10):
        finished = await git.run(["leave"], environment=environment, directory=tmp_path, timeout_seconds=15)
    os.kill(int(finished.output), signal.SIGKILL)


async def test_a_folder_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match="does not exist"):
        await git.run(["version"], environment=ENVIRONMENT, directory=tmp_path / "nowhere", timeout_seconds=10)


async def test_a_git_that_writes_without_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_OUTPUT_LIMIT", 2**20)
    monkeypatch.setattr(git, "_LOOK_SECONDS", 0.01)
    endless = git.configured(ENVIRONMENT, [("alias.endless", "!yes")])
    with pytest.raises(UnavailableError, match="wrote more than 1 MiB"):
        await git.run(["endless"], environment=endless, directory=tmp_path, timeout_seconds=60)
