"""Processes told apart from later ones of the same number."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.sandboxes import processes
from hedgerow.sandboxes.processes import ProcessIdentity


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    """A process of the test's own."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as process:
        yield process
        process.kill()


def test_an_identity_survives_being_written() -> None:
    identity = ProcessIdentity(12, 3456, "abcdef01")
    assert ProcessIdentity.parse(str(identity)) == identity


def test_what_is_no_identity_is_an_error() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        ProcessIdentity.parse("a-b-c")


def test_a_process_is_known_by_its_start(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = processes.identify(sleeper.pid)
    assert identity is not None
    assert processes.alive(identity)
    assert not processes.alive(ProcessIdentity(identity.pid, identity.started - 1, identity.boot))
    assert not processes.alive(ProcessIdentity(identity.pid, identity.started, "another"))


def test_a_signal_reaches_this_very_process_alone(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = processes.identify(sleeper.pid)
    assert identity is not None
    processes.send_signal(ProcessIdentity(identity.pid, identity.started - 1, identity.boot), signal.SIGKILL)
    assert sleeper.poll() is None
    processes.send_signal(identity, signal.SIGKILL)
    assert sleeper.wait(timeout=10) == -signal.SIGKILL
    processes.send_signal(identity, signal.SIGKILL)


def test_an_ended_process_that_nobody_has_collected_does_not_live(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = processes.identify(sleeper.pid)
    assert identity is not None
    sleeper.kill()
    os.waitid(os.P_PID, sleeper.pid, os.WEXITED | os.WNOWAIT)
    assert not processes.alive(identity)
    assert processes.row_identity(sleeper.pid) == identity


def test_a_name_with_spaces_and_parentheses_is_read(tmp_path: Path) -> None:
    program = tmp_path / "a) (b) 1"
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "600"]) as process:
        found = processes.row(process.pid)
        process.kill()
    assert found is not None
    assert (found.parent, found.session, found.executed) == (os.getpid(), os.getsid(0), True)


def test_the_portable_way_sees_the_same(sleeper: "subprocess.Popen[bytes]", monkeypatch: pytest.MonkeyPatch) -> None:
    exact = processes.row(sleeper.pid)
    monkeypatch.setattr(processes, "_HAS_PROC", False)
    found = processes.row(sleeper.pid)
    assert exact is not None
    assert found is not None
    assert (found.parent, found.group, found.zombie) == (exact.parent, exact.group, exact.zombie)
    assert processes.alive(found.identity)
    assert processes.table()[sleeper.pid] == found
    assert processes.row(2**22 - 1) is None
