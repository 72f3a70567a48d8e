"""The PostgreSQL that hedgerow brings along: any process of hedgerow starts it or joins it, and the last to leave stops it.

Who takes part is known by a shared file lock that each holds for as long as it lives, so that the kernel forgets the dead ones
whichever way they died. Starting, joining and leaving happen under a second, exclusive lock.
"""

import errno
import fcntl
import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO
from urllib.parse import quote

import structlog
from filelock import FileLock, Timeout

from hedgerow.db.cluster import DATA, PASSWORD, USER, check_version, give, make_cluster, own_folder
from hedgerow.db.postgres_programs import Account, account_for_postgres, copied_programs, installed_programs, may_enter
from hedgerow.db.postmaster import Postmaster, explain, free_port, last_socket_folder, lives, running, start, stop
from hedgerow.domain.errors import UnavailableError

logger = structlog.get_logger()

_DATABASE = "hedgerow"
_LOCK_SECONDS = 120.0
_ORPHANS_SECONDS = 10.0  # how long the children of a killed server may take to notice, and hold its memory and its port
_SOCKET_PATH_BYTES = 107
_SOCKET_PREFIX = "hedgerow-socket-"
_LOG_BYTES = 4 * 1024 * 1024

# Small, since one machine's work fits; durable, since it is the only thing that remembers.
SETTINGS: Mapping[str, str] = {
    "shared_buffers": "64MB",
    "max_connections": "200",
    "max_wal_size": "256MB",
    "min_wal_size": "32MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_logical_replication_workers": "0",
    "io_method": "sync",  # no worker processes for reads that nearly always hit the page cache
    "jit": "off",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "cluster_name": "hedgerow",
}


class EmbeddedPostgres:
    """One participant of the PostgreSQL server of a data directory. Blocking: call it from a thread where a loop runs."""

    def __init__(self, data_dir: Path, *, settings: Mapping[str, str] = SETTINGS, elsewhere: Path = Path("/var/lib/hedgerow")) -> None:
        """`elsewhere` takes the database where the account that PostgreSQL runs as cannot enter the data directory."""
        self._data_dir = data_dir.resolve()
        self._settings = settings
        self._elsewhere = elsewhere
        self._account: Account | None = None
        self._home = self._data_dir / "postgres"
        self._membership: IO[str] | None = None

    @property
    def folder(self) -> Path:
        """Where the database lies: known once it was started or joined."""
        return self._home

    @property
    def log(self) -> Path:
        """What the server says of itself."""
        return self._home / "postgres.log"

    def start_or_join(self) -> str:
        """Make the database where there is none, start its server where none runs, take part, and return its URL.

        Raises UnavailableError in one sentence: a full disk, a database of another version of PostgreSQL, no account to run as.
        """
        try:
            self._account = account_for_postgres()
            self._home = self._choose_home()
            with self._exclusively():
                return self._enter()
        except OSError as problem:
            raise _unavailable(problem, self._home) from problem

    def revive(self) -> bool:
        """Start the server again where it has died under its participants; True where that was so. Its address stays, if its port is free.

        Cheap while the server lives. Raises UnavailableError where it does not start.
        """
        if self._membership is None or lives(self._data):
            return False
        try:
            with self._exclusively():
                if running(self._data) is not None:
                    return False
                self._start(port_patience_seconds=_ORPHANS_SECONDS)
                return True
        except OSError as problem:
            raise _unavailable(problem, self._home) from problem

    def leave(self) -> bool:
        """Take part no longer; the last one stops the server, and is told so with True. Safe to repeat."""
        if self._membership is None:
            return False
        with self._exclusively():
            last = self.alone()
            server = running(self._data) if last else None
            if server is not None:
                stop(server, self._data)
                self._remove_socket_folder(server.socket_folder)
            self._forsake()
        return last

    def alone(self) -> bool:
        """Whether nobody else takes part. Only true for certain until somebody joins."""
        if self._membership is None:
            return False
        try:
            fcntl.flock(self._membership, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._membership, fcntl.LOCK_SH)  # a refused upgrade has given the shared lock up
            return False
        fcntl.flock(self._membership, fcntl.LOCK_SH)
        return True

    @property
    def _data(self) -> Path:
        return self._home / DATA

    def _choose_home(self) -> Path:
        mode = 0o700 if self._account is None else 0o711
        _make_folder(self._data_dir, mode)
        home = self._data_dir / "postgres"
        if self._account is not None and not may_enter(self._account, self._data_dir):
            name = hashlib.sha256(os.fsencode(self._data_dir)).hexdigest()[:12]
            home = self._elsewhere / name / "postgres"
            logger.warning("the database lies elsewhere, since PostgreSQL's account cannot enter the data directory", database=str(home))
            _make_folder(self._elsewhere, 0o755)
            _make_folder(home.parent, mode)
        _make_folder(home, mode)
        return home

    @contextmanager
    def _exclusively(self) -> Iterator[None]:
        try:
            with FileLock(self._home / "start.lock", timeout=_LOCK_SECONDS):
                yield
        except Timeout as problem:
            raise UnavailableError(
                f"Another process of hedgerow has been starting or stopping the database in {self._home} for {_LOCK_SECONDS:.0f} seconds."
            ) from problem

    def _enter(self) -> str:
        self._membership = (self._home / "participants").open("w")
        try:
            fcntl.flock(self._membership, fcntl.LOCK_SH)
            if not self._data.exists():
                make_cluster(self._home, self._programs(), self._account)
            check_version(self._home)
            server = running(self._data) or self._start()
            self._make_database(server)
            return self._url(server, _DATABASE)
        except BaseException:
            self._forsake()
            raise

    def _forsake(self) -> None:
        if self._membership is not None:
            self._membership.close()  # which gives the lock up
            self._membership = None

    def _programs(self) -> Path:
        return installed_programs() if self._account is None else copied_programs(self._home / "programs")

    def _start(self, *, port_patience_seconds: float = 0.0) -> Postmaster:
        self._shorten_log()
        self.log.touch(mode=0o600)
        programs = self._programs()
        deadline = time.monotonic() + _ORPHANS_SECONDS
        while True:
            try:
                return start(
                    programs,
                    self._data,
                    socket_folder=self._socket_folder(),
                    port=free_port(self._last_port(), patience_seconds=port_patience_seconds),
                    settings=self._settings,
                    log=self.log,
                    account=self._account,
                )
            except UnavailableError as problem:
                # The children of a killed server take a moment to notice; a port can be taken between our look and the start.
                passing = "shared memory" in problem.message or "could not create any TCP/IP sockets" in problem.message
                if not passing or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def _last_port(self) -> int | None:
        """The port of the time before, so that an address that somebody has noted stays true where possible."""
        try:
            return int((self._data / "postmaster.opts").read_text().split('"port=')[1].split('"')[0])
        except (OSError, IndexError, ValueError):
            return None

    def _socket_folder(self) -> Path:
        folder = self._home / "socket"
        if len(os.fsencode(folder / ".s.PGSQL.65535")) <= _SOCKET_PATH_BYTES and "," not in str(folder):  # which would separate two hosts
            return own_folder(folder, self._account)
        self._remove_socket_folder(last_socket_folder(self._data))
        folder = Path(tempfile.mkdtemp(prefix=_SOCKET_PREFIX))
        give(folder, self._account)
        return folder

    def _remove_socket_folder(self, folder: Path | None) -> None:
        if folder is not None and folder.name.startswith(_SOCKET_PREFIX) and folder.parent == Path(tempfile.gettempdir()):
            shutil.rmtree(folder, ignore_errors=True)

    def _make_database(self, server: Postmaster) -> None:
        import psycopg

        try:
            with psycopg.connect(self._url(server, "postgres"), autocommit=True) as connection:
                known = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_DATABASE,)).fetchone()
                if known is None:
                    connection.execute(f"CREATE DATABASE {_DATABASE}")
        except psycopg.Error as problem:
            raise UnavailableError(explain(f"FATAL: {problem}", f"The database in {self._home} does not answer")) from problem

    def _url(self, server: Postmaster, database: str) -> str:
        password = quote((self._home / PASSWORD).read_text().strip(), safe="")
        return f"postgresql://{USER}:{password}@/{database}?host={quote(str(server.socket_folder), safe='')}&port={server.port}"

    def _shorten_log(self) -> None:
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.old"))


def _make_folder(path: Path, mode: int) -> None:
    """Make a folder with exactly that mode, whatever the umask; one that stands keeps its own."""
    if not path.exists():
        path.mkdir(parents=True, exist_ok=True)  # another process may be at it as well
        path.chmod(mode)


def _unavailable(problem: OSError, home: Path) -> UnavailableError:
    if problem.errno in (errno.ENOSPC, errno.EDQUOT):
        return UnavailableError("The disk is full: PostgreSQL needs room in the data directory.")
    return UnavailableError(
        f"The database in {home} cannot be used: {problem.strerror or problem}{f' ({problem.filename})' if problem.filename else ''}."
    )
