import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from hedgerow.cli.program import command_line


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "house" / ".venv" / "bin" / "hedgerow"
    path.parent.mkdir(parents=True)
    path.write_text('#!/bin/sh\necho called "$@"\n')
    path.chmod(0o755)
    monkeypatch.setattr(sys, "argv", [str(path), "up"])
    monkeypatch.delenv("HEDGEROW_DATA_DIR", raising=False)
    return path


def test_a_program_below_the_present_folder_is_named_from_there(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parents[2])
    assert command_line("logs", "abc", "-f") == ".venv/bin/hedgerow logs abc -f"


def test_a_program_far_away_is_named_in_full(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    assert command_line("up") == f"{program} up" or command_line("up") == f"{str(program)[1:]} up"


def test_a_program_on_the_path_is_named_by_its_name(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(program.parent))
    assert command_line("up") == "hedgerow up"


def test_a_program_in_the_present_folder_is_not_looked_for_on_the_path(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parent)
    assert command_line("up") == "./hedgerow up"


def test_as_a_module_it_is_named_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/somewhere/hedgerow/__main__.py"])
    assert command_line("up").endswith(" -m hedgerow up")


def test_what_is_printed_can_be_typed(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = program.parents[3]
    monkeypatch.chdir(folder)
    line = command_line("run", "don't; echo $HOME")
    assert subprocess.check_output(["sh", "-c", line], cwd=folder, text=True) == "called run don't; echo $HOME\n"
    assert shlex.split(line)[1:] == ["run", "don't; echo $HOME"]


def test_another_data_directory_than_the_default_is_named(program: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(program.parents[2])
    monkeypatch.setenv("HEDGEROW_DATA_DIR", "/srv/my data")
    assert command_line("task", "list") == "HEDGEROW_DATA_DIR='/srv/my data' .venv/bin/hedgerow task list"
