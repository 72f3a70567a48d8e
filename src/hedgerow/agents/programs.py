"""Running the programs that installing needs (npm, uv, pip): bounded in time, and with one sentence in place of pages of output."""

import asyncio
import contextlib
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path

from hedgerow.domain.errors import TimedOutError, UnavailableError

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ADDRESS = re.compile(r"(https?://)[^\s/@]*@")
_NOISE = re.compile(
    r"^(npm (error|ERR!)\s*(code|errno|syscall|A complete log.*|Log files.*|network (This is|In most)\b.*)?|error:|\W+)\s*",
    re.IGNORECASE,
)
_UNREACHABLE = re.compile(
    r"ENOTFOUND|ECONNREFUSED|ETIMEDOUT|EAI_AGAIN|ECONNRESET|dns error|connection refused|name resolution|Could not connect", re.IGNORECASE
)
_FULL = re.compile(r"ENOSPC|No space left on device", re.IGNORECASE)


class ProgramFailedError(UnavailableError):
    """A program ended with an error; the message is the reason it gave, in one sentence."""


async def run(command: Sequence[str], *, environment: Mapping[str, str], cwd: Path, timeout_seconds: float) -> str:
    """What a program wrote to its standard output. Raises ProgramFailedError or TimedOutError; its children end with it."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramFailedError(f"{command[0]} cannot be run ({error.strerror})") from error
    try:
        async with asyncio.timeout(timeout_seconds):
            output, errors = await process.communicate()
    except TimeoutError as error:
        raise TimedOutError(f"{Path(command[0]).name} did not finish within {timeout_seconds:.0f} seconds") from error
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
    if process.returncode != 0:
        raise ProgramFailedError(reason(errors.decode(errors="replace") + output.decode(errors="replace"), process.returncode))
    return output.decode(errors="replace")


def reason(output: str, code: int | None) -> str:
    """The first line of a failed program's output that says why, without decoration and without passwords in addresses."""
    if _FULL.search(output):
        return "the disk is full"
    if _UNREACHABLE.search(output):
        return "the package registry cannot be reached"
    for line in output.splitlines():
        said = _NOISE.sub("", _COLOURS.sub("", line)).strip()
        if len(said) > 12 and not said.startswith(("npm warn", "npm WARN", "WARNING", "Using Python", "Resolved")):
            return _ADDRESS.sub(r"\1", said)[:300].rstrip(".")
    return f"it ended with exit code {code}"
