"""Running git: with which environment, for how long, and how it is ended. Nothing here knows what a repository is for."""

import asyncio
import contextlib
import os
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from hedgerow.domain.errors import TimedOutError, UnavailableError, unavailable

_GRACE_SECONDS = 1.0
_LOOK_SECONDS = 0.25  # how often the length of a running git's output is looked at
_OUTPUT_LIMIT = 256 * 2**20
_ERRORS_LIMIT = 64 * 2**10
_KEPT_PREFIXES = (
    "GIT_CONFIG_COUNT",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_KEY_",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_VALUE_",
    "GIT_EXEC_PATH",
    "GIT_HTTP_",
    "GIT_PROXY_COMMAND",
    "GIT_SSH",
    "GIT_SSL_",
)
_ASKING = frozenset({"DISPLAY", "WAYLAND_DISPLAY", "SSH_ASKPASS", "SSH_ASKPASS_REQUIRE"})
_SAFE_CONFIG = (
    ("core.askPass", ""),
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.quotePath", "false"),
    ("credential.interactive", "false"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("http.lowSpeedLimit", "1"),  # bytes per second: a server that prepares a pack still sends a sign of life every few seconds
    ("http.lowSpeedTime", "300"),
    ("maintenance.auto", "false"),
    ("push.followTags", "false"),
    ("push.recurseSubmodules", "no"),
    ("submodule.recurse", "false"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Environments:
    """The two environments in which git runs outside a sandbox.

    `operator`: with the operator's own configuration, so that credential helpers, ssh and proxies work. `sealed`: with no
    configuration but ours, for everything that touches no network. Neither ever asks a person anything, and neither runs a hook.
    """

    operator: Mapping[str, str] = field(repr=False)
    sealed: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """How a git process ended. `errors` is what it wrote to stderr, at most its last 64 KiB."""

    code: int
    output: str
    errors: str = field(repr=False)


def environments(source: Mapping[str, str], *, protocols: Sequence[str]) -> Environments:
    """Both environments, made from that of the operator; only `protocols` may be spoken, whatever a configuration or a redirect says.

    GIT_DIR and the like, traces and prompts do not pass. ssh has no terminal to ask on (every git runs in a session of its own) and no
    askpass program, so that it fails where it would ask, with whatever ssh command the operator has configured.
    """
    plain = {name: value for name, value in source.items() if not name.startswith("GIT_") and name not in _ASKING}
    fixed = {
        "LC_ALL": "C",
        "LANGUAGE": "",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ASKPASS": "",
        "SSH_ASKPASS_REQUIRE": "never",
        "GCM_INTERACTIVE": "never",
    }
    kept = {name: value for name, value in source.items() if name.startswith(_KEPT_PREFIXES)}
    kept["GIT_ALLOW_PROTOCOL"] = ":".join(protocols)
    sealed = {name: value for name, value in plain.items() if name in {"PATH", "HOME", "TMPDIR"}}
    sealed |= fixed | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_ATTR_NOSYSTEM": "1", "GIT_ALLOW_PROTOCOL": "file"}
    return Environments(operator=configured(plain | kept | fixed, _SAFE_CONFIG), sealed=configured(sealed, _SAFE_CONFIG))


def configured(environment: Mapping[str, str], settings: Sequence[tuple[str, str]]) -> dict[str, str]:
    """`environment` with settings of git added, which stand above every configuration file and show in no list of processes.

    A key may come several times, as in a configuration file (git-config, GIT_CONFIG_COUNT).
    """
    given = environment.get("GIT_CONFIG_COUNT", "")
    count = int(given) if given.isdecimal() else 0
    added = {"GIT_CONFIG_COUNT": str(count + len(settings))}
    for number, (key, value) in enumerate(settings, start=count):
        added |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
    return {**environment, **added}


async def run(
    arguments: Sequence[str], *, environment: Mapping[str, str], directory: Path, timeout_seconds: float, stdin: str | None = None
) -> Finished:
    """Run `git` with `arguments` in `directory`, and return how it ended, whatever its exit code.

    A cancelled caller, or one that has waited for `timeout_seconds`, ends git with every process that it started. Raises TimedOutError,
    and UnavailableError where git cannot be started at all, or writes without end.
    """
    with _scratch(stdin) as source, _scratch() as output, _scratch() as errors:
        process = await _spawn(arguments, environment, directory, (source, output, errors))
        try:
            async with asyncio.timeout(timeout_seconds):
                code = await _bounded(process, output, _verb(arguments))
        except TimeoutError:
            await _end(process)
            raise TimedOutError(f"git {_verb(arguments)} took longer than {timeout_seconds:g} seconds and was stopped.") from None
        except BaseException:
            await _end(process)
            raise
        return Finished(code=code, output=_read(output, _verb(arguments)), errors=_tail(errors))


async def _bounded(process: asyncio.subprocess.Process, output: IO[bytes], verb: str) -> int:
    """The exit code of git. Raises UnavailableError as soon as its output is longer than anybody would read."""
    leaving = asyncio.ensure_future(process.wait())
    try:
        while not (await asyncio.wait({leaving}, timeout=_LOOK_SECONDS))[0]:
            if os.fstat(output.fileno()).st_size > _OUTPUT_LIMIT:
                raise _too_long(verb)
        return leaving.result()
    finally:
        leaving.cancel()


def _too_long(verb: str) -> UnavailableError:
    return UnavailableError(f"git {verb} wrote more than {_OUTPUT_LIMIT // 2**20} MiB.")


def _verb(arguments: Sequence[str]) -> str:
    return next((argument for argument in arguments if not argument.startswith("-")), "")


def _scratch(content: str | None = None) -> IO[bytes]:
    """A file without a name. Unlike a pipe it can neither fill up nor be held open by a daemon that a helper leaves behind."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller's with statement closes it
    if content is not None:
        file.write(content.encode())
        file.flush()
        file.seek(0)
    return file


async def _spawn(
    arguments: Sequence[str], environment: Mapping[str, str], directory: Path, streams: tuple[IO[bytes], IO[bytes], IO[bytes]]
) -> asyncio.subprocess.Process:
    source, output, errors = streams
    # A session of its own: no terminal to ask on, and one group to end.
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            "git", *arguments, env=dict(environment), cwd=directory, stdin=source, stdout=output, stderr=errors, start_new_session=True
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            await _end(await starting)
        raise
    except FileNotFoundError as error:
        raise UnavailableError(_absence(directory)) from error
    except OSError as error:
        raise unavailable(f"git could not be started: {error.strerror}.", error) from error


def _absence(directory: Path) -> str:
    if not directory.is_dir():
        return f"The folder {directory} does not exist."
    return "git is not installed on this machine, or not on the PATH of hedgerow."


async def _end(process: asyncio.subprocess.Process) -> None:
    """End the process group: first so that git removes its temporary files, then for certain."""
    _signal_group(process.pid, signal.SIGTERM)
    leaving = asyncio.ensure_future(process.wait())
    try:
        await asyncio.wait({leaving}, timeout=_GRACE_SECONDS)
    finally:
        _signal_group(process.pid, signal.SIGKILL)
    await leaving


def _signal_group(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _read(file: IO[bytes], verb: str) -> str:
    """What git wrote. Names of refs and files may be any bytes: they survive being written back with `surrogateescape`."""
    if file.seek(0, os.SEEK_END) > _OUTPUT_LIMIT:
        raise _too_long(verb)
    file.seek(0)
    return file.read().decode(errors="surrogateescape")


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _ERRORS_LIMIT))
    return file.read(_ERRORS_LIMIT).decode(errors="replace")
