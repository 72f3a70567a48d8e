"""Secrets that the operator hands over: out of a file, a variable or stdin, never out of the command line, which others can read."""

import os
import sys
from getpass import getpass
from pathlib import Path

from hedgerow.cli.errors import UsageError

_LONGEST_BYTES = 65_536


def read_secret(variable: str, file: Path | None, question: str) -> str:
    """The secret that lies in `file`, else in the environment's `variable`, else on stdin: asked for there on a terminal.

    Raises UsageError where there is none.
    """
    if file is not None:
        secret = _content(file)
    elif os.environ.get(variable, "").strip():
        secret = os.environ[variable]
    else:
        secret = getpass(question) if sys.stdin.isatty() else sys.stdin.read(_LONGEST_BYTES)
    if not secret.strip():
        raise UsageError(f"There is no secret: put it into a file, into {variable}, or on stdin.")
    return secret.strip()


def _content(file: Path) -> str:
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_LONGEST_BYTES)
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(f"{file} cannot be read: {getattr(problem, 'strerror', None) or 'it is no text'}.") from problem
