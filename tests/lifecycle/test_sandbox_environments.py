"""What a run's sandbox environment does to its door and its agent, and what a hand-over to the client leaves."""

import asyncio
from dataclasses import replace
from typing import Any, cast

from hedgerow.agents.base import AgentLaunch, AgentRuntime, LaunchRequest
from hedgerow.db import messages
from hedgerow.domain.messages import HANDED_OVER, MessageStatus
from hedgerow.domain.runs import EndReason, Environment, RunStatus, TaskRun
from hedgerow.domain.sandbox_environments import NetworkAccess, SandboxEnvironment
from hedgerow.domain.sandboxes import NO_PUBLIC_HOSTS, HostPort, PublicHosts
from hedgerow.lifecycle import reconcile, reopen_door
from hedgerow.lifecycle.agent_choice import choose_agent
from hedgerow.lifecycle.agent_server import session_body
from hedgerow.operations import sandbox_environments
from hedgerow.operations.sandbox_environments import SandboxEnvironmentDraft
from tests.lifecycle.conftest import World
from tests.lifecycle.plugs import MemoryAgent, agents
from tests.lifecycle.test_ends import say, turn_over

SANDBOX = {"provider": "process", "id": "1"}


async def environment(world: World, **fields: Any) -> SandboxEnvironment:
    draft = SandboxEnvironmentDraft(**{"name": "Build", **fields})
    return await sandbox_environments.create_sandbox_environment(world.node.backends, world.caller, world.project, draft)


async def delete(world: World, environment: SandboxEnvironment) -> None:
    await sandbox_environments.delete_sandbox_environment(world.node.backends, world.caller, world.project, environment.id)


def walled(world: World, *, isolated: bool = True) -> World:
    """The world with sandboxes that have no network of their own, and an operator who allows one host."""
    world.sandboxes.isolated = isolated
    return world.with_node(egress=frozenset({HostPort("operator.test", 443)}))


async def test_a_door_opens_for_what_the_environment_allows_also_after_a_restart(world: World) -> None:
    world = walled(world)
    custom = await environment(world, network_access_level=NetworkAccess.CUSTOM, allowed_domains=("One.test", "*.two.test"))
    for wanted, public in (
        (custom, PublicHosts(domains=frozenset({"one.test", "*.two.test"}))),
        (await environment(world), PublicHosts(every=True)),
        (await environment(world, network_access_level=NetworkAccess.TRUSTED), None),
    ):
        run = await turn_over(world, await world.run(sandbox_environment_id=wanted.id), sandbox=SANDBOX)
        await reopen_door(world.node, run)
        assert world.gate.doors[run.id] == {HostPort("operator.test", 443), HostPort("models.test", 443)}
        assert world.gate.public[run.id] == (wanted.public_hosts if public is None else public)


async def test_a_run_without_an_environment_and_a_bare_process_reach_what_they_did(world: World) -> None:
    run = await turn_over(walled(world), await world.run(), sandbox=SANDBOX)
    await reopen_door(walled(world).node, run)
    assert world.gate.public[run.id] == NO_PUBLIC_HOSTS
    bare = walled(world, isolated=False)
    run = await turn_over(bare, await world.run(sandbox_environment_id=(await environment(world)).id), sandbox=SANDBOX)
    await reopen_door(bare.node, run)
    assert (world.gate.doors[run.id], world.gate.public[run.id]) == (frozenset(), NO_PUBLIC_HOSTS)


async def test_a_live_run_whose_environment_was_deleted_goes_on_with_the_operators_hosts(world: World) -> None:
    world = walled(world)
    wanted = await environment(world)
    run = await turn_over(world, await world.run(sandbox_environment_id=wanted.id), sandbox=SANDBOX)
    await delete(world, wanted)
    await reopen_door(world.node, run)
    assert world.gate.public[run.id] == NO_PUBLIC_HOSTS
    assert (await world.fresh(run)).execution.ending is None


async def test_a_run_whose_environment_is_gone_before_it_began_fails_with_a_clear_sentence(world: World) -> None:
    wanted = await environment(world)
    run = await world.run(sandbox_environment_id=wanted.id)
    await delete(world, wanted)
    world.repositories.let_go.set()
    await asyncio.wait_for(reconcile(world.node, run.id), 30)
    ended = await world.fresh(run)
    assert (ended.status, ended.state["end_reason"]) == (RunStatus.FAILED, EndReason.SANDBOX_FAILED)
    assert "sandbox environment does not exist any more" in (ended.error_message or "")
    assert world.sandboxes.alive == {}


class OperatorsAgent(MemoryAgent):
    """An agent whose names that begin with MODEL_ are the operator's alone."""

    def launch(self, runtime_tree: Any, request: LaunchRequest) -> AgentLaunch:
        return replace(super().launch(runtime_tree, request), reserved=("MODEL_",), environment={"MODEL_KEY": "operator's"})


async def test_the_agent_is_given_the_variables_but_none_that_hedgerow_or_the_operator_keeps(world: World) -> None:
    variables = {"TOKEN": "t", "hedgerow_x": "1", "HEDGEROW_RUN_ID": "2", "MODEL_URL": "https://evil.test", "MODEL_KEY": "mine"}
    wanted = await environment(world, environment_variables=variables)
    world = world.with_node(agents=cast("dict[str, AgentRuntime]", agents(OperatorsAgent("scripted"))))
    run = await turn_over(world, await world.run(sandbox_environment_id=wanted.id), sandbox=SANDBOX)
    agent = (await session_body(world.node, run, choose_agent(world.node, run)))["agent"]
    assert (agent["variables"], agent["environment"]) == ({"TOKEN": "t"}, {"MODEL_KEY": "operator's"})
    plain = await turn_over(world, await world.run(), sandbox=SANDBOX)
    assert (await session_body(world.node, plain, choose_agent(world.node, plain)))["agent"]["variables"] == {}


async def inbox(world: World, run: TaskRun) -> list[tuple[MessageStatus, str | None]]:
    async with world.node.backends.database.statement() as tx:
        return [(message.status, message.error) for message in await messages.of_run(tx, run.id)]


async def test_a_run_that_is_handed_over_loses_its_sandbox_and_its_inbox_and_keeps_its_status(world: World) -> None:
    run = await turn_over(world, await world.run(), sandbox=SANDBOX)
    world.sandboxes.alive["1"] = cast("Any", None)
    await world.node.gate.open(run.id, world.node.folders(run.id).sockets, frozenset(), None)
    await world.patch(run, status=RunStatus.IN_PROGRESS, state={"kept": 1})
    await say(world, run, "One thing more")
    handed = await world.patch(run, environment=Environment.LOCAL)
    assert (handed.status, handed.environment, handed.completed_at) == (RunStatus.IN_PROGRESS, Environment.LOCAL, None)
    assert await inbox(world, run) == [(MessageStatus.ACKNOWLEDGED, None), (MessageStatus.FAILED, HANDED_OVER)]
    await asyncio.wait_for(reconcile(world.node, run.id), 30)
    left = await world.fresh(run)
    assert (left.status, left.environment) == (RunStatus.IN_PROGRESS, Environment.LOCAL)
    assert (left.execution.sandbox, left.execution.cleaned_at is None, left.execution.landed_at) == (None, False, None)
    assert ("end_reason" in left.state, left.state["kept"]) == (False, 1)
    assert (world.sandboxes.alive, world.gate.doors) == ({}, {})


async def test_a_run_that_nobody_had_claimed_is_handed_over_with_nothing_left_waiting(world: World) -> None:
    run = await world.run()
    await world.patch(run, environment=Environment.LOCAL)
    assert await inbox(world, run) == [(MessageStatus.FAILED, HANDED_OVER)]
    await asyncio.wait_for(reconcile(world.node, run.id), 30)
    left = await world.fresh(run)
    assert (left.status, left.execution.node_id, left.execution.wake_at) == (RunStatus.QUEUED, None, None)
