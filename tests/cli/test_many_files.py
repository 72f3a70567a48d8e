"""A process that serves opens as many files as it may."""

import resource
from collections.abc import Iterator

import pytest

from hedgerow.cli.up import allow_many_files


@pytest.fixture
def hard_limit() -> Iterator[int]:
    """The most files that this process may ever open; the present limit stays as it was."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_low_limit_is_raised_to_what_the_system_allows(hard_limit: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard_limit))
    allow_many_files()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft == (65_536 if hard_limit == resource.RLIM_INFINITY else min(hard_limit, 65_536))
    assert hard == hard_limit
