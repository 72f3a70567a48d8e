"""What every room's tests may ask for: a real PostgreSQL, a fresh migrated database per test, and a clock that stands still."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import psycopg
import pytest
import structlog
from filelock import FileLock

from hedgerow.db.embedded import SETTINGS, EmbeddedPostgres
from hedgerow.db.migrate import migrate
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import UnavailableError
from hedgerow.storage import ObjectStore, open_store
from tests.radosgw import RadosGateway, S3Server, require_ceph

_PREFIX = "hedgerow-tests-"
_SETTINGS = {**SETTINGS, "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "300"}
_TEMPLATE = "migrated"
_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 3 * 2**30
_LONG = ("tests/simulation/", "tests/api/test_state_machine.py", "tests/operations/test_journal_archiving.py")


def pytest_sessionstart() -> None:
    """Collect tests without looking for garbage: there is none yet, and thousands of tests and their imports are looked through for it."""
    gc.disable()
    *steps, _ = structlog.get_config()["processors"]
    plain = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)  # the other one takes a second for each
    structlog.configure(processors=[*steps, plain])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what takes long first: a worker that came to it last would let the others wait for it."""
    items.sort(key=lambda item: not item.nodeid.startswith(_LONG))


def pytest_collection_finish() -> None:
    """From here on there is garbage, but not among what was collected: a worker looks through the rest alone."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def postgres_folder(testrun_uid: str) -> Path:
    """Where the PostgreSQL of this run of tests lies: one for all workers, in a place that PostgreSQL's account can enter."""
    folder = _quick_folder() / f"{_PREFIX}{testrun_uid[:12]}"
    folder.mkdir(exist_ok=True)
    folder.chmod(0o711)
    return folder


def _quick_folder() -> Path:
    """A folder in memory where there is room for some: a database of its own costs each test 20 ms there, and 300 ms on a disk."""
    if os.access(_MEMORY, os.W_OK | os.X_OK) and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES:
        return _MEMORY
    return Path(tempfile.gettempdir())


@pytest.fixture(scope="session")
def postgres_url(postgres_folder: Path) -> Iterator[str]:
    """The URL of a real PostgreSQL server, started by the first worker that asks and stopped by the last that leaves."""
    _end_leftovers()
    postgres = EmbeddedPostgres(postgres_folder, settings=_SETTINGS)
    yield postgres.start_or_join()
    if postgres.leave():
        shutil.rmtree(postgres_folder, ignore_errors=True)


@pytest.fixture(scope="session")
def template_database(postgres_url: str, postgres_folder: Path) -> str:
    """The name of a database that was migrated once; each test gets a copy of it."""
    with FileLock(postgres_folder / "template.lock", timeout=60), psycopg.connect(postgres_url, autocommit=True) as connection:
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (_TEMPLATE,)).fetchone():
            connection.execute("CREATE DATABASE unfinished")
            migrate(database_at(postgres_url, "unfinished"))
            connection.execute(f"ALTER DATABASE unfinished RENAME TO {_TEMPLATE}")
    return _TEMPLATE


_numbers = count(1)


@pytest.fixture
def database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of a migrated, empty database of the test's own."""
    yield from fresh_database(postgres_url, template_database)


@pytest.fixture
def empty_database_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database in which there is nothing, not even tables."""
    yield from fresh_database(postgres_url, "template0")


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """A real S3 server with an empty bucket, started once for all tests that ask for it."""
    require_ceph()
    with tempfile.TemporaryDirectory(prefix=f"{_PREFIX}s3-") as folder:
        gateway = RadosGateway(Path(folder))
        try:
            yield gateway.start()
        finally:
            gateway.stop()


@pytest.fixture
def fixed_clock() -> FixedClock:
    """A clock that stands at noon of a day until it is moved."""
    return FixedClock(datetime(2026, 11, 22, 12, tzinfo=UTC))


@asynccontextmanager
async def temporary_store(secrets: Sequence[bytes]) -> AsyncIterator[ObjectStore]:
    """An object store in a folder that goes at the end."""
    with tempfile.TemporaryDirectory(prefix="hedgerow-objects-") as folder:
        store = await open_store(Path(folder).as_uri(), secrets)
        yield store
        await store.close()


def database_at(url: str, database: str) -> str:
    """The URL of another database of the same server."""
    address, _, options = url.partition("?")
    return f"{address.rpartition('/')[0]}/{database}?{options}"


def fresh_database(url: str, template: str) -> Iterator[str]:
    """The URL of a new database that is a copy of `template`, dropped afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
        yield database_at(url, name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _end_leftovers() -> None:
    """Stop the servers of earlier runs that were killed before they could clean up after themselves."""
    for folder in (*Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"), *_MEMORY.glob(f"{_PREFIX}*")):
        try:
            own = folder.stat().st_uid == os.geteuid() and (folder / "postgres" / "participants").exists()
        except FileNotFoundError:
            continue  # its own run of tests has just removed it
        if not own:
            continue
        postgres = EmbeddedPostgres(folder, settings=_SETTINGS)
        with suppress(UnavailableError):
            postgres.start_or_join()
        if postgres.leave():
            shutil.rmtree(folder, ignore_errors=True)
