"""What the isolated kind keeps from a sandbox, beyond the promises of every kind."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import Mount
from hedgerow.sandboxes import bubblewrap_check, bubblewrap_start, processes
from hedgerow.sandboxes.bubblewrap import BubblewrapSandboxes
from hedgerow.sandboxes.processes import ProcessIdentity
from tests.sandboxes.conftest import PYTHON, Workshop

pytestmark = pytest.mark.bubblewrap

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root runs sandboxes as another account")

TRIES = """
import json, os, sys
def attempt(work):
    try:
        work()
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps({text: attempt(lambda: eval(text)) for text in sys.argv[1:]}))
"""


async def attempts(isolated: Workshop, *expressions: str, mounts: tuple[Mount, ...] = ()) -> list[str]:
    """What becomes of Python expressions inside: `done`, or the name of the system's error."""
    answers = json.loads(await isolated.output(PYTHON, "-c", TRIES, *expressions, mounts=mounts))
    return [answers[expression] for expression in expressions]


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """A server on a loopback port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


async def test_no_file_of_this_machine_but_programs_is_seen(isolated: Workshop) -> None:
    other_run = isolated.writable("other")
    paths = ["/root", "/home", "/srv", "/etc/shadow", "/etc/ssl/private", "/sys", "/run", "/boot", str(other_run), str(isolated.log)]
    seen = await attempts(isolated, *(f"os.stat({path!r})" for path in paths))
    # A folder on the way to a mount may be there, but is empty otherwise.
    for path, answer in zip(paths, seen, strict=True):
        if not any(mount.path.is_relative_to(path) for mount in isolated.spec("true").mounts):
            assert answer == "FileNotFoundError", path


async def test_folders_on_the_way_to_a_mount_hold_nothing_else(isolated: Workshop) -> None:
    isolated.writable("other")
    assert (await isolated.output("ls", str(isolated.folder))).split() == ["work"]


async def test_only_writable_folders_are_written(isolated: Workshop) -> None:
    given = isolated.writable("given")
    places = [str(given), "/usr", "/etc", "/", "/tmp", str(isolated.work)]
    answers = await attempts(isolated, *(f"open({place + '/new'!r}, 'w')" for place in places), mounts=(Mount(given),))
    assert answers == ["OSError"] * 4 + ["done"] * 2
    assert not (given / "new").exists()


async def test_a_writable_folder_in_a_read_only_one_is_written(isolated: Workshop) -> None:
    outer = isolated.writable("outer")
    inner = isolated.writable("outer/inner")
    mounts = (Mount(inner, writable=True), Mount(outer))
    answers = await attempts(isolated, f"open('{inner}/new', 'w')", f"open('{outer}/new', 'w')", mounts=mounts)
    assert answers == ["done", "OSError"]


async def test_a_port_of_this_machine_is_not_reached(isolated: Workshop, listener: socket.socket) -> None:
    connect = f"__import__('socket').create_connection(('127.0.0.1', {listener.getsockname()[1]}), 2)"
    outward = "__import__('socket').create_connection(('192.0.2.1', 80), 2)"
    assert await attempts(isolated, connect, outward) == ["ConnectionRefusedError", "OSError"]


async def test_its_own_loopback_works(isolated: Workshop) -> None:
    script = "import socket; s = socket.create_server(('127.0.0.1', 0)); socket.create_connection(s.getsockname(), 2); print('up')"
    assert await isolated.output(PYTHON, "-c", script) == "up\n"


async def test_an_abstract_socket_of_this_machine_is_not_reached(isolated: Workshop) -> None:
    name = f"hedgerow-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("\0" + name)
        server.listen()
        connect = f"__import__('socket').socket(__import__('socket').AF_UNIX).connect(chr(0) + {name!r})"
        assert await attempts(isolated, connect) == ["ConnectionRefusedError"]


async def test_processes_of_this_machine_are_neither_seen_nor_signalled(isolated: Workshop) -> None:
    with _bystander() as bystander:
        try:
            answers = await attempts(isolated, f"os.kill({bystander.pid}, 9)", f"os.stat('/proc/{bystander.pid}')")
            assert answers == ["ProcessLookupError", "FileNotFoundError"]
            assert bystander.poll() is None
        finally:
            bystander.kill()


async def test_the_process_table_holds_the_sandbox_alone(isolated: Workshop) -> None:
    script = "import os; print(sum(name.isdigit() for name in os.listdir('/proc')))"
    assert int((await isolated.output(PYTHON, "-c", script)).splitlines()[-1]) <= 2


async def test_user_namespaces_are_not_nested(isolated: Workshop) -> None:
    if not bubblewrap_start.may_disable_user_namespaces():
        pytest.skip("this bubblewrap cannot disable user namespaces")
    handle = await isolated.start(isolated.spec("unshare", "--user", "true"))
    assert (await isolated.provider.wait(handle)).exit_code != 0
    assert "unshare failed" in isolated.log.read_text()


async def test_no_privilege_is_held_or_gained(isolated: Workshop) -> None:
    lines = (await isolated.output("cat", "/proc/self/status")).splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["NoNewPrivs"].strip() == "1"
    assert {status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}


@needs_root
async def test_root_is_left_behind(isolated: Workshop) -> None:
    handle = await isolated.start(isolated.spec("sleep", "600"))
    outer, inner = (ProcessIdentity.parse(part) for part in handle.id.split("/"))
    for pid in (outer.pid, inner.pid):
        status = _read(f"/proc/{pid}/status")
        assert "Uid:\t61000\t61000\t61000\t61000" in status
        assert "Groups:\t \n" in status
    await isolated.output("touch", "mark")
    found = (isolated.work / "mark").stat()
    assert (found.st_uid, found.st_gid) == isolated.provider.owner == (61000, 61000)


@needs_root
async def test_folders_behind_closed_parents_are_mounted_and_nothing_outside_changes(isolated: Workshop) -> None:
    closed = isolated.folder / "closed"
    closed.mkdir(mode=0o700)
    before = _read("/proc/self/mountinfo")
    inner = isolated.writable("closed/inner")
    assert await attempts(isolated, f"open('{inner}/new', 'w')", mounts=(Mount(inner, writable=True),)) == ["done"]
    assert (inner / "new").exists()
    assert closed.stat().st_mode & 0o777 == 0o700
    assert _read("/proc/self/mountinfo") == before


async def test_the_account_has_a_name_and_the_settings_are_made_for_it(isolated: Workshop) -> None:
    output = await isolated.output("sh", "-c", "id -un; hostname; getent hosts localhost | head -1")
    assert output.split()[:2] == ["sandbox", "sandbox"]
    assert output.endswith("localhost\n")


async def test_nothing_long_stands_in_the_arguments(isolated: Workshop) -> None:
    handle = await isolated.start(isolated.spec("sleep", "600", environment={"LONG": "x" * 100_000}))
    outer = ProcessIdentity.parse(handle.id.split("/")[0])
    assert len(_read(f"/proc/{outer.pid}/cmdline")) < 200


async def test_the_death_of_bwrap_ends_the_sandbox_for_its_watchers_and_destroying_ends_the_rest(isolated: Workshop) -> None:
    handle = await isolated.start(isolated.spec("sleep", "600"))
    outer, inner = (ProcessIdentity.parse(part) for part in handle.id.split("/"))
    os.kill(outer.pid, 9)
    assert not (await isolated.provider.wait(handle)).alive
    await isolated.provider.destroy(handle)
    assert not processes.alive(inner)


async def test_the_working_check_is_made_once(isolated: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bubblewrap_start, "find_programs", lambda: pytest.fail("looked again"))
    await isolated.provider.check()


async def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(UnavailableError, match="install the package bubblewrap"):
        await BubblewrapSandboxes().check()


@pytest.fixture
def refused_bwrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A bwrap that the system does not let make namespaces, and the switch that tells so."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        bwrap = Path(folder) / "bwrap"
        bwrap.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
        bwrap.chmod(0o755)
        monkeypatch.setattr(bubblewrap_start, "_program", lambda name: str(bwrap) if name == "bwrap" else f"/usr/bin/{name}")
        switch = Path(folder) / "switch"
        monkeypatch.setattr(bubblewrap_check, "_SWITCHES", ((str(switch), "0", "user namespaces are switched off"),))
        yield switch


@pytest.fixture
def switched_off(refused_bwrap: Path) -> None:
    """The switch stands at off."""
    refused_bwrap.write_text("0\n")


async def test_namespaces_that_are_switched_off_are_told(isolated: Workshop, switched_off: None) -> None:
    with pytest.raises(UnavailableError, match=r"machine: user namespaces are switched off \(No permissions to create new namespace\)\."):
        await BubblewrapSandboxes().check()


async def test_where_no_switch_explains_it_bubblewrap_speaks_for_itself(isolated: Workshop, refused_bwrap: Path) -> None:
    with pytest.raises(UnavailableError, match=r"machine: No permissions to create new namespace\."):
        await BubblewrapSandboxes().check()


async def test_a_start_takes_little_longer_than_that_of_a_process(isolated: Workshop) -> None:
    """A guard against seconds, not a measurement: that one is in the benchmarks."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        handle = await isolated.start(isolated.spec("sleep", "600"))
        times.append(time.perf_counter() - started)
        await isolated.provider.destroy(handle)
    assert min(times) < 0.25


def _read(path: str) -> str:
    return Path(path).read_text()


def _bystander() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(["sleep", "600"])
