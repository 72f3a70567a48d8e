"""Secrets that the operator hands over."""

import io
from pathlib import Path

import pytest

from hedgerow.cli.errors import UsageError
from hedgerow.cli.secrets import read_secret


def test_a_file_stands_above_the_variable_and_that_above_stdin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "token"
    file.write_text("of-the-file\n")
    monkeypatch.setenv("A_TOKEN", "of-the-variable")
    monkeypatch.setattr("sys.stdin", io.StringIO("of-stdin\n"))
    assert read_secret("A_TOKEN", file, "Token: ") == "of-the-file"
    assert read_secret("A_TOKEN", None, "Token: ") == "of-the-variable"
    monkeypatch.setenv("A_TOKEN", " ")
    assert read_secret("A_TOKEN", None, "Token: ") == "of-stdin"


def test_where_there_is_none_the_ways_to_give_it_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("A_TOKEN", raising=False)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UsageError, match="A_TOKEN"):
        read_secret("A_TOKEN", None, "Token: ")
    with pytest.raises(UsageError, match="No such file"):
        read_secret("A_TOKEN", tmp_path / "missing", "Token: ")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no text"):
        read_secret("A_TOKEN", tmp_path / "bytes", "Token: ")
