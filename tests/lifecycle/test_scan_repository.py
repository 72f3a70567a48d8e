"""Scans as a worker makes them: real repositories, a real database."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest

from hedgerow.db import repository_scans
from hedgerow.db.database import Database
from hedgerow.db.repository_scans import RepositoryScan
from hedgerow.domain.ids import uuid7
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.readiness import CapabilityState, Overall
from hedgerow.domain.repository_scans import Scan
from hedgerow.integrations.github import GitHubOptions
from hedgerow.lifecycle import scan_repository
from hedgerow.operations import integrations, readiness, repositories
from hedgerow.operations.readiness import DatedReadiness
from hedgerow.repositories import Repositories, ScanLimits
from hedgerow.worker.forgetting import forget
from hedgerow.worker.sweep import sweep
from tests.lifecycle.conftest import World
from tests.repositories.workbench import commit, make_repository, serve

NAME = "acme/garden"


@pytest.fixture
async def scanning(world: World, tmp_path: Path) -> World:
    """A node with real repositories, in whose project one is registered."""
    make_repository(tmp_path / "origin")
    commit(tmp_path / "origin", {"src/app.tsx": "posthog.init('k'); posthog.capture('planted')"})
    real = Repositories(tmp_path / "real-mirrors", allow_local=True)
    rules = replace(world.node.backends.rules, allow_local_repositories=True, git_base_url=f"file://{tmp_path}", readiness_wait_seconds=20)
    node = replace(world.node, repositories=real, backends=replace(world.node.backends, rules=rules))
    await register(replace(world, node=node), "https://git.test/acme/garden")
    await point_at(node.backends.database, tmp_path / "origin")
    return replace(world, node=node)


async def register(world: World, clone_url: str) -> None:
    await repositories.register(world.node.backends, world.caller, world.project, name=NAME, clone_url=clone_url)


async def point_at(database: Database, origin: Path) -> None:
    """Let the registered name stand for a folder, which people may only register under another kind of name."""
    async with database.statement() as tx:
        await tx.connection.execute("UPDATE repositories SET clone_url = %s", [str(origin)])


async def wanted(world: World) -> RepositoryScan:
    """A scan that is asked for anew."""
    now = world.node.backends.clock.now()
    async with world.node.backends.database.statement() as tx:
        return await repository_scans.request(tx, uuid7(), world.project.id, NAME, now=now, older_than=now, failed_before=now)


async def loaded(world: World, scan_id: UUID) -> RepositoryScan:
    async with world.node.backends.database.statement() as tx:
        scan = await repository_scans.load(tx, scan_id)
    assert scan is not None
    return scan


@asynccontextmanager
async def working(world: World) -> AsyncIterator[None]:
    """A worker of scans while it is needed."""
    stop = asyncio.Event()

    async def scan(scan_id: UUID) -> None:
        await scan_repository(world.node, scan_id)

    scans = asyncio.create_task(world.node.backends.jobs.work_on_scans(scan, concurrency=2, stop=stop))
    yield
    stop.set()
    async with asyncio.timeout(20):
        await scans


async def ask(world: World, *, refresh: bool = False) -> DatedReadiness:
    return await readiness.repository_readiness(
        world.node.backends, world.caller, world.project, repository=NAME, window_days=7, refresh=refresh
    )


async def test_who_asks_gets_what_a_worker_has_found(scanning: World) -> None:
    async with working(scanning):
        answers = await asyncio.gather(*(ask(scanning) for _ in range(5)))

    for answer in answers:
        assert answer.readiness.scan is not None
        assert (answer.readiness.scan.files_scanned, answer.readiness.scan.event_names) == (2, ("planted",))
        assert answer.readiness.core_suggestions.state is CapabilityState.DETECTED


async def test_a_scan_is_written_down_with_its_commit_and_done_once(scanning: World, tmp_path: Path) -> None:
    newest = commit(tmp_path / "origin", {"b.py": "capture_exception(e)"})
    scan = await wanted(scanning)

    await scan_repository(scanning.node, scan.id)
    done = await loaded(scanning, scan.id)
    await scan_repository(scanning.node, scan.id)

    assert (done.commit, done.pending, done.problem) == (newest, False, None)
    assert done.result is not None
    assert done.result.found_error_signal
    assert await loaded(scanning, scan.id) == done
    await scan_repository(scanning.node, uuid7())  # of a scan that nobody knows


async def test_a_repository_that_is_not_there_is_told_and_leaves_no_result(scanning: World, tmp_path: Path) -> None:
    await point_at(scanning.node.backends.database, tmp_path / "nowhere")
    async with working(scanning):
        answer = (await ask(scanning)).readiness

    assert (answer.overall, answer.scan) == (Overall.UNKNOWN, None)
    assert "nowhere" in answer.core_suggestions.reason


async def test_a_private_repository_on_github_is_scanned_with_the_projects_own_token(scanning: World, tmp_path: Path) -> None:
    with serve(tmp_path) as host:
        host.credentials = ("x-access-token", "ghs_the_projects_own")
        rules = replace(scanning.node.backends.rules, github=GitHubOptions(url=host.url))
        on_github = scanning.with_node(backends=replace(scanning.node.backends, rules=rules))
        async with on_github.node.backends.database.statement() as tx:
            await tx.connection.execute("UPDATE repositories SET clone_url = %s", [f"{host.url}/origin"])
        scan = await wanted(on_github)
        await scan_repository(on_github.node, scan.id)
        without = await loaded(on_github, scan.id)
        assert without.result is None
        assert "credentials" in (without.problem or "")
        await integrations.connect(
            on_github.node.backends, on_github.project.id, IntegrationKind.GITHUB, display_name="acme", secret="ghs_the_projects_own"
        )
        await wanted(on_github)

        await scan_repository(on_github.node, scan.id)

        done = await loaded(on_github, scan.id)
    assert (done.problem, done.result and done.result.event_names) == (None, ("planted",))


async def test_what_was_found_stays_where_the_origin_is_gone(scanning: World, tmp_path: Path) -> None:
    scan = await wanted(scanning)
    await scan_repository(scanning.node, scan.id)
    before = await loaded(scanning, scan.id)
    (tmp_path / "origin").rename(tmp_path / "elsewhere")
    await wanted(scanning)

    await scan_repository(scanning.node, scan.id)

    after = await loaded(scanning, scan.id)
    assert (after.result, after.commit, after.pending) == (before.result, before.commit, False)
    assert after.problem is not None


async def test_a_scan_that_fails_on_a_mirror_counts_as_an_empty_one(scanning: World) -> None:
    scan = await wanted(scanning)

    await scan_repository(replace(scanning.node, scan_limits=ScanLimits(seconds=0.000_1)), scan.id)

    failed = await loaded(scanning, scan.id)
    assert (failed.result, failed.pending) == (Scan(), False)
    assert failed.problem is not None


async def test_a_scan_that_is_cut_off_stays_wanted(scanning: World) -> None:
    scan = await wanted(scanning)
    cut = asyncio.create_task(scan_repository(scanning.node, scan.id))
    await asyncio.sleep(0)
    cut.cancel()
    await asyncio.wait([cut])

    assert (await loaded(scanning, scan.id)).pending
    await scan_repository(scanning.node, scan.id)
    assert (await loaded(scanning, scan.id)).result is not None


async def test_a_scan_whose_announcement_was_lost_is_announced_again(scanning: World) -> None:
    scan = await wanted(scanning)
    async with scanning.node.backends.database.statement() as tx:
        await tx.connection.execute("UPDATE repository_scans SET requested_at = requested_at - interval '1 minute'")

    await sweep(scanning.node, 500)
    await sweep(scanning.node, 500)

    async with scanning.node.backends.database.statement() as tx:
        jobs = await (await tx.connection.execute("SELECT args FROM procrastinate_jobs")).fetchall()
    assert [job["args"] for job in jobs] == [{"scan_id": str(scan.id)}]


async def test_answers_and_counts_that_nobody_gets_any_more_are_forgotten(scanning: World) -> None:
    async with working(scanning):
        await ask(scanning)
    async with scanning.node.backends.database.transaction() as tx:
        await tx.connection.execute("INSERT INTO insight_counts VALUES (%s, 'event', 'x', current_date - 40, 1)", [scanning.project.id])
        await tx.connection.execute("INSERT INTO insight_counts VALUES (%s, 'event', 'x', current_date - 30, 1)", [scanning.project.id])
    await forget(scanning.node)
    assert await kept(scanning) == (1, 1)
    async with scanning.node.backends.database.statement() as tx:
        await tx.connection.execute("UPDATE repository_readiness SET generated_at = generated_at - interval '11 minutes'")

    await forget(scanning.node)

    assert await kept(scanning) == (0, 1)


async def kept(world: World) -> tuple[int, int]:
    """How many answers and how many counts there are."""
    statement = "SELECT (SELECT count(*) FROM repository_readiness) AS answers, (SELECT count(*) FROM insight_counts) AS counts"
    async with world.node.backends.database.statement() as tx:
        row = await (await tx.connection.execute(statement)).fetchone()
    assert row is not None
    return row["answers"], row["counts"]
