"""What the tests of integrations share."""

from collections.abc import Iterator

import pytest

from tests.integrations.fake_github import FakeGitHub, serve


@pytest.fixture
def fake_github() -> Iterator[FakeGitHub]:
    """A GitHub of the test's own."""
    with serve() as fake:
        yield fake
