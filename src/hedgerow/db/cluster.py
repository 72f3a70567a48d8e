"""Makes the files of an embedded database, whole or not at all."""

import os
import secrets
import shutil
from pathlib import Path

from hedgerow.db.postgres_programs import MAJOR_VERSION, Account, named, run
from hedgerow.db.postmaster import explain
from hedgerow.domain.errors import UnavailableError

USER = "hedgerow"
DATA = "data"
PASSWORD = "password"  # noqa: S105 - the name of a file


def make_cluster(home: Path, programs: Path, account: Account | None) -> None:
    """Make the database `home`/data, owned by `account` (None: by us), and the file with its password, readable for us alone.

    It is made in a folder of its own first, so that one that was interrupted is never mistaken for a whole one. Raises UnavailableError.
    """
    unfinished = own_folder(home / "unfinished", account)
    _empty(unfinished, account)
    password = secrets.token_urlsafe(24)
    _write_private(home / PASSWORD, password)
    handed_over = unfinished / PASSWORD
    _write_private(handed_over, password)
    give(handed_over, account)
    initdb = (
        *(programs / "initdb", "-D", unfinished / DATA, "-U", USER, "--encoding=UTF8", "--locale=C", "--wal-segsize=4"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--auth=scram-sha-256", f"--pwfile={handed_over}"),
    )
    made = run(named(initdb, unfinished), account, unfinished)
    if made.returncode != 0:
        _empty(unfinished, account)
        raise UnavailableError(explain(made.stdout, f"The database could not be made in {home}"))
    (unfinished / DATA).rename(home / DATA)
    shutil.rmtree(unfinished)


def check_version(home: Path) -> None:
    """Raise UnavailableError where the database was made by another PostgreSQL than the one that hedgerow brings."""
    version = (home / DATA / "PG_VERSION").read_text().strip()
    if version != str(MAJOR_VERSION):
        raise UnavailableError(
            f"The database in {home} was made by PostgreSQL {version}, but this hedgerow brings PostgreSQL {MAJOR_VERSION}: "
            "use the hedgerow that made it, or another HEDGEROW_DATA_DIR."
        )


def own_folder(folder: Path, account: Account | None) -> Path:
    """A folder that only `account` can enter."""
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder, account)
    return folder


def give(path: Path, account: Account | None) -> None:
    """Make `account` the owner of a file or folder; None leaves it ours."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def _empty(folder: Path, account: Account | None) -> None:
    run(("/bin/sh", "-c", 'rm -rf -- "$1"/*', "sh", folder), account, folder)


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
