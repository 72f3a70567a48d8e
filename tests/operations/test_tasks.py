import asyncio
from dataclasses import fields
from typing import Any
from uuid import uuid4

import pytest

from hedgerow.db import runs as rows
from hedgerow.domain.errors import ForbiddenError, InvalidError, NotFoundError
from hedgerow.domain.runs import EndReason, RunStatus
from hedgerow.domain.tasks import OriginProduct, TaskFilters
from hedgerow.operations import runs, tasks
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.tasks import TaskDraft
from tests.operations.conftest import Desk, new_desk


async def found(desk: Desk, **filters: Any) -> list[str]:
    """The titles of the tasks that the filters let through, newest first."""
    page = await tasks.list_tasks(desk.backends, desk.caller, desk.project, TaskFilters(**filters), Paging())
    assert page.count == len(page.items)
    return [task.title for task in page.items]


async def test_a_new_task_has_the_defaults_of_the_contract(desk: Desk) -> None:
    task = await tasks.create_task(desk.backends, desk.caller, desk.project, TaskDraft(description="Fix it.\nSoon."))

    assert (task.task_number, task.slug, task.title, task.title_manually_set) == (0, "HRW-0", "Fix it.", False)
    assert (task.origin_product, task.repository, task.latest_run) == (OriginProduct.USER_CREATED, None, None)
    assert task.created_by == desk.caller.user


async def test_a_task_without_any_words_has_an_empty_title(desk: Desk) -> None:
    task = await tasks.create_task(desk.backends, desk.caller, desk.project, TaskDraft())

    assert (task.title, task.description, task.title_manually_set) == ("", "", False)


async def test_tasks_that_are_made_at_once_are_numbered_without_gaps(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.task() for _ in range(12)))

    assert sorted(task.task_number for task in made) == list(range(12))


async def test_what_a_client_sends_is_kept(desk: Desk) -> None:
    schema = {"type": "object", "properties": {"\x00\ud800": {}}}

    task = await desk.task(repository=" Org/Repo ", json_schema=schema, internal=True, ci_prompt="go", title="a\x00b\ud800")

    assert (task.repository, task.json_schema, task.internal, task.ci_prompt) == ("org/repo", schema, True, "go")
    assert task.title == "a\ufffdb\ufffd"


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("repository", "norepo", "invalid_input"),
        ("repository", "a/b/c", "invalid_input"),
        ("github_integration", 7, "does_not_exist"),
        ("github_user_integration", uuid4(), "does_not_exist"),
        ("signal_report", uuid4(), "does_not_exist"),
        ("signal_report_task_relationship", "implementation", "invalid_input"),
    ],
)
async def test_a_wrong_field_is_named(desk: Desk, field: str, value: Any, code: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        await desk.task(**{field: value})

    assert (refusal.value.attr, refusal.value.detail_code) == (field, code)


async def test_a_title_that_is_set_counts_as_set_by_hand(desk: Desk) -> None:
    task = await desk.task(title="", description="Words")

    changed = await tasks.update_task(desk.backends, desk.caller, desk.project, task.id, TaskDraft(title="New"))

    assert (changed.title, changed.title_manually_set, changed.description) == ("New", True, "Words")
    assert (changed.updated_at - task.updated_at).total_seconds() >= 0.001


async def test_a_deleted_task_is_gone_with_its_runs(desk: Desk) -> None:
    run = await desk.run()
    await tasks.delete_task(desk.backends, desk.caller, desk.project, run.task_id)

    for call in (
        tasks.retrieve_task(desk.backends, desk.caller, desk.project, run.task_id),
        tasks.delete_task(desk.backends, desk.caller, desk.project, run.task_id),
        tasks.update_task(desk.backends, desk.caller, desk.project, run.task_id, TaskDraft()),
        runs.retrieve_run(desk.backends, desk.caller, desk.project, run.task_id, run.id),
        runs.list_runs(desk.backends, desk.caller, desk.project, run.task_id, Paging()),
        update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch()),
    ):
        with pytest.raises(NotFoundError):
            await call
    assert await found(desk) == []


async def test_a_task_of_another_project_is_not_found(desk: Desk) -> None:
    other = await new_desk(desk.backends)
    task = await other.task()

    with pytest.raises(NotFoundError):
        await tasks.retrieve_task(desk.backends, desk.caller, desk.project, task.id)


async def test_tasks_are_listed_newest_first_in_pages(desk: Desk) -> None:
    for title in ("one", "two", "three"):
        await desk.task(title=title)

    page = await tasks.list_tasks(desk.backends, desk.caller, desk.project, TaskFilters(), Paging(limit=2, offset=1))
    beyond = await tasks.list_tasks(desk.backends, desk.caller, desk.project, TaskFilters(), Paging(offset=2**80))

    assert (page.count, [task.title for task in page.items]) == (3, ["two", "one"])
    assert (beyond.count, beyond.items) == (3, [])


async def test_filters_narrow_by_repository_origin_and_creator(desk: Desk) -> None:
    await desk.task(title="a", repository="acme/web", origin_product=OriginProduct.SLACK)
    await desk.task(title="b", repository="acme/api")
    await desk.task(title="c", repository="acmeother/web")
    await desk.task(title="hidden", internal=True)

    assert await found(desk) == ["c", "b", "a"]
    assert await found(desk, internal=True) == ["hidden"]
    assert await found(desk, organization=" ACME ") == ["b", "a"]
    assert await found(desk, repository="Acme/Web") == ["a"]
    assert await found(desk, repository="web") == ["c", "a"]
    assert await found(desk, origin_product="slack") == ["a"]
    assert await found(desk, created_by=desk.caller.user.id) == ["c", "b", "a"]
    assert await found(desk, created_by=2**40) == []
    assert await found(desk, repository="web\x00") == []


async def test_the_search_looks_at_words_and_numbers(desk: Desk) -> None:
    await desk.task(title="Alpha 100%", description="x")
    await desk.task(title="Beta", description="about alpha")
    await desk.task(title="Gamma", description="x_y")

    assert await found(desk, search=" ALPHA ") == ["Beta", "Alpha 100%"]
    assert await found(desk, search="2") == ["Gamma"]
    assert await found(desk, search="HRW-1") == ["Beta"]
    assert await found(desk, search="0%") == ["Alpha 100%"]
    assert await found(desk, search="_") == ["Gamma"]
    assert await found(desk, search="  ") == ["Gamma", "Beta", "Alpha 100%"]


async def test_status_is_that_of_the_latest_run_and_stage_that_of_any(desk: Desk) -> None:
    without, task = await desk.task(title="without"), await desk.task(title="with")
    first = await desk.run(task)
    second = await desk.run(task)
    for run, patch in ((first, RunPatch(status=RunStatus.FAILED, stage="plan")), (second, RunPatch(stage="build"))):
        await update_run(desk.backends, desk.caller, desk.project, task.id, run.id, patch)

    assert await found(desk, status=RunStatus.QUEUED) == ["with"]
    assert await found(desk, status=RunStatus.FAILED) == []
    assert await found(desk, stage="plan", status=RunStatus.QUEUED) == ["with"]
    assert await found(desk, stage="research") == []
    latest, expected = (await tasks.retrieve_task(desk.backends, desk.caller, desk.project, task.id)).latest_run, await desk.fresh(second)
    assert latest is not None
    assert all(getattr(latest, field.name) == getattr(expected, field.name) for field in fields(latest))
    assert without.latest_run is None


async def test_a_run_token_reads_its_own_task_and_nothing_else(desk: Desk) -> None:
    run, other = await desk.run(), await desk.run()
    agent = desk.agent(run)

    assert (await tasks.retrieve_task(desk.backends, agent, desk.project, run.task_id)).id == run.task_id
    with pytest.raises(NotFoundError):
        await tasks.retrieve_task(desk.backends, agent, desk.project, other.task_id)
    for call in (
        tasks.list_tasks(desk.backends, agent, desk.project, TaskFilters(), Paging()),
        tasks.create_task(desk.backends, agent, desk.project, TaskDraft()),
        tasks.delete_task(desk.backends, agent, desk.project, run.task_id),
        runs.list_runs(desk.backends, agent, desk.project, run.task_id, Paging()),
    ):
        with pytest.raises(ForbiddenError):
            await call
    with pytest.raises(ForbiddenError):
        await tasks.retrieve_task(desk.backends, desk.agent(run, epoch=7), desk.project, run.task_id)


async def test_a_deleted_task_leaves_no_run_under_way(desk: Desk) -> None:
    task = await desk.task()
    ended, live, own = await desk.started_run(task), await desk.started_run(task), await desk.run(task)
    await update_run(desk.backends, desk.caller, desk.project, task.id, ended.id, RunPatch(status=RunStatus.COMPLETED))
    await tasks.delete_task(desk.backends, desk.caller, desk.project, task.id)
    async with desk.backends.database.statement() as tx:
        loaded = [await rows.load(tx, run.id) for run in (ended, live, own)]
    endings = [None if row is None or row.execution.ending is None else row.execution.ending.reason for row in loaded]
    assert endings == [None, EndReason.CANCELLED, None]
