"""Brings a database to the version that this code speaks."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import psycopg

from hedgerow.domain.errors import UnavailableError

MIGRATIONS = Path(__file__).parent / "migrations"

_OLDEST_POSTGRESQL = 15
_LOCK = 0x6865_6467_6572_6F77  # "hedgerow": the advisory lock under which one process at a time migrates


def newest_version() -> str:
    """The version that this code speaks: the number of the last migration."""
    return max(path.name[:4] for path in (MIGRATIONS / "versions").glob("[0-9][0-9][0-9][0-9]_*.py"))


def version(url: str) -> str | None:
    """The version of a database; None where nothing was ever migrated. Raises UnavailableError where it does not answer."""
    with _connect(url) as connection:
        return _version(connection)


def migrate(url: str) -> bool:
    """Bring a database to the newest version; True where something was done. Any number of processes may call it at once.

    Raises UnavailableError where the database does not answer, is too old a PostgreSQL, or was migrated by a newer hedgerow.
    """
    with _connect(url) as connection:
        _check_server(connection)
        if _up_to_date(connection):
            return False
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        if _up_to_date(connection):
            return False
        _upgrade(url)
        return True


def _connect(url: str) -> psycopg.Connection[tuple[Any, ...]]:
    try:
        return psycopg.connect(url, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as problem:
        reason = str(problem).strip().splitlines()[0].removeprefix("connection failed: ")
        raise UnavailableError(f"The database does not answer: {reason}") from problem


def _check_server(connection: psycopg.Connection[tuple[Any, ...]]) -> None:
    major = connection.info.server_version // 10_000
    if major < _OLDEST_POSTGRESQL:
        raise UnavailableError(f"The database server is PostgreSQL {major}, but hedgerow needs {_OLDEST_POSTGRESQL} or newer.")


def _version(connection: psycopg.Connection[tuple[Any, ...]]) -> str | None:
    known = connection.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
    if known is None or not known[0]:
        return None
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return None if row is None else str(row[0])


def _up_to_date(connection: psycopg.Connection[tuple[Any, ...]]) -> bool:
    present, newest = _version(connection), newest_version()
    if present is not None and present > newest:
        raise UnavailableError(
            f"The database is of version {present}, but this hedgerow only knows up to {newest}: use the newer hedgerow."
        )
    return present == newest


def _upgrade(url: str) -> None:
    # In a process of its own: Alembic and SQLAlchemy would stay in the memory of a server that never needs them again.
    child = subprocess.run([sys.executable, "-m", "hedgerow.db.migrate"], input=url, capture_output=True, text=True, check=False)
    if child.returncode != 0:
        reason = (child.stderr.strip().splitlines() or ["it did not say why"])[-1]
        raise UnavailableError(f"The database could not be migrated: {reason}")


def upgrade_here(url: str) -> None:
    """Run the missing migrations in this process. The caller holds the lock."""
    from alembic import command
    from alembic.config import Config
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


if __name__ == "__main__":
    upgrade_here(sys.stdin.read())
