"""A served API on a real database. One database and one event loop serve all tests of this room; each test has its own project."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.types import ASGIApp

from hedgerow.api import create_api
from hedgerow.client.certificates import certificates
from hedgerow.db.database import Database
from hedgerow.db.jobs import Jobs
from hedgerow.db.notify import Hub
from hedgerow.domain.access import Project
from hedgerow.domain.clock import SystemClock
from hedgerow.operations import accounts
from hedgerow.operations.backends import Backends, Rules
from tests.api.artifact_desk import Desk
from tests.conftest import fresh_database, temporary_store

PUBLIC_URL = "http://hedgerow.test"
MISSING = "01890000-0000-7000-8000-000000000000"

_people = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the asynchronous tests of this room on the loop that the shared backends live on."""
    for item in items:
        if item.nodeid.startswith("tests/api/") and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@dataclass(frozen=True)
class Served:
    """The API and a client that calls it as one person, with a key of scope `*`."""

    backends: Backends
    client: httpx.AsyncClient
    project: Project
    email: str
    key: str

    @property
    def tasks(self) -> str:
        return f"/api/projects/{self.project.id}/tasks/"

    async def key_with(self, *scopes: str, projects: list[int] | None = None) -> dict[str, str]:
        """The header of a new key."""
        _, value = await accounts.create_key(self.backends, email=self.email, label="test", scopes=scopes, project_ids=projects)
        return {"Authorization": f"Bearer {value}"}

    async def a_task(self, **fields: Any) -> dict[str, Any]:
        """A new task, as the API shows it."""
        response = await self.client.post(self.tasks, json={"title": "Mend the fence", **fields})
        assert response.status_code == 201, response.text
        return dict(response.json())

    async def a_run(self, **fields: Any) -> tuple[str, dict[str, Any]]:
        """The URL of a new run of a new task, and the run as the API shows it."""
        task = await self.a_task()
        runs = f"{self.tasks}{task['id']}/runs/"
        response = await self.client.post(runs, json={"environment": "cloud", **fields})
        assert response.status_code == 201, response.text
        return f"{runs}{response.json()['id']}/", dict(response.json())

    async def a_started_run(self, **fields: Any) -> tuple[str, dict[str, Any]]:
        """The URL of a run that the server was asked to drive, and the run. No worker does: it stays queued."""
        task = await self.a_task(description="Mend it")
        response = await self.client.post(f"{self.tasks}{task['id']}/run/", json=fields)
        assert response.status_code == 200, response.text
        run = response.json()["latest_run"]
        return f"{self.tasks}{task['id']}/runs/{run['id']}/", dict(run)


def rules(**changes: Any) -> Rules:
    """Rules for tests: quick timeouts, nothing outside allowed."""
    usual = Rules(secrets=(b"a secret of the tests, long enough for HMAC",), public_url=PUBLIC_URL, command_timeout_seconds=5.0)
    return replace(usual, **changes)


@pytest.fixture(scope="session")
def api_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of the database that the tests of this room share."""
    yield from fresh_database(postgres_url, template_database)


@asynccontextmanager
async def opened(url: str, **changes: Any) -> AsyncIterator[Backends]:
    """The operations' world on a database."""
    database = Database(url)
    await database.open()
    hub, jobs = Hub(database), Jobs(url)
    await jobs.open()
    await hub.start()
    decided = rules(**changes)
    async with httpx.AsyncClient(verify=certificates()) as http, temporary_store(decided.secrets) as storage:
        yield Backends(database=database, hub=hub, jobs=jobs, clock=SystemClock(), rules=decided, storage=storage, http=http)
    await hub.stop()
    await jobs.close()
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backends(api_database_url: str) -> AsyncIterator[Backends]:
    """The backends that the tests of this room share."""
    async with opened(api_database_url) as shared:
        yield shared


async def populate(backends: Backends) -> tuple[Project, str, str]:
    """A person, a project of theirs, and the value of a key with scope `*`: (project, email, key)."""
    email = f"ada{next(_people)}@example.com"
    project = await accounts.create_project(backends, name="Home Garden Works")
    await accounts.create_user(backends, email=email, name="Ada Gardener")
    await accounts.add_member(backends, email=email, project_id=project.id)
    _, value = await accounts.create_key(backends, email=email, label="all", scopes=["*"])
    return project, email, value


@pytest.fixture(scope="session")
def api(backends: Backends) -> ASGIApp:
    """The application."""
    return create_api(backends)


@pytest_asyncio.fixture(loop_scope="session")
async def served(backends: Backends, api: ASGIApp) -> AsyncIterator[Served]:
    """The API, called in this process, with a project of the test's own."""
    async with somebody(backends, api) as served:
        yield served


@asynccontextmanager
async def somebody(backends: Backends, api: ASGIApp) -> AsyncIterator[Served]:
    """The API, called in this process by a new person with a project of their own."""
    project, email, value = await populate(backends)
    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    headers = {"Authorization": f"Bearer {value}"}
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL, headers=headers) as client:
        yield Served(backends, client, project, email, value)


@pytest.fixture
async def desk(served: Served) -> Desk:
    """The artifacts of a new run."""
    url, _ = await served.a_run()
    return Desk(served, url)
