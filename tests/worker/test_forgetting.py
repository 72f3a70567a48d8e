"""What a worker forgets by its age."""

from dataclasses import replace
from datetime import timedelta

import pytest

from hedgerow.db import relays
from hedgerow.domain.clock import FixedClock
from hedgerow.domain.relays import RelayStatus
from hedgerow.domain.runs import TaskRun
from hedgerow.integrations.memory import MemoryMessenger
from hedgerow.operations.relay_delivery import deliver_due
from hedgerow.operations.relays import relay_message
from hedgerow.worker.forgetting import forget
from tests.lifecycle.conftest import World

PERMALINK = "https://team.slack.com/archives/C0123456789/p1700000000000100"


async def after(world: World, days: float, run: TaskRun, *, kept_days: float) -> list[RelayStatus]:
    """What is known of a run's relays so many days later, once a worker has forgotten what is old."""
    backends = world.node.backends
    later = FixedClock(backends.clock.now() + timedelta(days=days))
    await forget(replace(world.node, backends=replace(backends, clock=later, rules=replace(backends.rules, slack_days=kept_days))))
    async with backends.database.statement() as tx:
        return [relay.status for relay in await relays.of_run(tx, run.id)]


@pytest.fixture
async def told(world: World) -> TaskRun:
    """A run one of whose messages was posted, while another one waits."""
    backends = replace(world.node.backends, messenger=MemoryMessenger())
    run = await world.patch(await world.run(), state={"slack_thread_url": PERMALINK})
    await relay_message(backends, world.caller, world.project, run.task_id, run.id, "posted")
    assert await deliver_due(backends) == 1
    await relay_message(backends, world.caller, world.project, run.task_id, run.id, "waiting")
    return run


async def test_what_was_posted_is_forgotten_after_its_days_and_what_waits_never(world: World, told: TaskRun) -> None:
    both, waiting = [RelayStatus.SENT, RelayStatus.QUEUED], [RelayStatus.QUEUED]
    assert await after(world, 29, told, kept_days=30) == both
    assert await after(world, 31, told, kept_days=0) == both
    assert await after(world, 31, told, kept_days=30) == waiting
