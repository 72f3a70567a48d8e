"""Bounds on how often a project is called."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hedgerow.domain.clock import FixedClock
from hedgerow.domain.errors import LimitExceededError
from hedgerow.operations import throttles
from tests.operations.conftest import Desk, new_desk


def bounded(desk: Desk, clock: FixedClock, **windows: int) -> Desk:
    """The desk under bounds: `per_60=3` are three calls a minute."""
    limited = desk.with_rules(most_calls={int(name.removeprefix("per_")): most for name, most in windows.items()})
    return replace(limited, backends=replace(limited.backends, clock=clock))


async def call(desk: Desk) -> None:
    await throttles.count_call(desk.backends, desk.caller, desk.project)


async def test_calls_beyond_the_bound_are_refused_until_the_window_is_over(desk: Desk, fixed_clock: FixedClock) -> None:
    limited = bounded(desk, fixed_clock, per_60=3, per_3600=0)
    fixed_clock.advance(timedelta(seconds=20))
    for _ in range(3):
        await call(limited)

    with pytest.raises(LimitExceededError) as refused:
        await call(limited)
    assert refused.value.retry_after_seconds == 40

    fixed_clock.advance(timedelta(seconds=40))
    await call(limited)


async def test_the_longer_window_holds_when_the_shorter_is_over(desk: Desk, fixed_clock: FixedClock) -> None:
    limited = bounded(desk, fixed_clock, per_60=2, per_3600=3)
    await call(limited)
    await call(limited)
    fixed_clock.advance(timedelta(minutes=1))
    await call(limited)

    with pytest.raises(LimitExceededError) as refused:
        await call(limited)
    assert refused.value.retry_after_seconds == 59 * 60


async def test_projects_are_counted_apart_and_agents_not_at_all(desk: Desk, fixed_clock: FixedClock) -> None:
    limited, other = bounded(desk, fixed_clock, per_60=1), bounded(await new_desk(desk.backends), fixed_clock, per_60=1)
    run = await desk.run()
    await call(limited)
    await call(other)
    for _ in range(3):
        await throttles.count_call(limited.backends, desk.agent(run), desk.project)


async def test_without_bounds_nothing_is_counted(desk: Desk) -> None:
    for _ in range(3):
        await call(desk)
    async with desk.backends.database.transaction() as tx:
        counted = await (await tx.connection.execute("SELECT 1 FROM call_counts WHERE project_id = %s", [desk.project.id])).fetchone()
    assert counted is None
