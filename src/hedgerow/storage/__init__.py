"""Where the bytes of artifacts lie: one file per store, and the contract that every store keeps."""

from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from hedgerow.domain.errors import InvalidError
from hedgerow.storage.base import ObjectInfo, ObjectStore, StoredObject, UploadForm

__all__ = ["ObjectInfo", "ObjectStore", "StoredObject", "UploadForm", "open_store"]


async def _open_local(url: str, secrets: Sequence[bytes]) -> ObjectStore:
    from hedgerow.storage.local import open_local

    return await open_local(url, secrets)


async def _open_s3(url: str, secrets: Sequence[bytes]) -> ObjectStore:
    from hedgerow.storage.s3 import open_s3

    return await open_s3(url, secrets)


OPENERS: dict[str, Callable[[str, Sequence[bytes]], Awaitable[ObjectStore]]] = {
    "file": _open_local,
    "s3": _open_s3,
}
"""Which store a scheme means, each imported where it is used."""


async def open_store(url: str, secrets: Sequence[bytes]) -> ObjectStore:
    """The store at an address; what it signs itself is signed under the first of `secrets`, and all of them verify.

    Raises InvalidError for an address that means none, UnavailableError where it cannot be reached or written to.
    """
    scheme = urlsplit(url).scheme
    opener = OPENERS.get(scheme)
    if opener is None:
        raise InvalidError(f"HEDGEROW_STORAGE_URL must begin with {' or '.join(f'{name}://' for name in OPENERS)}.")
    return await opener(url, secrets)
