"""Secrets in the database."""

import pytest

from hedgerow.domain.errors import UnavailableError
from hedgerow.operations.sealing import seal, unseal


def test_what_was_sealed_is_opened_again_also_under_an_earlier_secret() -> None:
    sealed = seal(b"old", "bot token", b"xoxb-1")
    assert b"xoxb" not in sealed
    assert unseal([b"new", b"old"], "bot token", sealed) == b"xoxb-1"


def test_neither_another_secret_nor_another_purpose_opens_it() -> None:
    sealed = seal(b"secret", "bot token 1", b"xoxb-1")
    with pytest.raises(UnavailableError, match="HEDGEROW_SECRET_KEY"):
        unseal([b"other"], "bot token 1", sealed)
    with pytest.raises(UnavailableError):
        unseal([b"secret"], "bot token 2", sealed)
