"""Databases are brought to the version that the code speaks, once, and never back."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from hedgerow.db.migrate import migrate, newest_version, version
from hedgerow.domain.errors import UnavailableError


def test_an_empty_database_gets_every_table_and_the_queue(empty_database_url: str) -> None:
    assert version(empty_database_url) is None
    assert migrate(empty_database_url)
    assert version(empty_database_url) == newest_version()
    with psycopg.connect(empty_database_url) as connection:
        tables = {name for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}
    assert {"users", "tasks", "runs", "journal", "procrastinate_jobs"} <= tables


def test_a_database_of_the_newest_version_is_left_alone(database_url: str) -> None:
    assert not migrate(database_url)


def test_of_several_at_once_one_migrates_and_the_others_wait(empty_database_url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        done = list(threads.map(migrate, [empty_database_url] * 3))
    assert sorted(done) == [False, False, True]


def test_a_database_of_a_newer_version_is_refused_in_one_sentence(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnavailableError, match=r"of version 9999, but this hedgerow only knows up to \d{4}"):
        migrate(database_url)


def test_a_database_that_does_not_answer_is_named_in_one_sentence() -> None:
    with pytest.raises(UnavailableError, match=r"The database does not answer: .*refused"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing")
