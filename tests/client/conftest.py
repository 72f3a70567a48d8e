from collections.abc import Iterator

import pytest

from hedgerow.client import Client, Credentials
from tests.client.fake_server import KEY, FakeServer, fake_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


@pytest.fixture
def waits() -> list[float]:
    """How long the client of a test would have waited between two tries."""
    return []


@pytest.fixture
def client(server: FakeServer, waits: list[float]) -> Iterator[Client]:
    with Client(Credentials(server.url, KEY, "1"), pause=waits.append) as made:
        yield made
