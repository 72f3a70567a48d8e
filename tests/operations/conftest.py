"""Operations on a real database. One database and one event loop serve all tests of this room; each test has its own project."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import httpx
import pytest
import pytest_asyncio

from hedgerow.db.database import Database
from hedgerow.db.jobs import Jobs
from hedgerow.db.notify import Hub
from hedgerow.domain import run_tokens
from hedgerow.domain.access import PersonalCaller, Project, RunCaller
from hedgerow.domain.clock import SystemClock
from hedgerow.domain.runs import Environment, TaskRun, VisibleRun
from hedgerow.domain.tasks import Task
from hedgerow.operations import access, accounts, runs, tasks
from hedgerow.operations.backends import Backends, Rules
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.tasks import TaskDraft
from tests.conftest import fresh_database, temporary_store

SECRET = b"a secret of the tests, long enough for HMAC"

_people = count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the asynchronous tests of this room on the loop that the shared backends live on."""
    for item in items:
        if item.nodeid.startswith("tests/operations/") and item.get_closest_marker("asyncio"):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest.fixture(scope="session")
def operations_database_url(postgres_url: str, template_database: str) -> Iterator[str]:
    """The URL of the database that the tests of this room share."""
    yield from fresh_database(postgres_url, template_database)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def backends(operations_database_url: str) -> AsyncIterator[Backends]:
    """What operations need, on the real database."""
    database, jobs = Database(operations_database_url, pool_size=8), Jobs(operations_database_url)
    hub = Hub(database)
    await database.open()
    await jobs.open()
    await hub.start()
    rules = Rules(secrets=(SECRET,), public_url="http://hedgerow.test", command_timeout_seconds=5)
    async with httpx.AsyncClient(trust_env=False) as http, temporary_store(rules.secrets) as storage:
        yield Backends(database=database, hub=hub, jobs=jobs, clock=SystemClock(), rules=rules, storage=storage, http=http)
    await hub.stop()
    await jobs.close()
    await database.close()


@dataclass(frozen=True)
class Desk:
    """A person in a project of their own."""

    backends: Backends
    caller: PersonalCaller
    project: Project
    email: str

    def with_rules(self, **changes: Any) -> "Desk":
        """The same desk under other rules."""
        return replace(self, backends=replace(self.backends, rules=replace(self.backends.rules, **changes)))

    async def task(self, **fields: Any) -> Task:
        """A new task."""
        return await tasks.create_task(self.backends, self.caller, self.project, TaskDraft(**{"title": "Mend the fence", **fields}))

    async def run(self, task: Task | None = None, environment: Environment = Environment.CLOUD, **asked: Any) -> TaskRun:
        """A new run that nobody drives."""
        task = task or await self.task()
        return await runs.create_run(self.backends, self.caller, self.project, task.id, RunRequest(**asked), environment)

    async def started_run(self, task: Task | None = None, **asked: Any) -> TaskRun:
        """A new run that the server drives."""
        task = task or await self.task()
        started = await runs.run_task(self.backends, self.caller, self.project, task.id, RunRequest(**asked))
        assert started.latest_run is not None
        return await self.fresh(started.latest_run)

    async def fresh(self, run: VisibleRun) -> TaskRun:
        """The run as it is now."""
        return await runs.retrieve_run(self.backends, self.caller, self.project, run.task_id, run.id)

    def agent(self, run: TaskRun, epoch: int = 0) -> RunCaller:
        """The agent server of a run."""
        return RunCaller(run_id=run.id, epoch=epoch)

    def run_token(self, run: TaskRun, epoch: int = 0) -> str:
        """What the agent server of a run authenticates with."""
        return run_tokens.mint(SECRET, run.id, epoch)


@pytest_asyncio.fixture(loop_scope="session")
async def desk(backends: Backends) -> Desk:
    """A person in a new project."""
    return await new_desk(backends)


async def new_desk(backends: Backends) -> Desk:
    """A new person in a new project."""
    email = f"person{next(_people)}@example.test"
    await accounts.create_user(backends, email=email, name="Ada Lovelace")
    project = await accounts.create_project(backends, name="Hedge Row Works")
    await accounts.add_member(backends, email=email, project_id=project.id)
    _, value = await accounts.create_key(backends, email=email, label="tests", scopes=["*"])
    caller = await access.authenticate(backends, value)
    assert isinstance(caller, PersonalCaller)
    return Desk(backends, caller, project, email)
