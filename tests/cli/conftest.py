from collections.abc import Iterator
from pathlib import Path

import pytest

from hedgerow.client import Client, Credentials
from tests.client.fake_server import KEY, FakeServer, fake_server


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with fake_server() as fake:
        yield fake


@pytest.fixture
def client(server: FakeServer) -> Iterator[Client]:
    with Client(Credentials(server.url, KEY, "1"), pause=lambda _: None) as made:
        yield made


@pytest.fixture
def environment(server: FakeServer, tmp_path: Path) -> dict[str, str]:
    """The environment of a `hedgerow` that talks to the fake server."""
    import os

    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HEDGEROW_", "COLUMNS", "FORCE_COLOR", "NO_COLOR"))}
    own = {"HEDGEROW_URL": server.url, "HEDGEROW_API_KEY": KEY, "HEDGEROW_PROJECT": "1", "HEDGEROW_DATA_DIR": str(tmp_path / "data")}
    return {**kept, **own, "PYTHONUNBUFFERED": "1"}
