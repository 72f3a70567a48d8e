"""The stores that the contract is checked on: how a test opens each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from _pytest.mark import ParameterSet

from hedgerow.api import create_api
from hedgerow.client.certificates import certificates
from hedgerow.storage import ObjectStore, open_store
from tests.api.conftest import opened
from tests.api.serving import QuietServer, quiet_config
from tests.radosgw import S3Server

SECRETS = (b"a secret of the tests, long enough for HMAC",)
PUBLIC_URL = "http://hedgerow.test"

Served = tuple[ObjectStore, httpx.AsyncClient, str]
"""A store, a client that reaches what its forms and addresses name, and how hedgerow is reached."""


@asynccontextmanager
async def local_store(request: pytest.FixtureRequest) -> AsyncIterator[ObjectStore]:
    """A store in a folder of the test's own."""
    folder: Path = request.getfixturevalue("tmp_path")
    store = await open_store(f"file://{folder / 'objects'}", SECRETS)
    yield store
    await store.close()


@asynccontextmanager
async def s3_store(request: pytest.FixtureRequest, **options: str) -> AsyncIterator[ObjectStore]:
    """A store under a prefix of the test's own, in the bucket of a real S3 server. `options` are of its address."""
    server: S3Server = request.getfixturevalue("s3_server")
    with pytest.MonkeyPatch.context() as environment:
        for name, value in server.variables.items():
            environment.setenv(name, value)
        store = await open_store(server.url(f"test {uuid4()}", **options), SECRETS)
    yield store
    await store.close()


STORES: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[ObjectStore]]] = {
    "local": local_store,
    "s3": s3_store,
}


def _each(names: Iterable[str]) -> list[ParameterSet]:
    """Stores as the parameters of a fixture; the S3 server is for its own lane."""
    return [pytest.param(name, marks=pytest.mark.s3 if name == "s3" else ()) for name in names]


EACH = _each(STORES)


@asynccontextmanager
async def served_local(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """A real hedgerow serves the forms and addresses of its local store."""
    async with (
        opened(request.getfixturevalue("storage_database_url")) as backends,
        httpx.AsyncClient(trust_env=False, verify=certificates()) as client,
    ):
        server = QuietServer(quiet_config(create_api(backends)))
        serving = asyncio.create_task(server.serve())
        await server.serving.wait()
        yield backends.storage, client, f"http://127.0.0.1:{server.port}"
        server.should_exit = True
        await serving


@asynccontextmanager
async def served_s3(request: pytest.FixtureRequest) -> AsyncIterator[Served]:
    """S3 serves its forms and addresses itself."""
    async with s3_store(request) as store, httpx.AsyncClient(trust_env=False, verify=certificates()) as client:
        yield store, client, PUBLIC_URL


SERVED: dict[str, Callable[[pytest.FixtureRequest], AbstractAsyncContextManager[Served]]] = {
    "local": served_local,
    "s3": served_s3,
}

EACH_SERVED = _each(SERVED)
