"""A node on a real database, whose outside world lies in memory."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from hedgerow.client.certificates import certificates
from hedgerow.db import nodes
from hedgerow.db.database import Database
from hedgerow.db.jobs import Jobs
from hedgerow.db.notify import Hub
from hedgerow.domain.access import PersonalCaller, Project
from hedgerow.domain.clock import SystemClock
from hedgerow.domain.runs import RunMode, TaskRun
from hedgerow.lifecycle import Node
from hedgerow.operations import access, accounts, connection_tokens, repositories, runs, signing, tasks
from hedgerow.operations.backends import Backends, Rules
from hedgerow.operations.run_requests import RunRequest
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.starts import resume_in_cloud
from hedgerow.operations.tasks import TaskDraft
from tests.conftest import temporary_store
from tests.lifecycle.plugs import WORKER_URL, MemoryGate, MemoryRepositories, MemorySandboxes, memory_node


@dataclass(frozen=True)
class World:
    """A node, the plugs it acts on, and the person who asks for runs."""

    node: Node
    gate: MemoryGate
    sandboxes: MemorySandboxes
    repositories: MemoryRepositories
    caller: PersonalCaller
    project: Project

    def with_node(self, **changes: Any) -> "World":
        """The same world with another node."""
        return replace(self, node=replace(self.node, **changes))

    async def run(self, **asked: Any) -> TaskRun:
        """A new run in a repository, started."""
        backends = self.node.backends
        await repositories.register(backends, self.caller, self.project, name="org/project", clone_url="https://git.test/org/project")
        task = await tasks.create_task(backends, self.caller, self.project, TaskDraft(description="Mend it", repository="org/project"))
        started = await runs.run_task(backends, self.caller, self.project, task.id, RunRequest(mode=RunMode.BACKGROUND, **asked))
        assert started.latest_run is not None
        return await runs.retrieve_run(backends, self.caller, self.project, task.id, started.latest_run.id)

    async def patch(self, run: TaskRun, **changes: Any) -> TaskRun:
        """What a person changes."""
        return await update_run(self.node.backends, self.caller, self.project, run.task_id, run.id, RunPatch(**changes))

    async def resume(self, run: TaskRun) -> TaskRun:
        """The run once a person has asked for it to go on."""
        return await resume_in_cloud(self.node.backends, self.caller, self.project, run.task_id, run.id)

    async def fresh(self, run: TaskRun) -> TaskRun:
        """The run as it is now."""
        return await runs.retrieve_run(self.node.backends, self.caller, self.project, run.task_id, run.id)


@pytest.fixture(scope="session")
def token_key() -> rsa.RSAPrivateKey:
    """What every world signs connection tokens with: each would make one of its own, which takes a tenth of a second."""
    return signing.new_key()


@pytest.fixture
async def backends(database_url: str, token_key: rsa.RSAPrivateKey) -> AsyncIterator[Backends]:
    database, jobs = Database(database_url, pool_size=5), Jobs(database_url)
    hub = Hub(database)
    await database.open()
    await jobs.open()
    await hub.start()
    rules = Rules(secrets=(b"a secret of the tests, long enough for HMAC",), public_url="http://hedgerow.test")
    async with httpx.AsyncClient(trust_env=False, verify=certificates()) as http, temporary_store(rules.secrets) as storage:
        made = Backends(database=database, hub=hub, jobs=jobs, clock=SystemClock(), rules=rules, storage=storage, http=http)
        made.keys.private[connection_tokens._KEY_NAME] = token_key
        yield made
    await hub.stop()
    await jobs.close()
    await database.close()


@pytest.fixture
async def world(backends: Backends, tmp_path: Path) -> World:
    await accounts.create_user(backends, email="ada@example.test", name="Ada Lovelace")
    project = await accounts.create_project(backends, name="Hedge")
    await accounts.add_member(backends, email="ada@example.test", project_id=project.id)
    _, value = await accounts.create_key(backends, email="ada@example.test", label="tests", scopes=["*"])
    caller = await access.authenticate(backends, value)
    assert isinstance(caller, PersonalCaller)
    gate, sandboxes, remembered = MemoryGate(), MemorySandboxes(), MemoryRepositories(root=tmp_path / "mirrors")
    both = {"process": sandboxes, "bubblewrap": MemorySandboxes("bubblewrap", problem="No bwrap.")}
    node = memory_node(backends, tmp_path, both, choice="auto", gate=gate, repositories=remembered)
    async with backends.database.transaction() as tx:
        await nodes.report(tx, node.id, WORKER_URL, 30.0)
    return World(node, gate, sandboxes, remembered, caller, project)
