"""Shell commands of the scripted agent: each in a process group of its own, so that a cancel leaves nothing behind."""

import asyncio
import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

_OUTPUT_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class CommandResult:
    """How a command ended. `exit_code` is negative for a signal; `timed_out` where it was ended for taking too long."""

    exit_code: int
    output: str
    timed_out: bool = False


async def run_command(command: str, cwd: Path, timeout_seconds: float) -> CommandResult:
    """Run `command` with sh and collect both its outputs, of which the last 256 KiB are kept."""
    process = await asyncio.create_subprocess_exec(
        "sh",
        "-c",
        command,
        cwd=cwd,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    output = bytearray()
    timed_out = False
    try:
        async with asyncio.timeout(timeout_seconds):
            while data := await process.stdout.read(65536):
                output += data
                del output[:-_OUTPUT_BYTES]
            await process.wait()
    except TimeoutError:
        timed_out = True
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode is not None
    return CommandResult(process.returncode, output.decode(errors="replace"), timed_out)
