"""The command `hedgerow`, typed in this process: a process of its own costs a second, nearly all of it imports."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import structlog

from hedgerow.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


@contextmanager
def _logging_as_before() -> Iterator[None]:
    """A command sets up logging for its own process, on a stderr that is closed when the test is over."""
    root = logging.getLogger()
    handlers, level, lines = root.handlers[:], root.level, structlog.get_config()
    try:
        yield
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
        structlog.configure(**lines)


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
    with _logging_as_before(), pytest.raises(SystemExit) as ended:
        main()
    said_here = capsys.readouterr()
    assert isinstance(ended.value.code, int | None)
    return Done(ended.value.code or 0, said_here.out, said_here.err)
