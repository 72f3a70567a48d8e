"""The examples of docs/client.md, run from top to bottom as one program."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.client.fake_server import KEY, FakeRun, FakeServer, said

PAGE = Path(__file__).resolve().parents[2] / "docs" / "client.md"


def test_every_example_runs(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"HEDGEROW_URL": server.url, "HEDGEROW_API_KEY": KEY, "HEDGEROW_PROJECT": "1"}.items():
        monkeypatch.setenv(name, value)
    run = server.next_run = FakeRun()
    server.happen(run, said("Done"))
    server.end(run, state={"mode": "background", "end_reason": "finished"})
    examples = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(examples) == 9
    names: dict[str, Any] = {"folder": tmp_path}
    for example in examples:
        exec(compile(example, str(PAGE), "exec"), names)
    names["client"].close()
    printed = capsys.readouterr().out
    assert "1 notification\ncompleted finished\n" in printed
    assert "404 not_found None Not found. ()" in printed
    assert printed.endswith("Received\nEnded\n")
    assert (tmp_path / "notes.txt").read_bytes() == b"what the agent shall know"
    assert server.wait_for("POST", "/command/")["params"] == {"content": "Leave the slow ones out"}
