"""The embedded PostgreSQL: started by whoever comes first, joined by the others, stopped by the last, and back after any kill."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from hedgerow.db import postmaster
from hedgerow.db.embedded import EmbeddedPostgres
from hedgerow.db.postgres_programs import account_for_postgres, run
from hedgerow.db.postmaster import explain, running, stop
from hedgerow.domain.errors import UnavailableError

_PARTICIPANT = """
import sys
from pathlib import Path
from hedgerow.db.embedded import EmbeddedPostgres
print(EmbeddedPostgres(Path(sys.argv[1])).start_or_join(), flush=True)
sys.stdin.read()
"""


@pytest.fixture(scope="module")
def made_once() -> Iterator[Path]:
    """A data directory whose database was made: making one takes most of the time."""
    folder = _reachable_folder()
    postgres = EmbeddedPostgres(folder / "data")
    postgres.start_or_join()
    assert postgres.leave()
    yield folder / "data"
    shutil.rmtree(folder)


@pytest.fixture
def data_dir(made_once: Path) -> Iterator[Path]:
    """That directory, with nothing running on it before and afterwards."""
    yield made_once
    server = running(made_once / "postgres" / "data")
    if server is not None:
        stop(server, made_once / "postgres" / "data")


def _reachable_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="hedgerow-embedded-"))
    folder.chmod(0o711)
    return folder


def _other_process(data_dir: Path) -> tuple[subprocess.Popen[str], str]:
    process = subprocess.Popen(
        [sys.executable, "-c", _PARTICIPANT, str(data_dir)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def _kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate(timeout=30)


def _answer(url: str, query: str) -> object:
    with psycopg.connect(url) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def _server_pid(data_dir: Path) -> int:
    server = running(data_dir / "postgres" / "data")
    assert server is not None
    return server.pid


def test_a_second_participant_joins_and_the_last_stops_the_server(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    url = first.start_or_join()
    assert second.start_or_join() == url
    assert not first.leave()
    assert _answer(url, "SELECT 1") == 1
    assert second.leave()
    assert running(data_dir / "postgres" / "data") is None
    assert not second.leave()


def test_what_is_stored_outlives_a_restart_and_so_does_the_address(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    url = postgres.start_or_join()
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS number")
    postgres.leave()
    assert postgres.start_or_join() == url
    assert _answer(url, "SELECT number FROM kept") == 42
    postgres.leave()


def test_a_killed_starter_leaves_a_server_that_others_join_and_stop(data_dir: Path) -> None:
    starter, url = _other_process(data_dir)
    pid = _server_pid(data_dir)
    _kill(starter)
    postgres = EmbeddedPostgres(data_dir)
    assert postgres.start_or_join() == url
    assert _server_pid(data_dir) == pid
    assert postgres.alone()
    assert postgres.leave()


def test_after_a_kill_of_everything_the_next_start_has_what_was_committed(data_dir: Path) -> None:
    starter, url = _other_process(data_dir)
    with psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE committed AS SELECT 42 AS number")
    os.kill(_server_pid(data_dir), signal.SIGKILL)
    _kill(starter)
    postgres = EmbeddedPostgres(data_dir)
    assert _answer(postgres.start_or_join(), "SELECT number FROM committed") == 42
    postgres.leave()


def test_a_server_that_died_under_its_participants_is_brought_back_at_its_address(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    url = postgres.start_or_join()
    assert not postgres.revive()
    os.kill(_server_pid(data_dir), signal.SIGKILL)
    deadline = time.monotonic() + 10
    while not postgres.revive():
        assert time.monotonic() < deadline
    assert _answer(url, "SELECT 1") == 1
    postgres.leave()


def test_a_pid_file_that_names_another_process_is_no_server(data_dir: Path) -> None:
    (data_dir / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n1\n5432\n/tmp\n127.0.0.1\n1 2\nready\n")
    postgres = EmbeddedPostgres(data_dir)
    assert _answer(postgres.start_or_join(), "SELECT 1") == 1
    postgres.leave()


def test_a_process_that_is_becoming_the_server_is_not_taken_for_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([b"", b"", b"postgres\0-D\0data"])
    process = tmp_path / "7"
    process.mkdir()
    (process / "stat").write_text("7 (sh (x) R) R 1 1")
    monkeypatch.setattr(Path, "read_bytes", lambda path: next(looks))
    assert postmaster._command_line(process) == b"postgres\0-D\0data"


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    process = tmp_path / "7"
    process.mkdir()
    (process / "cmdline").write_bytes(b"")
    (process / "stat").write_text("7 (postgres) Z 1 1")
    assert postmaster._command_line(process) == b""


def test_ctrl_c_in_the_starters_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    postgres.start_or_join()
    assert os.getsid(_server_pid(data_dir)) != os.getsid(0)
    postgres.leave()


def test_over_tcp_the_server_answers_only_to_its_password(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir)
    url = urlsplit(postgres.start_or_join())
    tcp = f"postgresql://hedgerow:{{}}@127.0.0.1:{parse_qs(url.query)['port'][0]}/hedgerow"
    assert _answer(tcp.format(url.password), "SELECT 1") == 1
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(tcp.format("wrong"))
    assert (data_dir / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    postgres.leave()


def test_a_database_of_another_postgresql_is_refused_in_one_sentence() -> None:
    folder = _reachable_folder()
    data = folder / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("19\n")
    with pytest.raises(UnavailableError, match="was made by PostgreSQL 19, but this hedgerow brings PostgreSQL 18"):
        EmbeddedPostgres(folder).start_or_join()
    shutil.rmtree(folder)


def test_a_start_that_fails_says_why_in_the_servers_own_words(data_dir: Path) -> None:
    postgres = EmbeddedPostgres(data_dir, settings={"shared_buffers": "nonsense"})
    with pytest.raises(UnavailableError, match=r"PostgreSQL did not start; its log is .*: invalid value for parameter"):
        postgres.start_or_join()
    assert not postgres.leave()


@pytest.mark.whole
def test_a_making_that_was_interrupted_begins_anew() -> None:
    folder = _reachable_folder()
    account = account_for_postgres()
    unfinished = folder / "postgres" / "unfinished"
    unfinished.mkdir(parents=True)
    (folder / "postgres").chmod(0o711)
    if account is not None:
        os.chown(unfinished, account.uid, account.gid)
    run(("mkdir", "-p", unfinished / "data" / "base"), account, unfinished)
    postgres = EmbeddedPostgres(folder)
    assert _answer(postgres.start_or_join(), "SELECT 1") == 1
    postgres.leave()
    shutil.rmtree(folder)


def test_a_long_data_directory_gets_a_socket_elsewhere(data_dir: Path) -> None:
    long = data_dir.parent / ("long, with signs' " * 7)
    data_dir.rename(long)
    try:
        postgres = EmbeddedPostgres(long)
        url = postgres.start_or_join()
        server = running(long / "postgres" / "data")
        assert server is not None
        assert len(os.fsencode(server.socket_folder / ".s.PGSQL.65535")) <= 107
        assert _answer(url, "SELECT 1") == 1
        postgres.leave()
        assert not server.socket_folder.exists()
    finally:
        long.rename(data_dir)


@pytest.mark.whole
@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="only root has another account for PostgreSQL")
def test_a_data_directory_that_postgresql_cannot_enter_keeps_its_permissions() -> None:
    folder = _reachable_folder()
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    (closed / "data").mkdir(mode=0o700)
    postgres = EmbeddedPostgres(closed / "data", elsewhere=folder / "elsewhere")
    assert _answer(postgres.start_or_join(), "SELECT 1") == 1
    assert postgres.folder.is_relative_to(folder / "elsewhere")
    assert [path.stat().st_mode & 0o777 for path in (closed, closed / "data")] == [0o700, 0o700]
    again = EmbeddedPostgres(closed / "data", elsewhere=folder / "elsewhere")
    again.start_or_join()
    assert again.folder == postgres.folder
    again.leave()
    postgres.leave()
    shutil.rmtree(folder)


def test_a_full_disk_is_named_as_such() -> None:
    assert explain("PANIC:  could not write to file: No space left on device", "It failed") == (
        "The disk is full: PostgreSQL needs room in the data directory."
    )
