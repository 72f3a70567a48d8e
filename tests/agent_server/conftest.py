"""A running agent server with a control plane of its own."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.agent_server.sandbox import Sandbox


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    """What connection tokens of the tests are signed with."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
async def sandbox(private_key: rsa.RSAPrivateKey) -> AsyncIterator[Sandbox]:
    """An agent server that listens, in a folder whose path is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="h-") as folder:
        async with Sandbox(Path(folder), private_key) as sandbox:
            yield sandbox
