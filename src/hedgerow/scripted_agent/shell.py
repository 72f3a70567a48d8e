"""Shell commands of the scripted agent: each in a process group of its own, so that a cancel leaves nothing behind."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_OUTPUT_BYTES = 256 * 1024
_REST_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. `exit_code` is negative for a signal; `timed_out` where it was ended for taking too long."""

    exit_code: int
    output: str
    timed_out: bool = False


async def run_command(command: str, cwd: Path, timeout_seconds: float) -> CommandResult:
    """Run `command` with sh and collect both its outputs, of which the last 256 KiB are kept.

    It is over when its shell is: what a process that it left in the background still holds open is not waited for.
    """
    output = _Output()
    try:
        process = await asyncio.create_subprocess_exec(
            *("sh", "-c", command),
            cwd=cwd,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output.taker,
            stderr=output.taker,
            start_new_session=True,
        )
        output.let_go_of_taker()
        timed_out = await _ended_by_time(process, timeout_seconds)
        await output.rest()
    finally:
        output.close()
    assert process.returncode is not None
    return CommandResult(process.returncode, output.data.decode(errors="replace"), timed_out)


async def _ended_by_time(process: asyncio.subprocess.Process, timeout_seconds: float) -> bool:
    """Wait for a process, then end its group; whether it took too long."""
    try:
        async with asyncio.timeout(timeout_seconds):
            await process.wait()
    except TimeoutError:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    return False


class _Output:
    """The last part of what comes out of a pipe. A pipe of our own, since asyncio would take the process to live until it is closed."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._giver, self.taker = os.pipe()
        self._taker_is_ours = True
        self._ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._giver, self._read)

    def let_go_of_taker(self) -> None:
        """Close our copy of the end that a process has got. Safe to repeat."""
        if self._taker_is_ours:
            self._taker_is_ours = False
            os.close(self.taker)

    async def rest(self) -> None:
        """Take what was written already, and a moment's more where somebody still holds the pipe."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), _REST_SECONDS)

    def close(self) -> None:
        """Listen no longer."""
        asyncio.get_running_loop().remove_reader(self._giver)
        os.close(self._giver)
        self.let_go_of_taker()

    def _read(self) -> None:
        piece = os.read(self._giver, 65536)
        if not piece:
            asyncio.get_running_loop().remove_reader(self._giver)
            self._ended.set()
        self.data += piece
        del self.data[:-_OUTPUT_BYTES]
