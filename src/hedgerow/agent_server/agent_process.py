"""The agent's process: started in a group of its own, watched, and ended with everything that it has started."""

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from hedgerow.acp_lines import LINE_LIMIT_BYTES
from hedgerow.domain.end_reasons import plain_words
from hedgerow.domain.masking import Mask

_LINE_BYTES = 2000
_LINES_KEPT = 50
_LOG_BYTES = 1024 * 1024
_TERM_SECONDS = 2.0
_LAST_WORDS_SECONDS = 0.5


class AgentStartError(Exception):
    """The agent could not be started; the message is one sentence for people."""


class AgentProcess:
    """A running agent with its three streams."""

    def __init__(self, process: asyncio.subprocess.Process, mask: Mask, log: "StderrLog") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdin = process.stdin
        self.stdout = process.stdout
        self.pid = process.pid
        self._process = process
        self._mask = mask
        self._log = log
        self._ended = False
        self._reading = asyncio.create_task(self._read_stderr(process.stderr), name="agent-stderr")

    @property
    def running(self) -> bool:
        """Whether the process has not ended."""
        return self._process.returncode is None

    async def wait(self) -> int:
        """The exit code, once the process has ended and its last words are read; negative: the signal that ended it."""
        code = await self._process.wait()
        await asyncio.wait({self._reading}, timeout=_LAST_WORDS_SECONDS)  # a child that lives on may hold the stream open
        return code

    def how_it_ended(self) -> str:
        """`exit code 3: last words`, or the signal's name in place of the code."""
        code = self._process.returncode
        ending = "no exit code" if code is None else f"exit code {code}" if code >= 0 else f"signal {_signal_name(-code)}"
        words = self.last_words
        return f"{ending}: {words}" if words else ending

    @property
    def last_words(self) -> str:
        """The last line that the agent wrote to its standard error, without secrets."""
        return plain_words(self._log.last_line)

    async def end(self) -> None:
        """End the process and its whole group: politely, then not. Safe to repeat."""
        if self._ended:
            return
        self._ended = True
        if self.running:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_TERM_SECONDS):
                    await self._process.wait()
        self._signal(signal.SIGKILL)
        await self._process.wait()
        self._reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reading
        self._log.close()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def _read_stderr(self, stream: asyncio.StreamReader) -> None:
        rest = b""
        while data := await stream.read(65536):
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                self._log.write(self._mask.data(line))
            if len(rest) > LINE_LIMIT_BYTES:
                rest = rest[-_LINE_BYTES:]
        if rest:
            self._log.write(self._mask.data(rest))


class StderrLog:
    """The agent's standard error in a file of bounded size, of which the first half is let go when it is full."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[bytes] | None = None
        self._size = 0
        self._lines: deque[str] = deque(maxlen=_LINES_KEPT)

    @property
    def last_line(self) -> str:
        """The last line that says something, shortened."""
        return next((line[:500] for line in reversed(self._lines) if line), "")

    def write(self, line: bytes) -> None:
        """Keep one line. A disk that is full costs the log only."""
        self._lines.append(line[:_LINE_BYTES].decode(errors="replace").strip())
        with contextlib.suppress(OSError):
            if self._file is None or self._size > _LOG_BYTES // 2:
                self._begin_file()
            assert self._file is not None
            self._size += self._file.write(line[: _LINE_BYTES * 10] + b"\n")

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
        self._file = None

    def _begin_file(self) -> None:
        self.close()
        if self._path.exists():
            self._path.replace(self._path.with_suffix(".before"))
        self._file, self._size = self._path.open("wb", buffering=0), 0


async def start_agent(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], mask: Mask, log: Path) -> AgentProcess:
    """Start an agent in `cwd`; AgentStartError says in one sentence what is wrong with the command."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=cwd,
            env=dict(environment),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT_BYTES,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise AgentStartError(f"The agent could not be started: {_missing(command, cwd)} was not found.") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise AgentStartError(f"The agent could not be started: the command {command[0]!r} cannot be run ({reason}).") from error
    return AgentProcess(process, mask, StderrLog(log))


def _missing(command: Sequence[str], cwd: Path) -> str:
    return f"the command {command[0]!r}" if cwd.is_dir() else f"the workspace {cwd}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
