"""A worker's parts are tried in the world of the lifecycle."""

from tests.lifecycle.conftest import backends, token_key, world

__all__ = ["backends", "token_key", "world"]
