"""Objects of the local store, whose forms and addresses hedgerow serves itself (contract 13.4)."""

from collections.abc import AsyncIterator, Mapping

from hedgerow.domain.errors import NotFoundError
from hedgerow.operations.backends import Backends
from hedgerow.storage import StoredObject
from hedgerow.storage.local import LocalStore
from hedgerow.storage.signed_forms import PATH, Permit

__all__ = ["PATH", "Permit", "StoredObject", "permit", "read_object", "store_object"]


def permit(backends: Backends, fields: Mapping[str, str]) -> Permit:
    """What the holder of a form with these fields may store. Raises InvalidError, ForbiddenError; NotFoundError for another store."""
    return _local(backends).signer.permit(fields, backends.clock.now())


async def store_object(backends: Backends, permitted: Permit, pieces: AsyncIterator[bytes]) -> None:
    """Store what a form permits. Whatever `pieces` raises leaves nothing behind; UnavailableError where the disk is full."""
    await _local(backends).put(permitted.key, pieces, content_type=permitted.content_type)


async def read_object(backends: Backends, query: Mapping[str, str]) -> StoredObject:
    """The object that a signed address names. Raises ForbiddenError for an address that is not ours or has expired, NotFoundError."""
    store = _local(backends)
    key = store.signer.check_url(query, backends.clock.now())
    return await store.read(key)


def _local(backends: Backends) -> LocalStore:
    if not isinstance(backends.storage, LocalStore):
        raise NotFoundError
    return backends.storage
