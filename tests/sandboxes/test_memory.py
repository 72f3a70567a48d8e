"""Whether memory ran out, as the system counts it."""

import signal
from pathlib import Path

import pytest

from hedgerow.domain.sandboxes import SandboxState
from hedgerow.sandboxes import memory


def test_the_kills_of_the_own_group_are_counted(tmp_path: Path) -> None:
    own, group = tmp_path / "cgroup", tmp_path / "cgroups" / "a" / "b"
    own.write_text("1:name=systemd:/x\n0::/a/b\n")
    group.mkdir(parents=True)
    (group / "memory.events").write_text("low 0\nhigh 3\noom 2\noom_kill 7\noom_group_kill 0\n")
    assert memory.kills(own, tmp_path / "cgroups") == 7


@pytest.mark.parametrize("text", ["", "1:memory:/x\n", "0::/missing\n"])
def test_where_nobody_counts_nothing_is_known(tmp_path: Path, text: str) -> None:
    (tmp_path / "cgroup").write_text(text)
    assert memory.kills(tmp_path / "cgroup", tmp_path) is None


def test_an_end_is_described_by_code_signal_and_lack_of_memory() -> None:
    assert SandboxState(alive=False, exit_code=7).describe() == "exit code 7"
    assert SandboxState(alive=False, signal=signal.SIGTERM).describe() == "killed by signal 15 (SIGTERM)"
    assert SandboxState(alive=False, signal=9).describe() == "killed (signal 9), as the system does when memory runs out"
    assert SandboxState(alive=False, signal=9, out_of_memory=True).describe() == "killed (signal 9): memory ran out"
    assert SandboxState(alive=False, signal=300).describe() == "killed by signal 300 (unknown here)"
    assert SandboxState(alive=False).describe() == "gone"
