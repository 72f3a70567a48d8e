"""The command `hedgerow`, typed in this process: a process of its own costs a second, nearly all of it imports."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import pytest

from hedgerow.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def type_here(
    arguments: tuple[str, ...], environment: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Done:
    """Call the console script's function with the variables of `environment` and no other HEDGEROW_ one."""
    for name in [name for name in os.environ if name.startswith("HEDGEROW_")]:
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["/nowhere/hedgerow/__main__.py", *arguments])
    capsys.readouterr()
    with pytest.raises(SystemExit) as ended:
        main()
    said_here = capsys.readouterr()
    assert isinstance(ended.value.code, int | None)
    return Done(ended.value.code or 0, said_here.out, said_here.err)
