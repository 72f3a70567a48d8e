"""The record of who did what."""

import json
from typing import Any
from uuid import UUID

import pytest
import structlog

from hedgerow.domain.access import RunCaller
from hedgerow.domain.artifacts import ArtifactType
from hedgerow.domain.audit import ActorKind, AuditAction, AuditEntry, AuditFilters
from hedgerow.domain.commands import Command, CommandMethod
from hedgerow.domain.errors import ForbiddenError, InvalidError, UnavailableError
from hedgerow.domain.runs import Environment, RunStatus
from hedgerow.operations import access, accounts, audit, commands, messages, projects, sandbox_environments, slack
from hedgerow.operations.artifacts import InlineArtifact, add_artifacts, store_artifacts
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.sandbox_environments import SandboxEnvironmentDraft
from hedgerow.operations.starts import StartRequest, resume_in_cloud, start_run
from hedgerow.operations.tasks import TaskDraft, create_task, delete_task, update_task
from tests.operations.conftest import Desk, new_desk

SECRET = "what nobody else may read"
MADE = ["project.create", "member.add"]  # what a desk begins with


async def recorded(desk: Desk, **filters: Any) -> list[AuditEntry]:
    """What was done in the desk's project, oldest first."""
    page = await audit.read_audit(desk.backends, desk.caller, desk.project, AuditFilters(**filters), Paging(limit=1000))
    assert page.count == len(page.items)
    return page.items[::-1]


async def actions(desk: Desk, **filters: Any) -> list[str]:
    return [entry.note.action.value for entry in await recorded(desk, **filters)]


async def test_the_life_of_a_task_and_its_runs_is_recorded(desk: Desk) -> None:
    task = await desk.task(title=SECRET, description=SECRET)
    await update_task(desk.backends, desk.caller, desk.project, task.id, TaskDraft(title=SECRET))
    run = await desk.run(task)
    await start_run(desk.backends, desk.caller, desk.project, task.id, run.id, StartRequest(pending_user_message=SECRET))
    agent = RunCaller(run_id=run.id, epoch=0)
    await update_run(desk.backends, agent, desk.project, task.id, run.id, RunPatch(status=RunStatus.IN_PROGRESS))
    await update_run(desk.backends, desk.caller, desk.project, task.id, run.id, RunPatch(environment=Environment.LOCAL))
    await update_run(desk.backends, desk.caller, desk.project, task.id, run.id, RunPatch(status=RunStatus.COMPLETED, output=SECRET))
    await resume_in_cloud(desk.backends, desk.caller, desk.project, task.id, run.id)
    await delete_task(desk.backends, desk.caller, desk.project, task.id)

    entries = await recorded(desk, task_id=task.id)
    told = [(entry.note.action.value, entry.note.actor.value, dict(entry.note.detail)) for entry in entries]
    assert told == [
        ("task.create", "user", {}),
        ("task.update", "user", {"fields": ["title", "title_manually_set"]}),
        ("run.create", "user", {"environment": "cloud"}),
        ("run.start", "user", {}),
        ("run.move", "run", {"from": "queued", "to": "in_progress"}),
        ("run.hand_over", "user", {}),
        ("run.move", "user", {"from": "in_progress", "to": "completed"}),
        ("run.move", "user", {"from": "completed", "to": "queued"}),
        ("run.resume", "user", {}),
        ("task.delete", "user", {}),
    ]
    assert {entry.note.key_id for entry in entries if entry.note.actor is ActorKind.USER} == {desk.caller.key_id}
    assert {entry.user.email for entry in entries if entry.user is not None} == {desk.email}
    assert [entry.note.acting_run_id for entry in entries if entry.note.actor is ActorKind.RUN] == [run.id]
    async with desk.backends.database.statement() as tx:
        rows = await (await tx.connection.execute("SELECT a::text AS everything FROM audit a")).fetchall()
    assert not any(SECRET in row["everything"] for row in rows)


async def test_what_changes_no_status_is_not_recorded_as_a_move(desk: Desk) -> None:
    run = await desk.started_run()
    before = await actions(desk)
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(stage="x", status=RunStatus.QUEUED))
    assert await actions(desk) == before == [*MADE, "task.create", "run.create", "run.start"]


async def test_an_effect_that_is_rolled_back_leaves_no_record(desk: Desk) -> None:
    class PowerCutError(Exception):
        pass

    async def begin() -> None:
        async with desk.backends.database.transaction() as tx:
            await audit.note(desk.backends, tx, desk.caller, AuditAction.TASK_CREATE, project_id=desk.project.id)
            raise PowerCutError

    with pytest.raises(PowerCutError):
        await begin()
    with pytest.raises(InvalidError):
        await create_task(desk.backends, desk.caller, desk.project, TaskDraft(repository="x"))
    assert await actions(desk) == MADE


async def test_keys_members_and_environments_are_recorded_without_their_secrets(desk: Desk) -> None:
    draft = SandboxEnvironmentDraft(name=SECRET, environment_variables={"TOKEN": SECRET})
    made = await sandbox_environments.create_sandbox_environment(desk.backends, desk.caller, desk.project, draft)
    await sandbox_environments.update_sandbox_environment(desk.backends, desk.caller, desk.project, made.id, draft)
    await sandbox_environments.delete_sandbox_environment(desk.backends, desk.caller, desk.project, made.id)
    key, value = await accounts.create_own_key(desk.backends, desk.caller, label=SECRET, scopes=["task:read"], project_ids=[])
    await accounts.revoke_own_key(desk.backends, desk.caller, key.id)
    other = await new_desk(desk.backends)
    await accounts.add_member(desk.backends, email=other.email, project_id=desk.project.id)
    await accounts.add_member(desk.backends, email=other.email, project_id=desk.project.id)
    await accounts.remove_member(desk.backends, email=other.email, project_id=desk.project.id)

    entries = await recorded(desk)
    assert [(entry.note.action.value, entry.note.subject) for entry in entries][2:] == [
        ("environment.create", str(made.id)),
        ("environment.update", str(made.id)),
        ("environment.delete", str(made.id)),
        ("member.add", str(other.caller.user.id)),
        ("member.remove", str(other.caller.user.id)),
    ]
    assert entries[3].note.detail == {"fields": ["name", "variables"]}
    assert entries[-1].note.actor is ActorKind.OPERATOR
    whole = (await audit.read_whole_audit(desk.backends, AuditFilters(), Paging(limit=1000))).items
    of_key = [entry.note for entry in whole if entry.note.subject == str(key.id)][::-1]
    assert [note.action.value for note in of_key] == ["key.create", "key.revoke"]
    assert of_key[0].detail == {"owner": desk.caller.user.id, "scopes": ["task:read"], "projects": None}
    assert not any(secret in json.dumps([str(entry) for entry in whole]) for secret in (SECRET, value))


async def test_a_command_is_recorded_before_it_is_sent_on(desk: Desk) -> None:
    desk = desk.with_rules(sandbox_url_allowlist=("http://127.0.0.1:*",))
    run = await desk.started_run()
    patch = RunPatch(state={"sandbox_url": "http://127.0.0.1:9"})
    await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, patch)
    params = {"requestId": "7", "optionId": "allow" * 30, "customInput": SECRET}
    with pytest.raises(UnavailableError):
        await commands.send_command(
            desk.backends,
            desk.caller,
            desk.project,
            run.task_id,
            run.id,
            Command(method=CommandMethod.PERMISSION_RESPONSE, params=params),
        )
    note = (await recorded(desk, run_id=run.id))[-1].note
    assert (note.action, note.detail["requestId"]) == (AuditAction.COMMAND_PERMISSION_RESPONSE, "7")
    assert len(note.detail["optionId"]) < 70
    assert set(note.detail) == {"requestId", "optionId"}


async def test_what_is_done_with_messages_is_recorded_without_their_words(desk: Desk) -> None:
    run = await desk.started_run()
    of = (desk.backends, desk.caller, desk.project, run.task_id, run.id)
    for _ in range(2):
        await commands.send_command(*of, Command(method=CommandMethod.USER_MESSAGE, params={"content": SECRET}))
    first, second, third = (await messages.list_messages(*of, Paging())).items
    await messages.move_message(*of, third.id, 1)
    await messages.promote_message(*of, second.id)
    await messages.demote_message(*of, second.id)
    await messages.delete_message(*of, first.id)

    notes = [entry.note for entry in await recorded(desk, run_id=run.id)][2:]
    assert [(note.action.value, note.subject, dict(note.detail)) for note in notes] == [
        ("command.user_message", str(second.id), {}),
        ("command.user_message", str(third.id), {}),
        ("message.move", str(third.id), {"position": 1}),
        ("message.promote", str(second.id), {"position": 1}),
        ("message.demote", str(second.id), {"position": 3}),
        ("message.delete", str(first.id), {}),
    ]
    assert {note.key_id for note in notes} == {desk.caller.key_id}


async def test_artifacts_are_recorded_by_their_ids_also_those_of_the_agent(desk: Desk) -> None:
    run = await desk.run()
    of = (desk.project, run.task_id, run.id)
    item = InlineArtifact(name=SECRET, type=ArtifactType.OUTPUT, source="", content=SECRET, is_base64=False, content_type="")
    [first] = await add_artifacts(desk.backends, desk.caller, *of, await store_artifacts(desk.backends, desk.caller, *of, [item]))
    _, second = await add_artifacts(desk.backends, desk.agent(run), *of, await store_artifacts(desk.backends, desk.agent(run), *of, [item]))

    notes = [entry.note for entry in await recorded(desk, run_id=run.id)][1:]
    assert [(note.action.value, note.actor.value, dict(note.detail)) for note in notes] == [
        ("artifact.upload", "user", {"count": 1, "artifacts": [first["id"]]}),
        ("artifact.upload", "run", {"count": 1, "artifacts": [second["id"]]}),
    ]


async def test_who_turns_something_on_or_maps_a_thread_is_recorded(desk: Desk) -> None:
    await projects.update_project(desk.backends, desk.caller, desk.project, {"session_recording": True})
    await projects.turn_switches(desk.backends, desk.project.id, {"session_recording": False})
    task = await desk.task()
    url = "https://team.slack.com/archives/C0123456789/p1700000000000100"
    await slack.map_thread(desk.backends, desk.caller, desk.project, task.id, url)
    await slack.unmap_thread(desk.backends, desk.caller, desk.project, task.id)
    await slack.map_thread_of_task(desk.backends, project_id=desk.project.id, task_id=task.id, url=url)

    notes = [entry.note for entry in await recorded(desk)][2:]
    assert [(note.action.value, note.actor.value, dict(note.detail)) for note in notes] == [
        ("project.update", "user", {"switches": {"session_recording": True}}),
        ("project.update", "operator", {"switches": {"session_recording": False}}),
        ("task.create", "user", {}),
        ("slack_thread.map", "user", {}),
        ("slack_thread.unmap", "user", {}),
        ("slack_thread.map", "operator", {}),
    ]


async def test_it_is_narrowed_by_everything_that_it_tells(desk: Desk) -> None:
    with structlog.contextvars.bound_contextvars(request_id="mine-7"):
        first = await desk.started_run()
    second = await desk.run()
    between = (await recorded(desk, task_id=first.task_id))[-1].note.at
    assert await actions(desk, run_id=second.id) == ["run.create"]
    assert await actions(desk, action=AuditAction.RUN_START) == ["run.start"]
    assert await actions(desk, actor=ActorKind.OPERATOR) == MADE
    assert await actions(desk, user_id=desk.caller.user.id + 1) == []
    assert await actions(desk, after=between) == ["task.create", "run.create"]
    assert {entry.note.request_id for entry in await recorded(desk, task_id=first.task_id)} == {"mine-7"}
    assert {entry.note.request_id for entry in await recorded(desk, run_id=second.id)} == {None}
    page = await audit.read_audit(desk.backends, desk.caller, desk.project, AuditFilters(), Paging(limit=1, offset=1))
    assert (page.count, page.items[0].note.action) == (7, AuditAction.TASK_CREATE)


async def test_only_a_key_that_may_everything_reads_it(desk: Desk) -> None:
    _, value = await accounts.create_key(desk.backends, email=desk.email, label="x", scopes=["task:write"])
    for caller in (await access.authenticate(desk.backends, value), RunCaller(run_id=UUID(int=1), epoch=0)):
        with pytest.raises(ForbiddenError):
            await audit.read_audit(desk.backends, caller, desk.project, AuditFilters(), Paging())
