"""Readiness on a real database. What a worker would find is written into the scan's row."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from hedgerow.db import repository_scans
from hedgerow.db.repository_scans import RepositoryScan
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError
from hedgerow.domain.integrations import IntegrationKind
from hedgerow.domain.readiness import CapabilityState, Classification, InsightCount, InsightKind, Overall
from hedgerow.domain.repository_scans import Scan
from hedgerow.domain.tasks import OriginProduct
from hedgerow.integrations.github import GitHubApp, GitHubOptions
from hedgerow.operations import integrations, projects, readiness, repositories, tasks
from hedgerow.operations.readiness import DatedReadiness
from tests.operations.conftest import Desk, new_desk

NAME = "acme/web"
FOUND = Scan(
    files_scanned=7,
    detected_files=2,
    event_names=("bought", "signed up"),
    found_init=True,
    found_capture=True,
    found_error_signal=True,
)


@pytest.fixture
def quick(desk: Desk, fixed_clock: FixedClock) -> Desk:
    """A desk whose clock stands still, and which waits for no scan for long."""
    patient = desk.with_rules(readiness_wait_seconds=0.05)
    return replace(patient, backends=replace(patient.backends, clock=fixed_clock))


async def register(desk: Desk, name: str = NAME) -> None:
    await repositories.register(desk.backends, desk.caller, desk.project, name=name, clone_url="https://git.test/a/b")


async def ask(desk: Desk, name: str = NAME, window_days: int = 7, *, refresh: bool = False) -> DatedReadiness:
    return await readiness.repository_readiness(
        desk.backends, desk.caller, desk.project, repository=name, window_days=window_days, refresh=refresh
    )


async def the_scan(desk: Desk, name: str = NAME) -> RepositoryScan:
    async with desk.backends.database.statement() as tx:
        found = await (
            await tx.connection.execute(
                "SELECT id FROM repository_scans WHERE project_id = %s AND repository = %s", [desk.project.id, name]
            )
        ).fetchone()
        assert found is not None
        scan = await repository_scans.load(tx, found["id"])
    assert scan is not None
    return scan


async def finish(desk: Desk, scan: RepositoryScan, result: Scan | None = FOUND, problem: str | None = None) -> None:
    """What a worker does at the end of a scan."""
    async with desk.backends.database.statement() as tx:
        await repository_scans.finish(
            tx, scan, tried_at=desk.backends.clock.now(), commit="1" * 40 if result else None, result=result, problem=problem
        )
    desk.backends.hub.changed(scan.id)


async def scanned(desk: Desk, result: Scan = FOUND) -> None:
    """Have the repository registered and scanned."""
    await register(desk)
    await ask(desk)
    await finish(desk, await the_scan(desk), result)


async def jobs_of(desk: Desk, scan: RepositoryScan) -> int:
    async with desk.backends.database.statement() as tx:
        row = await (await tx.connection.execute("SELECT count(*) AS n FROM procrastinate_jobs WHERE lock = %s", [str(scan.id)])).fetchone()
    assert row is not None
    return int(row["n"])


async def report(desk: Desk, kind: InsightKind, name: str, days_ago: int = 0, count: int = 1) -> None:
    day = desk.backends.clock.now().date() - timedelta(days=days_ago)
    await readiness.report_count(desk.backends, desk.caller, desk.project, InsightCount(kind=kind, name=name, day=day, count=count))


async def test_a_repository_that_nobody_can_reach_has_no_integration(quick: Desk) -> None:
    answer = (await ask(quick)).readiness

    assert [answer.core_suggestions.state, answer.replay_insights.state, answer.error_insights.state] == [CapabilityState.NEEDS_SETUP] * 3
    assert (answer.overall, answer.classification, answer.scan) == (Overall.NEEDS_SETUP, Classification.UNKNOWN, None)
    await register(quick)
    assert (await ask(quick)).readiness.overall is Overall.UNKNOWN


async def test_until_the_first_scan_the_states_are_unknown_and_not_kept(quick: Desk) -> None:
    await register(quick)

    first = await ask(quick)

    assert (first.readiness.overall, first.readiness.scan, first.age_seconds) == (Overall.UNKNOWN, None, 0)
    scan = await the_scan(quick)
    assert (scan.pending, await jobs_of(quick, scan)) == (True, 1)
    await finish(quick, scan)
    assert (await ask(quick)).readiness.scan == FOUND


async def test_a_request_waits_for_the_scan_that_it_asked_for(desk: Desk) -> None:
    waiting = desk.with_rules(readiness_wait_seconds=30)
    await register(waiting)
    asking = asyncio.create_task(ask(waiting))
    async with until_wanted(waiting) as scan:
        await finish(waiting, scan)

    async with asyncio.timeout(10):
        answer = await asking

    assert (answer.readiness.scan, answer.readiness.core_suggestions.state) == (FOUND, CapabilityState.DETECTED)


@asynccontextmanager
async def until_wanted(desk: Desk) -> AsyncIterator[RepositoryScan]:
    """The scan, once it is asked for."""
    async with asyncio.timeout(10):
        while True:
            try:
                scan = await the_scan(desk)
            except AssertionError:
                continue
            break
    yield scan


async def test_two_requests_at_once_make_one_scan(quick: Desk) -> None:
    await register(quick)

    await asyncio.gather(*(ask(quick, refresh=bool(number % 2)) for number in range(8)))

    scan = await the_scan(quick)
    assert (scan.wanted, scan.done, await jobs_of(quick, scan)) == (1, 0, 1)


async def test_an_answer_is_given_again_for_ten_minutes_with_its_age(quick: Desk, fixed_clock: FixedClock) -> None:
    await scanned(quick)
    first = await ask(quick)
    await projects.update_project(quick.backends, quick.caller, quick.project, {"proactive_tasks": True})

    fixed_clock.advance(timedelta(seconds=599, milliseconds=900))
    again = await ask(quick)
    fixed_clock.advance(timedelta(seconds=1))
    later = await ask(quick)

    assert (first.age_seconds, again.age_seconds, again.readiness, again.generated_at) == (0, 599, first.readiness, first.generated_at)
    assert later.readiness.core_suggestions.state is CapabilityState.WAITING_FOR_DATA
    assert (await the_scan(quick)).wanted == 2


async def test_each_window_is_an_answer_of_its_own_on_the_same_scan(quick: Desk, fixed_clock: FixedClock) -> None:
    await scanned(quick)
    await ask(quick, window_days=7)
    fixed_clock.advance(timedelta(minutes=5))

    other = await ask(quick, window_days=30)

    assert (other.age_seconds, other.readiness.window_days, other.readiness.scan) == (0, 30, FOUND)
    assert (await ask(quick, window_days=7)).age_seconds == 300
    assert (await the_scan(quick)).wanted == 1


async def test_refresh_reckons_anew_and_scans_what_is_older_than_a_minute(quick: Desk, fixed_clock: FixedClock) -> None:
    await scanned(quick)
    await ask(quick)
    fixed_clock.advance(timedelta(seconds=59))
    await projects.update_project(quick.backends, quick.caller, quick.project, {"proactive_tasks": True})

    refreshed = await ask(quick, refresh=True)

    assert refreshed.readiness.core_suggestions.state is CapabilityState.WAITING_FOR_DATA
    assert (await the_scan(quick)).wanted == 1
    assert (await ask(quick)).readiness == refreshed.readiness
    fixed_clock.advance(timedelta(seconds=1))
    assert (await ask(quick, refresh=True)).readiness.scan == FOUND  # of the scan before: the new one takes its time
    assert (await the_scan(quick)).wanted == 2


async def test_a_repository_that_could_not_be_reached_is_tried_again_after_a_minute(quick: Desk, fixed_clock: FixedClock) -> None:
    await register(quick)
    await ask(quick)
    await finish(quick, await the_scan(quick), None, "The host could not be reached.")

    told = (await ask(quick)).readiness

    assert (told.overall, told.scan) == (Overall.UNKNOWN, None)
    assert "The host could not be reached." in told.core_suggestions.reason
    assert not (await the_scan(quick)).pending
    fixed_clock.advance(timedelta(seconds=60))
    await ask(quick)
    assert (await the_scan(quick)).pending


async def test_a_failed_scan_counts_as_an_empty_one_and_is_not_kept(quick: Desk) -> None:
    await register(quick)
    await ask(quick)
    await finish(quick, await the_scan(quick), Scan(), "It took too long.")

    answer = (await ask(quick)).readiness

    assert (answer.scan, answer.overall) == (Scan(), Overall.NEEDS_SETUP)
    async with quick.backends.database.statement() as tx:
        kept = await (
            await tx.connection.execute("SELECT 1 FROM repository_readiness WHERE project_id = %s", [quick.project.id])
        ).fetchone()
    assert kept is None


async def test_an_outcome_that_comes_late_does_not_undo_a_newer_one(quick: Desk, fixed_clock: FixedClock) -> None:
    await register(quick)
    await ask(quick)
    first = await the_scan(quick)
    await finish(quick, first, Scan())
    fixed_clock.advance(timedelta(hours=1))
    await ask(quick)
    await finish(quick, await the_scan(quick), FOUND)

    await finish(quick, first, Scan())

    assert ((await the_scan(quick)).result, (await the_scan(quick)).done) == (FOUND, 2)


async def test_an_integration_reaches_every_repository_once_it_has_a_token(quick: Desk) -> None:
    bare = await integrations.connect(quick.backends, quick.project.id, IntegrationKind.GITHUB, display_name="GitHub")
    without = await ask(quick)
    assert (without.readiness.overall, without.readiness.scan, without.age_seconds) == (Overall.UNKNOWN, None, 0)
    assert (await ask(quick)).readiness.core_suggestions.reason == without.readiness.core_suggestions.reason
    with pytest.raises(AssertionError):
        await the_scan(quick)  # none was asked for
    await integrations.disconnect(quick.backends, quick.project.id, bare.id)
    await integrations.connect(quick.backends, quick.project.id, IntegrationKind.GITHUB, display_name="GitHub", secret="ghs_1")

    await ask(quick)

    assert (await the_scan(quick)).pending
    assert (await ask(quick, "local/garden-1")).readiness.overall is Overall.NEEDS_SETUP


async def test_an_installation_of_the_operators_app_reaches_every_repository_without_a_token_of_its_own(quick: Desk) -> None:
    await integrations.connect(
        quick.backends, quick.project.id, IntegrationKind.GITHUB, display_name="GitHub", config={"installation_id": "42"}
    )
    without_app = await ask(quick, "acme/without-app")
    assert without_app.readiness.core_suggestions.reason.startswith("The project's GitHub integration has no token")
    with_app = quick.with_rules(github=GitHubOptions(app=GitHubApp(id="1", private_key="a key")))

    await ask(with_app)

    assert (await the_scan(with_app)).pending


async def test_a_slack_integration_reaches_no_repository(quick: Desk) -> None:
    await integrations.connect(quick.backends, quick.project.id, IntegrationKind.SLACK, display_name="Slack", secret="xoxb-1")
    assert (await ask(quick)).readiness.overall is Overall.NEEDS_SETUP


async def test_switches_and_counts_of_the_window_make_a_repository_ready(quick: Desk, fixed_clock: FixedClock) -> None:
    await scanned(quick)
    switches = {"proactive_tasks": True, "session_recording": True, "exception_capture": True}
    await projects.update_project(quick.backends, quick.caller, quick.project, switches)
    await report(quick, InsightKind.EVENT, "bought", days_ago=8, count=100)
    await report(quick, InsightKind.EVENT, "not of this code", count=100)
    await report(quick, InsightKind.ERROR_ISSUE, "issue 1", days_ago=9)
    await report(quick, InsightKind.ERROR_ISSUE, "issue 2", count=0)
    assert (await ask(quick)).readiness.overall is Overall.PARTIAL
    await report(quick, InsightKind.EVENT, "bought", days_ago=7, count=2)
    await report(quick, InsightKind.EVENT, "signed up", count=4)
    await report(quick, InsightKind.EVENT, "signed up", count=3)
    await report(quick, InsightKind.ERROR_ISSUE, "issue 2", days_ago=1, count=9)
    await report(quick, InsightKind.ERROR_ISSUE, "issue 2", days_ago=2, count=9)
    await quick.task(repository=NAME, origin_product=OriginProduct.SESSION_SUMMARIES)

    answer = (await ask(quick, refresh=True)).readiness

    assert answer.core_suggestions.evidence == {"matchedEventCount": 5, "eventNameCount": 2}
    assert answer.error_insights.evidence == {"recentErrorIssueCount": 1}
    assert (answer.evidence_task_count, answer.overall) == (1, Overall.READY)


async def test_only_tasks_out_of_sessions_of_this_repository_in_the_window_count(quick: Desk, fixed_clock: FixedClock) -> None:
    await scanned(quick)
    await quick.task(repository=NAME)
    await quick.task(repository="acme/other", origin_product=OriginProduct.SESSION_SUMMARIES)
    gone = await quick.task(repository=NAME, origin_product=OriginProduct.SESSION_SUMMARIES)
    await tasks.delete_task(quick.backends, quick.caller, quick.project, gone.id)
    assert (await ask(quick)).readiness.evidence_task_count == 0
    await quick.task(repository=NAME, origin_product=OriginProduct.SESSION_SUMMARIES)
    fixed_clock.advance(timedelta(days=3))

    assert (await ask(quick, window_days=2, refresh=True)).readiness.evidence_task_count == 0
    assert (await ask(quick, window_days=4, refresh=True)).readiness.evidence_task_count == 1


async def test_projects_share_neither_scans_nor_answers(quick: Desk) -> None:
    await scanned(quick)
    await ask(quick)
    other = await new_desk(quick.backends)
    await register(other)

    assert (await ask(other)).readiness.scan is None


@pytest.mark.parametrize("days", [-32, 2, 400])
async def test_a_day_that_no_window_holds_is_refused(quick: Desk, days: int) -> None:
    with pytest.raises(InvalidError) as refusal:
        await report(quick, InsightKind.EVENT, "x", days_ago=-days)
    assert refusal.value.attr == "day"


async def test_a_run_token_asks_and_reports_nothing(desk: Desk) -> None:
    agent = desk.agent(await desk.run())
    count = InsightCount(kind=InsightKind.EVENT, name="x", day=desk.backends.clock.now().date(), count=1)
    with pytest.raises(ForbiddenError):
        await readiness.repository_readiness(desk.backends, agent, desk.project, repository=NAME, window_days=7)
    with pytest.raises(ForbiddenError):
        await readiness.report_count(desk.backends, agent, desk.project, count)
    with pytest.raises(ForbiddenError):
        await projects.update_project(desk.backends, agent, desk.project, {"proactive_tasks": True})


async def test_switches_that_are_not_named_stay(desk: Desk) -> None:
    await projects.update_project(desk.backends, desk.caller, desk.project, {"session_recording": True})
    changed = await projects.update_project(desk.backends, desk.caller, desk.project, {"exception_capture": True})

    assert (changed.switches.proactive_tasks, changed.switches.session_recording, changed.switches.exception_capture) == (False, True, True)
    assert await projects.update_project(desk.backends, desk.caller, desk.project, {}) == changed
    with pytest.raises(NotFoundError):
        await projects.turn_switches(desk.backends, 2**30, {"proactive_tasks": True})
