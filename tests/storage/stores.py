"""The stores that the contract is checked on: how a test opens each of them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from hedgerow.storage import ObjectStore, open_store

SECRETS = (b"a secret of the tests, long enough for HMAC",)
PUBLIC_URL = "http://hedgerow.test"


@asynccontextmanager
async def local_store(folder: Path) -> AsyncIterator[ObjectStore]:
    """A store in a folder of the test's own."""
    store = await open_store(f"file://{folder / 'objects'}", SECRETS)
    yield store
    await store.close()


STORES: dict[str, Callable[[Path], AbstractAsyncContextManager[ObjectStore]]] = {
    "local": local_store,
}
