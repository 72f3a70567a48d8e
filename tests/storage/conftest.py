"""What the tests of object stores share."""

from collections.abc import Iterator

import pytest

from tests.conftest import fresh_database


@pytest.fixture(scope="session")
def storage_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of a database for the hedgerow that serves the local store's forms; they leave nothing in it."""
    yield from fresh_database(postgres_url, template_database)
