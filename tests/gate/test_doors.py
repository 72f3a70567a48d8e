"""The gate's sockets: who may connect, and what a restart does to them."""

import asyncio
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import uvloop

from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.sandboxes import HostPort, Mount, SandboxSpec
from hedgerow.gate import CONTROL_SOCKET, EGRESS_SOCKET, Gate
from hedgerow.sandboxes import providers
from tests.gate.conftest import RUN, Server, ask, dial, echo

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives sockets to another account")

PYTHON = os.path.realpath(sys.executable)
ACCOUNT = (61000, 61000)
REQUEST = b"GET /api/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def test_only_the_account_inside_may_connect(gate: Gate, sockets: Path) -> None:
    for name in (CONTROL_SOCKET, EGRESS_SOCKET):
        assert stat.S_IMODE((sockets / name).stat().st_mode) == 0o600


@needs_root
async def test_root_gives_the_sockets_to_the_sandbox_account_and_no_other_gets_in(gate: Gate, sockets: Path) -> None:
    await gate.open(RUN, sockets, frozenset(), ACCOUNT)
    os.chmod(sockets, 0o755)  # noqa: PTH101 - blocking, as the rest here is
    found = (sockets / CONTROL_SOCKET).stat()
    assert (found.st_uid, found.st_gid) == ACCOUNT
    assert await asyncio.to_thread(_may_connect, sockets / CONTROL_SOCKET, 61000)
    assert not await asyncio.to_thread(_may_connect, sockets / CONTROL_SOCKET, 61001)


@needs_root
async def test_a_link_in_the_folder_harms_nothing_outside(gate: Gate, sockets: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("kept")
    await gate.close(RUN)
    (sockets / CONTROL_SOCKET).symlink_to(victim)
    await gate.open(RUN, sockets, frozenset(), ACCOUNT)
    assert victim.read_text() == "kept"
    assert victim.stat().st_uid == os.geteuid()
    assert stat.S_ISSOCK((sockets / CONTROL_SOCKET).lstat().st_mode)


async def test_opening_again_serves_on_with_the_new_list(gate: Gate, sockets: Path, origin: Server) -> None:
    await gate.open(RUN, sockets, frozenset({HostPort("listed.test", 1)}), None)
    assert (await ask(sockets / CONTROL_SOCKET, REQUEST)).endswith(b"ok")
    refused = await ask(sockets / EGRESS_SOCKET, f"CONNECT 127.0.0.1:{origin.port} HTTP/1.1\r\n\r\n".encode())
    assert refused.startswith(b"HTTP/1.1 403 ")


async def test_what_a_killed_gate_left_is_replaced(gate: Gate, sockets: Path, origin: Server) -> None:
    later = Gate(control_plane_url=f"http://127.0.0.1:{origin.port}")
    await later.open(RUN, sockets, frozenset(), None)
    assert (await ask(sockets / CONTROL_SOCKET, REQUEST)).endswith(b"ok")
    await gate.close(RUN)  # the earlier one goes, and leaves the later one's sockets alone
    assert (await ask(sockets / CONTROL_SOCKET, REQUEST)).endswith(b"ok")
    await later.stop()
    assert _files(sockets) == []


async def test_closing_cuts_what_is_under_way_and_may_be_repeated(gate: Gate, sockets: Path) -> None:
    reader, writer = await asyncio.open_unix_connection(sockets / CONTROL_SOCKET)
    waiting = asyncio.create_task(reader.read())
    await asyncio.sleep(0)
    await gate.close(RUN)
    await gate.close(RUN)
    assert await asyncio.wait_for(waiting, 5) == b""
    writer.close()
    assert _files(sockets) == []


async def test_a_path_that_is_too_long_is_told(gate: Gate, tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 100)
    folder.mkdir()
    with pytest.raises(UnavailableError, match="longer than the 107 bytes"):
        await gate.open("other", folder, frozenset(), None)


async def test_a_missing_folder_is_told_and_leaves_the_run_closed(gate: Gate, sockets: Path) -> None:
    with pytest.raises(UnavailableError, match="cannot be made: No such file"):
        await gate.open(RUN, sockets / "missing", frozenset(), None)
    assert _files(sockets) == []


async def test_a_port_that_is_taken_is_told(gate: Gate, origin: Server) -> None:
    with pytest.raises(UnavailableError, match=f"cannot listen on 127.0.0.1:{origin.port}: Address already in use"):
        await gate.serve("127.0.0.1", origin.port)


@pytest.mark.parametrize("url", ["", "ftp://x", "http://", "127.0.0.1:8010"])
def test_a_control_plane_needs_a_url(url: str) -> None:
    with pytest.raises(ValueError, match="URL of the control plane"):
        Gate(control_plane_url=url)


INSIDE = """
import http.client, socket, sys
class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
for _ in range(2):
    connection = Connection("gate")
    connection.request("GET", "/api/")
    print(connection.getresponse().read().decode(), flush=True)
    open(sys.argv[2], "w").close()
    open(sys.argv[3]).close()
"""


@pytest.mark.bubblewrap
async def test_a_sandbox_goes_on_through_a_gate_that_was_opened_again(gate: Gate, sockets: Path, origin: Server, tmp_path: Path) -> None:
    provider = providers()["bubblewrap"]
    try:
        await provider.check()
    except UnavailableError as error:
        pytest.skip(error.message)
    if provider.owner:
        os.chown(sockets, *provider.owner)
        await gate.open(RUN, sockets, frozenset(), provider.owner)
    asked, go_on = _pipe(sockets / "asked", provider.owner), _pipe(sockets / "go", provider.owner)
    log = tmp_path / "log"
    command = (PYTHON, "-c", INSIDE, str(sockets / CONTROL_SOCKET), str(asked), str(go_on))
    handle = await provider.create(_spec(command, sockets, log))
    try:
        await asyncio.to_thread(asked.read_bytes)
        later = Gate(control_plane_url=f"http://127.0.0.1:{origin.port}")
        await later.open(RUN, sockets, frozenset(), provider.owner)
        await asyncio.to_thread(go_on.write_bytes, b"")
        await asyncio.to_thread(asked.read_bytes)
        await asyncio.to_thread(go_on.write_bytes, b"")
        assert (await provider.wait(handle)).exit_code == 0
        assert log.read_text() == "ok\nok\n"
        await later.stop()
    finally:
        await provider.destroy(handle)


def _pipe(path: Path, owner: tuple[int, int] | None) -> Path:
    os.mkfifo(path)
    if owner:
        os.chown(path, *owner)
    return path


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def test_the_gate_works_on_uvloop(sockets: Path) -> None:
    """What production runs on; its streams are others than asyncio's."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(_through_both_doors(sockets), 20))


async def _through_both_doors(sockets: Path) -> None:
    origin = Server()
    listening = await asyncio.start_server(origin.serve, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    gate = Gate(control_plane_url=f"http://127.0.0.1:{port}")
    try:
        await gate.open(RUN, sockets, frozenset({HostPort("127.0.0.1", port)}), None)
        assert (await ask(sockets / CONTROL_SOCKET, REQUEST)).endswith(b"ok")
        origin.play = echo
        tunnel = await dial(sockets / EGRESS_SOCKET)
        await tunnel.say(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\n\r\nand back" % port)
        tunnel.writer.write_eof()
        assert (await tunnel.reader.read()).endswith(b"\r\n\r\nand back")
        tunnel.writer.close()
    finally:
        await gate.stop()
        listening.close()
        await listening.wait_closed()


def _spec(command: tuple[str, ...], folder: Path, log: Path) -> SandboxSpec:
    mounts = (Mount(folder, writable=True), Mount(Path(sys.base_prefix).resolve()))
    return SandboxSpec(name="t", command=command, working_directory=folder, home=folder, mounts=mounts, log_file=log)


def _may_connect(path: Path, uid: int) -> bool:
    script = f"import socket; socket.socket(socket.AF_UNIX).connect({str(path)!r})"
    answer = subprocess.run(["/usr/bin/env", "python3", "-c", script], user=uid, group=uid, extra_groups=[], capture_output=True, cwd="/")
    return answer.returncode == 0
