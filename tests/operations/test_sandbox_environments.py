"""Sandbox environments: who sees them, what is kept, and which one a run gets."""

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError, RefusedError, UnavailableError
from hedgerow.domain.runs import Environment
from hedgerow.domain.sandbox_environments import NetworkAccess, SandboxEnvironment
from hedgerow.operations import access, accounts
from hedgerow.operations import sandbox_environments as operations
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.sandbox_environments import SandboxEnvironmentDraft
from tests.operations.conftest import Desk, new_desk

VALUE = "a very secret value"


async def made(desk: Desk, **fields: Any) -> SandboxEnvironment:
    draft = SandboxEnvironmentDraft(**{"name": "Build", **fields})
    return await operations.create_sandbox_environment(desk.backends, desk.caller, desk.project, draft)


async def colleague_of(desk: Desk) -> Desk:
    """Another member of the same project."""
    other = await new_desk(desk.backends)
    await accounts.add_member(desk.backends, email=other.email, project_id=desk.project.id)
    return replace(other, project=desk.project)


async def listed(desk: Desk) -> list[UUID]:
    found = await operations.list_sandbox_environments(desk.backends, desk.caller, desk.project, Paging())
    assert found.count == len(found.items)
    return [environment.id for environment in found.items]


async def test_one_without_wishes_is_private_and_fully_open(desk: Desk) -> None:
    environment = await made(desk)
    assert (environment.private, environment.internal, environment.network_access_level) == (True, False, NetworkAccess.FULL)
    assert environment.created_by == desk.caller.user
    assert operations.variables_of(desk.backends, environment) == {}


async def test_variables_lie_encrypted_and_are_bound_to_their_environment(desk: Desk) -> None:
    environment = await made(desk, environment_variables={"TOKEN": VALUE})
    other = await made(desk, environment_variables={"TOKEN": "other"})
    async with desk.backends.database.statement() as tx:
        rows = await (await tx.connection.execute("SELECT e::text AS everything FROM sandbox_environments e")).fetchall()
    assert all(VALUE not in row["everything"] and VALUE.encode().hex() not in row["everything"] for row in rows)
    assert VALUE not in repr(environment)
    assert operations.variables_of(desk.backends, environment) == {"TOKEN": VALUE}
    with pytest.raises(UnavailableError):
        operations.variables_of(desk.backends, replace(environment, sealed_variables=other.sealed_variables))


async def test_a_change_writes_what_it_names_and_replaces_the_variables_as_a_whole(desk: Desk) -> None:
    environment = await made(desk, environment_variables={"A": "1", "B": "2"}, repositories=("org/a",))

    async def change(**fields: Any) -> SandboxEnvironment:
        draft = SandboxEnvironmentDraft(**fields)
        return await operations.update_sandbox_environment(desk.backends, desk.caller, desk.project, environment.id, draft)

    renamed = await change(name="Test")
    assert (renamed.name, renamed.repositories, renamed.sealed_variables) == ("Test", ("org/a",), environment.sealed_variables)
    assert renamed.updated_at > environment.updated_at
    assert operations.variables_of(desk.backends, await change(environment_variables={"C": "3"})) == {"C": "3"}
    assert (await change(environment_variables={})).sealed_variables is None


async def test_a_private_one_is_seen_by_its_creator_alone_and_a_public_one_is_everybodys(desk: Desk) -> None:
    other = await colleague_of(desk)
    private, public = await made(desk), await made(desk, private=False)
    assert await listed(desk) == [public.id, private.id]
    assert await listed(other) == [public.id]
    for asking in (
        operations.retrieve_sandbox_environment(other.backends, other.caller, other.project, private.id),
        operations.update_sandbox_environment(other.backends, other.caller, other.project, private.id, SandboxEnvironmentDraft()),
        operations.delete_sandbox_environment(other.backends, other.caller, other.project, private.id),
    ):
        with pytest.raises(NotFoundError):
            await asking
    draft = SandboxEnvironmentDraft(name="Ours")
    assert (await operations.update_sandbox_environment(other.backends, other.caller, other.project, public.id, draft)).name == "Ours"
    await operations.delete_sandbox_environment(other.backends, other.caller, other.project, public.id)
    with pytest.raises(NotFoundError):
        await operations.retrieve_sandbox_environment(desk.backends, desk.caller, desk.project, public.id)


async def test_an_internal_one_is_in_no_list_and_found_by_its_id(desk: Desk) -> None:
    environment = await made(desk)
    async with desk.backends.database.statement() as tx:
        await tx.connection.execute("UPDATE sandbox_environments SET internal = true WHERE id = %s", [environment.id])
    assert await listed(desk) == []
    found = await operations.retrieve_sandbox_environment(desk.backends, desk.caller, desk.project, environment.id)
    assert found.internal


async def test_another_projects_is_never_there_and_agents_have_none(desk: Desk) -> None:
    environment = await made(desk, private=False)
    stranger = await new_desk(desk.backends)
    with pytest.raises(NotFoundError):
        await operations.retrieve_sandbox_environment(stranger.backends, stranger.caller, stranger.project, environment.id)
    with pytest.raises(ForbiddenError):
        await operations.retrieve_sandbox_environment(desk.backends, desk.agent(await desk.run()), desk.project, environment.id)


async def test_what_cannot_be_is_refused_by_its_field(desk: Desk) -> None:
    for fields, attr in (
        ({"allowed_domains": ("a.test", "https://b.test")}, "allowed_domains__1"),
        ({"environment_variables": {"A-B": VALUE}}, "environment_variables"),
        ({"environment_variables": {"A": VALUE + "\0"}}, "environment_variables"),
    ):
        with pytest.raises(InvalidError) as refusal:
            await made(desk, **fields)
        assert refusal.value.attr == attr
        assert VALUE not in refusal.value.message
    assert await listed(desk) == []


@pytest.mark.parametrize("environment", list(Environment))
async def test_a_run_keeps_the_environment_that_was_asked_for(desk: Desk, environment: Environment) -> None:
    wanted = await made(desk)
    run = await desk.run(environment=environment, sandbox_environment_id=wanted.id)
    assert run.state["sandbox_environment_id"] == str(wanted.id)
    assert await operations.of_run(desk.backends, run) == wanted
    assert "sandbox_environment_id" not in (await desk.run()).state
    assert await operations.of_run(desk.backends, await desk.run()) is None


async def test_one_that_the_task_may_not_use_is_refused_where_it_is_asked_for(desk: Desk) -> None:
    other, stranger = await colleague_of(desk), await new_desk(desk.backends)
    task = await desk.task()
    for wrong in (uuid4(), (await made(other)).id, (await made(stranger, private=False)).id):
        with pytest.raises(RefusedError, match=str(wrong)) as refusal:
            await desk.run(task, sandbox_environment_id=wrong)
        assert refusal.value.family == "detail"
    assert (await desk.run(task, sandbox_environment_id=(await made(other, private=False)).id)).state["sandbox_environment_id"]


async def test_the_tasks_creator_counts_and_not_who_starts_the_run(desk: Desk) -> None:
    other = await colleague_of(desk)
    task, private = await desk.task(), await made(desk)
    assert (await other.run(task, sandbox_environment_id=private.id)).state["sandbox_environment_id"] == str(private.id)
    with pytest.raises(RefusedError):
        await other.run(task, sandbox_environment_id=(await made(other)).id)


async def test_a_resumed_run_inherits_it_unless_it_asks_for_another(desk: Desk) -> None:
    task, first, second = await desk.task(), await made(desk), await made(desk)
    run = await desk.started_run(task, sandbox_environment_id=first.id)
    assert (await desk.started_run(task, resume_from_run_id=run.id)).state["sandbox_environment_id"] == str(first.id)
    asked = await desk.started_run(task, resume_from_run_id=run.id, sandbox_environment_id=second.id)
    assert asked.state["sandbox_environment_id"] == str(second.id)


async def test_what_is_merely_inherited_and_gone_is_dropped_without_a_word(desk: Desk) -> None:
    task, environment = await desk.task(), await made(desk)
    run = await desk.started_run(task, sandbox_environment_id=environment.id)
    await operations.delete_sandbox_environment(desk.backends, desk.caller, desk.project, environment.id)
    assert "sandbox_environment_id" not in (await desk.started_run(task, resume_from_run_id=run.id)).state
    with pytest.raises(NotFoundError, match="does not exist any more"):
        await operations.of_run(desk.backends, run)
    for odd in (7, "x", None):
        patch = RunPatch(state={"sandbox_environment_id": odd})
        await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, patch)
        assert "sandbox_environment_id" not in (await desk.started_run(task, resume_from_run_id=run.id)).state


async def test_an_agent_does_not_choose_what_it_reaches(desk: Desk) -> None:
    narrow, wide = await made(desk, network_access_level=NetworkAccess.TRUSTED), await made(desk)
    run = await desk.started_run(sandbox_environment_id=narrow.id)
    caller = await access.authenticate(desk.backends, desk.run_token(run))
    for patch in (
        RunPatch(state={"sandbox_environment_id": str(wide.id), "x": 1}),
        RunPatch(state_remove_keys=("sandbox_environment_id",)),
    ):
        changed = await update_run(desk.backends, caller, desk.project, run.task_id, run.id, patch)
        assert (changed.state["sandbox_environment_id"], changed.state["x"]) == (str(narrow.id), 1)
