"""What every kind of sandbox promises."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.runs import SandboxHandle
from hedgerow.domain.sandboxes import FoundSandbox, Mount
from hedgerow.sandboxes import processes, providers
from hedgerow.sandboxes.processes import ProcessIdentity
from tests.sandboxes.conftest import PYTHON, Workshop, workshop_of

SLEEP = ("sleep", "600")

# Keeps the pipe open in every process of the family, so that its end tells that all are gone.
STUBBORN = """
import os, signal, sys
pipe = os.open(sys.argv[1], os.O_WRONLY)
os.set_inheritable(pipe, True)
kind = sys.argv[2]

def child(*steps):
    if os.fork() == 0:
        for step in steps:
            step()
        while True:
            signal.pause()

def ignore():
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)

def again():
    if os.fork():
        os._exit(0)

if kind == "ignores": ignore()
elif kind == "setsid": child(ignore, os.setsid)
elif kind == "nohup": child(ignore)
elif kind == "orphan": child(again, os.setsid, again, ignore)
elif kind == "group": child(again, lambda: os.setpgid(0, 0))
elif kind == "many":
    for _ in range(200): child(ignore)
elif kind == "leaderless":
    child(again, os.setsid, ignore)
    os.write(pipe, b"ready")
    os._exit(0)
os.write(pipe, b"ready")
while True:
    signal.pause()
"""

MAKER = """
import asyncio, json, sys
from pathlib import Path
from hedgerow.domain.sandboxes import Mount, SandboxSpec
from hedgerow.sandboxes import providers

async def make():
    name, work, log = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    spec = SandboxSpec(name="test", command=("sleep", "600"), working_directory=work, home=work, mounts=(Mount(work, True),), log_file=log)
    handle = await providers()[name].create(spec)
    print(handle.id, flush=True)
    if sys.argv[4] == "killed":
        await asyncio.Event().wait()

asyncio.run(make())
"""


class Pipe:
    """A named pipe whose reader learns when its last writer is gone."""

    def __init__(self, path: Path, owner: tuple[int, int] | None) -> None:
        os.mkfifo(path)
        if owner is not None:
            os.chown(path, *owner)
        self.path = path
        self._descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def next(self) -> bytes:
        """The next bytes; none once the last writer is gone."""
        ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._descriptor, ready.set)
        async with asyncio.timeout(20):
            await ready.wait()
        asyncio.get_running_loop().remove_reader(self._descriptor)
        return os.read(self._descriptor, 100)


async def test_the_output_goes_to_the_log_file(workshop: Workshop) -> None:
    assert await workshop.output("sh", "-c", "echo out; echo err >&2") == "out\nerr\n"


async def test_a_log_file_is_continued(workshop: Workshop) -> None:
    await workshop.output("echo", "one")
    assert await workshop.output("echo", "two") == "one\ntwo\n"


async def test_a_link_in_place_of_the_log_file_is_refused(workshop: Workshop) -> None:
    workshop.log.symlink_to(workshop.folder / "elsewhere")
    with pytest.raises(UnavailableError, match="log file"):
        await workshop.start(workshop.spec(*SLEEP))
    assert not (workshop.folder / "elsewhere").exists()


async def test_a_writable_folder_is_written_under_its_own_path(workshop: Workshop) -> None:
    await workshop.output("sh", "-c", f"pwd > {workshop.work}/where")
    assert (workshop.work / "where").read_text() == f"{workshop.work}\n"


async def test_a_folder_made_later_in_a_mounted_folder_is_seen(workshop: Workshop) -> None:
    pipe = Pipe(workshop.work / "pipe", workshop.provider.owner)
    handle = await workshop.start(workshop.spec("sh", "-c", "echo ready > pipe; while ! [ -e later ]; do :; done; echo seen > pipe"))
    assert await pipe.next() == b"ready\n"
    (workshop.work / "later").touch()
    assert (await workshop.provider.wait(handle)).exit_code == 0


async def test_the_environment_is_the_given_one_alone(workshop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_SECRET", "value")
    script = "import json, os; print(json.dumps(dict(os.environ)))"
    seen = json.loads(await workshop.output(PYTHON, "-c", script, environment={"GIVEN": "a=b c\nd"}))
    assert seen["GIVEN"] == "a=b c\nd"
    assert seen["HOME"] == str(workshop.work)
    assert set(seen) <= {"GIVEN", "HOME", "PATH", "LANG", "PWD", "LC_CTYPE", "HEDGEROW_SANDBOX"}


async def test_the_input_is_empty_and_nothing_else_is_inherited(workshop: Workshop) -> None:
    script = "import os, sys; print(repr(sys.stdin.read()), sorted(map(int, os.listdir('/proc/self/fd')))[:-1])"
    assert await workshop.output(PYTHON, "-c", script) == "'' [0, 1, 2]\n"


async def test_the_exit_code_is_known_to_the_maker(workshop: Workshop) -> None:
    handle = await workshop.start(workshop.spec("sh", "-c", "exit 7"))
    state = await workshop.provider.wait(handle)
    assert (state.alive, state.exit_code, state.describe()) == (False, 7, "exit code 7")


async def test_the_signal_that_ended_the_command_is_known_to_the_maker(workshop: Workshop) -> None:
    handle = await workshop.start(workshop.spec("sh", "-c", "kill -9 $$"))
    assert (await workshop.provider.wait(handle)).signal == signal.SIGKILL


async def test_an_ended_sandbox_leaves_no_zombie(workshop: Workshop) -> None:
    handle = await workshop.start(workshop.spec("true"))
    await workshop.provider.wait(handle)
    assert processes.row(_outer(handle).pid) is None


@pytest.mark.parametrize("end", ["exits", "killed"])
async def test_a_sandbox_outlives_its_maker_and_is_found_from_another_process(workshop: Workshop, end: str) -> None:
    arguments = (workshop.provider.name, str(workshop.work), str(workshop.log), end)
    maker = _maker(*arguments)
    assert maker.stdout is not None
    handle = SandboxHandle(provider=workshop.provider.name, id=maker.stdout.readline().strip())
    workshop.handles.append(handle)
    if end == "killed":
        maker.kill()
    maker.wait(timeout=20)
    maker.stdout.close()
    assert (await workshop.provider.inspect(handle)).alive
    waiting = asyncio.create_task(workshop.provider.wait(handle))
    await workshop.provider.destroy(handle)
    assert (await asyncio.wait_for(waiting, 5)).describe() == "gone"
    assert not (await workshop.provider.inspect(handle)).alive


@pytest.mark.parametrize("kind", ["ignores", "setsid", "nohup", "orphan", "group", "many", "leaderless"])
async def test_destroying_ends_stubborn_processes(workshop: Workshop, kind: str) -> None:
    pipe = Pipe(workshop.work / "pipe", workshop.provider.owner)
    handle = await workshop.start(workshop.spec(PYTHON, "-c", STUBBORN, str(pipe.path), kind))
    assert await pipe.next() == b"ready"
    await workshop.provider.destroy(handle)
    assert await pipe.next() == b""
    assert not (await workshop.provider.inspect(handle)).alive


async def test_destroying_again_and_what_is_gone_does_nothing(workshop: Workshop) -> None:
    handle = await workshop.start(workshop.spec(*SLEEP))
    await workshop.provider.destroy(handle)
    await workshop.provider.destroy(handle)
    assert not (await workshop.provider.inspect(handle)).alive


async def test_a_later_process_with_the_same_number_is_neither_taken_for_the_sandbox_nor_harmed(workshop: Workshop) -> None:
    handle = await workshop.start(workshop.spec(*SLEEP))
    with _stranger() as stranger:
        try:
            first, rest = handle.id.split("/")
            earlier = ProcessIdentity(stranger.pid, ProcessIdentity.parse(first).started - 1, ProcessIdentity.parse(first).boot)
            other = ProcessIdentity(stranger.pid, 1, earlier.boot)
            fake = SandboxHandle(provider=handle.provider, id=f"{earlier}/{other if workshop.provider.isolated else rest[::-1]}")
            assert not (await workshop.provider.inspect(fake)).alive
            await workshop.provider.destroy(fake)
            assert stranger.poll() is None
        finally:
            stranger.kill()
    assert (await workshop.provider.inspect(handle)).alive


async def test_a_command_that_does_not_exist_is_named_and_leaves_nothing(workshop: Workshop) -> None:
    name = f"no-such-command-{secrets.token_hex(8)}"
    with pytest.raises(UnavailableError, match=name):
        await workshop.start(workshop.spec(name))
    assert _processes_with(name) == []


async def test_a_command_that_may_not_be_executed_is_named_and_leaves_nothing(workshop: Workshop) -> None:
    program = workshop.work / "program"
    program.write_text("#!/bin/sh\n")
    with pytest.raises(UnavailableError, match=str(program)):
        await workshop.start(workshop.spec(str(program)))
    assert _processes_with(str(program)) == []


async def test_a_missing_folder_is_named(workshop: Workshop) -> None:
    missing = workshop.folder / "missing"
    with pytest.raises(UnavailableError, match=str(missing)):
        await workshop.start(workshop.spec(*SLEEP, mounts=(Mount(missing),)))


@pytest.mark.parametrize("delay_seconds", [0, 0.001, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012])
async def test_a_start_cancelled_at_any_moment_leaves_nothing(workshop: Workshop, delay_seconds: float) -> None:
    seconds = f"600.{secrets.randbits(48)}"
    starting = asyncio.create_task(workshop.provider.create(workshop.spec("sleep", seconds)))
    await asyncio.sleep(delay_seconds)
    if starting.cancel():
        with pytest.raises(asyncio.CancelledError):
            await starting
    else:
        await workshop.provider.destroy(starting.result())
    assert _processes_with(seconds) == []


def _maker(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", MAKER, *arguments], stdout=subprocess.PIPE, text=True)


def _stranger() -> "subprocess.Popen[bytes]":
    return subprocess.Popen(SLEEP, start_new_session=True)


def _outer(handle: SandboxHandle) -> ProcessIdentity:
    return ProcessIdentity.parse(handle.id.split("/")[0])


def _processes_with(argument: str) -> list[str]:
    """The command lines of all processes of this machine that hold an argument."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_text(errors="replace"))
    return [line for line in found if argument in line]


async def test_an_owner_finds_its_sandboxes_by_their_label_also_from_another_process(workshop: Workshop) -> None:
    owner = secrets.token_hex(8)
    labelled = replace(workshop.spec(*SLEEP), owner=owner, name="a-run")
    handle = await workshop.start(labelled)
    await workshop.start(workshop.spec(*SLEEP))  # nobody's
    await workshop.start(replace(labelled, owner="somebody-else"))
    for provider in (workshop.provider, providers()[workshop.provider.name]):
        assert await provider.find(owner) == [FoundSandbox("a-run", handle)]
    await providers()[workshop.provider.name].destroy(handle)
    assert await workshop.provider.find(owner) == []


async def test_a_sandbox_is_found_by_its_own_kind_alone(tmp_path: Path) -> None:
    owner = secrets.token_hex(8)
    for name in sorted(providers()):
        (tmp_path / name).mkdir()
        workshop = await workshop_of(name, tmp_path / name)
        handle = await workshop.start(replace(workshop.spec(*SLEEP), owner=owner))
        found = {kind: await provider.find(owner) for kind, provider in providers().items()}
        assert {kind: [sandbox.handle for sandbox in those] for kind, those in found.items() if those} == {name: [handle]}
        await workshop.provider.destroy(handle)


async def test_what_a_dead_first_process_has_left_is_found_and_ended(tmp_path: Path) -> None:
    workshop = await workshop_of("process", tmp_path)
    owner = secrets.token_hex(8)
    pipe = Pipe(workshop.work / "pipe", None)
    handle = await workshop.start(replace(workshop.spec("sh", "-c", "setsid sh -c 'echo ready > pipe; exec sleep 600' &"), owner=owner))
    assert await pipe.next() == b"ready\n"
    await workshop.provider.wait(handle)
    (left,) = await workshop.provider.find(owner)
    await workshop.provider.destroy(left.handle)
    assert await workshop.provider.find(owner) == []
