"""Repositories on this machine: whether one can be used, and who owns it."""

import os
import pwd
import shlex
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from hedgerow.domain.errors import InvalidError, UnavailableError


def check_local(path: Path) -> None:
    """Return where `path` can be the folder of a git repository that may be entered; raise InvalidError saying why not."""
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            os.scandir(path).close()
    except FileNotFoundError:
        raise _invalid(f"There is no folder {path}.") from None
    except PermissionError:
        raise _invalid(f"hedgerow may not read {path}: permission denied.") from None
    except OSError as error:
        raise _invalid(f"{path} cannot be read: {error.strerror}.") from None
    if not stat.S_ISDIR(mode):
        raise _invalid(f"{path} is not a folder.")
    if not (path / ".git").exists() and not ((path / "HEAD").exists() and (path / "objects").is_dir()):
        raise _invalid(f"{path} is not a git repository.")


@dataclass(frozen=True, slots=True)
class Account:
    """An account of this machine, as far as git needs it."""

    uid: int
    gid: int
    home: str
    known: bool  # whether the machine has an entry for it, and so its groups


def owner(path: Path) -> Account:
    """Who owns the .git of the repository at `path` (of a bare one: the repository itself)."""
    git_directory = path / ".git"
    facts = (git_directory if git_directory.exists() else path).stat()
    try:
        entry = pwd.getpwuid(facts.st_uid)
    except KeyError:
        return Account(facts.st_uid, facts.st_gid, "/nonexistent", known=False)
    return Account(entry.pw_uid, entry.pw_gid, entry.pw_dir, known=True)


def command_at(path: Path, command: str) -> str:
    """The shell words with which git runs `command` (upload-pack or receive-pack) in the repository at `path`.

    As root it runs as the owner of the repository, with nothing of root's environment: what the owner's configuration and hooks start is
    theirs, new files belong to them, and git sees its own account's repository. Raises UnavailableError where that cannot be done.
    """
    account = owner(path)
    if os.geteuid() != 0 or account.uid == 0:
        return f"git -c gc.auto=0 -c receive.autogc=false {command}"
    if shutil.which("setpriv") is None:
        raise UnavailableError("As root, hedgerow needs setpriv (package util-linux) to use the repository of another account.")
    groups = "--init-groups" if account.known else "--clear-groups"
    drop = ["setpriv", f"--reuid={account.uid}", f"--regid={account.gid}", groups, "--inh-caps=-all", "--"]
    environment = ["-i", f"PATH={os.environ.get('PATH', os.defpath)}", f"HOME={account.home}", "LC_ALL=C"]
    git = ["git", "-c", "gc.auto=0", "-c", "receive.autogc=false", command]
    return f'cd / && exec env {shlex.join(environment)} GIT_PROTOCOL="$GIT_PROTOCOL" {shlex.join(drop + git)}'


def _invalid(message: str) -> InvalidError:
    return InvalidError(message, attr="clone_url")
