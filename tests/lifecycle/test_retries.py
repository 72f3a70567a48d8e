"""Preparing a run is tried again where it failed for a reason that may pass, and only then."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from hedgerow.domain.end_reasons import EXPLANATIONS
from hedgerow.domain.errors import HedgerowError, PassingError, TimedOutError, UnavailableError
from hedgerow.domain.runs import EndReason, RunStatus, SandboxHandle
from hedgerow.domain.sandboxes import SandboxSpec, SandboxState
from hedgerow.lifecycle import reconcile
from hedgerow.repositories import Checkout, Repositories
from hedgerow.sandboxes.base import SandboxProvider
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemoryAgent, MemoryRepositories, MemorySandboxes, agents
from tests.lifecycle.test_reconcile import assert_nothing_left, progress, steps


@dataclass
class FailingRepositories(MemoryRepositories):
    """Repositories whose check-out fails so many times before it works."""

    failures: int = 0
    tries: int = 0

    async def check_out(self, **wishes: Any) -> Checkout:
        self.tries += 1
        if self.tries <= self.failures:
            raise PassingError("git.test does not answer.")
        return await super().check_out(**wishes)


@dataclass
class FailingSandboxes(MemorySandboxes):
    """Machines that cannot be made, and those whose command is killed."""

    failure: HedgerowError | None = None
    how: SandboxState = field(default_factory=lambda: SandboxState(alive=False, exit_code=0))

    async def create(self, spec: SandboxSpec) -> SandboxHandle:
        if self.failure is not None:
            self.made += 1
            raise self.failure
        return await super().create(spec)

    async def wait(self, handle: SandboxHandle) -> SandboxState:
        return self.how


def with_attempts(world: World, attempts: int, pause: timedelta = timedelta(0), **changes: Any) -> World:
    deadlines = replace(world.node.deadlines, prepare_attempts=attempts, first_pause=pause)
    return world.with_node(deadlines=deadlines, **changes)


async def test_a_clone_that_fails_in_passing_is_tried_again_and_its_readers_see_each_attempt(world: World) -> None:
    failing = FailingRepositories(root=world.repositories.root, failures=2)
    failing.let_go.set()
    world = with_attempts(world, 3, repositories=cast("Repositories", failing))
    run = await world.run()
    await reconcile(world.node, run.id)
    assert failing.tries == 3
    assert [status for step, status in await steps(world, run) if step == "checkout"] == ["in_progress", "failed"] * 2 + [
        "in_progress",
        "completed",
    ]
    details = [each.get("detail") for each in await progress(world, run) if each["step"] == "checkout" and each["status"] == "failed"]
    assert details == [f"git.test does not answer. Trying again in 0 s ({number} of 3)." for number in (2, 3)]
    assert (await world.fresh(run)).execution.checked_out_at is not None


async def test_after_the_last_attempt_the_run_ends_with_the_sentence_of_the_failure(world: World) -> None:
    world.repositories.problem = TimedOutError("git.test was too slow.")
    world.repositories.let_go.set()
    world = with_attempts(world, 2)
    run = await world.run()
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert (ended.error_message, ended.state["end_reason"]) == ("git.test was too slow.", "start_failed")
    assert [status for step, status in await steps(world, run) if step == "checkout"].count("failed") == 2
    await assert_nothing_left(world, run)


async def test_what_will_not_pass_ends_the_run_at_once(world: World) -> None:
    world.repositories.problem = UnavailableError("The repository was not found.")
    world.repositories.let_go.set()
    world = with_attempts(world, 3)
    run = await world.run()
    await reconcile(world.node, run.id)
    assert (await world.fresh(run)).status is RunStatus.FAILED
    assert [status for step, status in await steps(world, run) if step == "checkout"].count("failed") == 1


async def test_a_pause_is_kept_over_a_restart_and_ends_at_once_with_a_cancel(world: World) -> None:
    world.repositories.problem = PassingError("git.test does not answer.")
    world.repositories.let_go.set()
    world = with_attempts(world, 3, timedelta(hours=1))
    run = await world.run()
    for _ in range(2):
        await reconcile(world.node, run.id)
    waits = (await world.fresh(run)).execution
    assert (waits.prepare_attempts, waits.ending) == (1, None)
    assert waits.retry_at is not None
    assert waits.retry_at > world.node.backends.clock.now() + timedelta(minutes=50)
    await world.patch(run, status=RunStatus.CANCELLED)
    await reconcile(world.node, run.id)
    await assert_nothing_left(world, run)


async def test_a_sandbox_that_cannot_be_made_just_now_is_tried_again(world: World) -> None:
    sandboxes = FailingSandboxes(failure=PassingError("No memory."))
    world = with_attempts(world, 3, sandboxes=cast("dict[str, SandboxProvider]", {**world.node.sandboxes, "process": sandboxes}))
    run = await world.run()
    await reconcile(world.node, run.id)
    assert sandboxes.made == 3
    ended = await world.fresh(run)
    assert (ended.error_message, ended.state["end_reason"]) == ("No memory.", "sandbox_failed")


async def test_a_sandbox_that_is_killed_while_its_agent_starts_gives_way_to_another(world: World) -> None:
    sandboxes = FailingSandboxes(how=SandboxState(alive=False, signal=9))
    world.repositories.let_go.set()
    world = with_attempts(world, 2, sandboxes=cast("dict[str, SandboxProvider]", {**world.node.sandboxes, "process": sandboxes}))
    run = await world.run()
    await reconcile(world.node, run.id)
    assert sandboxes.made == 2
    assert sandboxes.alive == {}
    assert "killed (signal 9), as the system does when memory runs out" in ((await world.fresh(run)).error_message or "")


@pytest.mark.parametrize("fault", ["clone", "unforeseen", "sandbox", "death", "key", "agent"])
async def test_whatever_goes_wrong_the_run_ends_with_a_reason_that_is_explained(world: World, fault: str) -> None:
    sandboxes = FailingSandboxes(failure=UnavailableError("No bwrap.") if fault == "sandbox" else None)
    world = world.with_node(
        sandboxes=cast("dict[str, SandboxProvider]", {**world.node.sandboxes, "process": sandboxes}), sandbox_choice="process"
    )
    world.repositories.let_go.set()
    if fault in {"clone", "unforeseen"}:
        world.repositories.problem = UnavailableError("No.") if fault == "clone" else RuntimeError("no")  # type: ignore[assignment]
    if fault in {"key", "agent"}:
        known = [MemoryAgent("claude", problem="No key.")] if fault == "key" else []
        world = world.with_node(agents=agents(MemoryAgent("scripted"), *known))
    asked = {"runtime_adapter": "claude", "model": "default"} if fault in {"key", "agent"} else {}
    run = await world.run(**asked)
    await reconcile(world.node, run.id)
    ended = await world.fresh(run)
    assert ended.status is RunStatus.FAILED
    assert ended.error_message
    explanation = EXPLANATIONS[EndReason(ended.state["end_reason"])]
    assert explanation.title
    assert explanation.remedy
