from typing import Any
from uuid import uuid4

import pytest

from hedgerow.db import journal
from hedgerow.domain.errors import ForbiddenError, NotFoundError, RefusedError
from hedgerow.domain.journal import EventKind
from hedgerow.domain.runs import EndReason, Environment, RunStatus, TaskRun
from hedgerow.operations.output_schemas import check_output, misfit
from hedgerow.operations.outputs import set_output
from hedgerow.operations.run_updates import RunPatch, update_run
from hedgerow.operations.tasks import TaskDraft, update_task
from tests.operations.conftest import Desk

SCHEMA = {"type": "object", "properties": {"answer": {"type": "integer"}}, "required": ["answer"], "additionalProperties": False}


async def put(desk: Desk, run: TaskRun, output: Any) -> TaskRun:
    return await set_output(desk.backends, desk.caller, desk.project, run.task_id, run.id, output)


async def states(desk: Desk, run: TaskRun) -> int:
    """How many state events the run's journal has."""
    async with desk.backends.database.statement() as tx:
        return sum(event.kind is EventKind.STATE for event in await journal.read(tx, run.id, 0))


@pytest.mark.parametrize("output", [{"b": 2}, [1], "text", 0, False, {"\ud800": "\x00"}, 10**30])
async def test_an_output_replaces_the_one_before(desk: Desk, output: Any) -> None:
    run = await desk.started_run()
    await put(desk, run, {"a": 1})
    changed = await put(desk, run, output)
    assert changed.output == output
    assert changed.updated_at > run.updated_at
    assert await states(desk, run) == 3


async def test_without_a_schema_the_run_goes_on(desk: Desk) -> None:
    run = await put(desk, await desk.started_run(), {"a": 1})
    assert (run.execution.ending, run.status) == (None, RunStatus.QUEUED)


async def test_an_accepted_output_lets_a_driven_run_end(desk: Desk) -> None:
    run = await desk.started_run(await desk.task(json_schema=SCHEMA))
    changed = await put(desk, run, {"answer": 42})
    assert (changed.status, changed.completed_at) == (RunStatus.QUEUED, None)
    ending, wake_at = changed.execution.ending, changed.execution.wake_at
    assert ending is not None
    assert (ending.status, ending.reason) == (RunStatus.COMPLETED, EndReason.OUTPUT_ACCEPTED)
    assert wake_at is not None
    assert wake_at >= run.updated_at
    again = await put(desk, run, {"answer": 43})
    assert (again.output, again.execution.ending) == ({"answer": 43}, ending)


@pytest.mark.parametrize("output", [{}, {"answer": "x"}, {"answer": 1, "more": 2}, [], "\ud800"])
async def test_an_output_that_does_not_fit_is_refused_and_nothing_is_stored(desk: Desk, output: Any) -> None:
    run = await desk.started_run(await desk.task(json_schema=SCHEMA))
    with pytest.raises(RefusedError, match="does not fit the task's json_schema"):
        await put(desk, run, output)
    assert await desk.fresh(run) == run


async def test_a_run_that_nobody_drives_only_keeps_its_output(desk: Desk) -> None:
    task = await desk.task(json_schema=SCHEMA)
    created, local = await desk.run(task), await desk.run(task, environment=Environment.LOCAL)
    ended = await desk.started_run(task)
    await update_run(desk.backends, desk.caller, desk.project, task.id, ended.id, RunPatch(status=RunStatus.FAILED))
    for run in (created, local, ended):
        changed = await put(desk, run, {"answer": 1})
        assert (changed.output, changed.execution.ending) == ({"answer": 1}, None)
    assert changed.status is RunStatus.FAILED


async def test_a_schema_that_is_set_later_counts_too(desk: Desk) -> None:
    run = await desk.started_run()
    await update_task(desk.backends, desk.caller, desk.project, run.task_id, TaskDraft(json_schema={"type": "string"}))
    with pytest.raises(RefusedError, match="string"):
        await put(desk, run, 5)


async def test_the_agent_may_set_the_output_of_its_own_run_alone(desk: Desk) -> None:
    task = await desk.task(json_schema=SCHEMA)
    run, other = await desk.started_run(task), await desk.started_run(task)
    changed = await set_output(desk.backends, desk.agent(run), desk.project, task.id, run.id, {"answer": 1})
    assert changed.execution.ending is not None
    for agent, target in ((desk.agent(run), other), (desk.agent(other, epoch=7), other)):
        with pytest.raises(ForbiddenError):
            await set_output(desk.backends, agent, desk.project, task.id, target.id, {"answer": 1})
    assert await desk.fresh(other) == other


async def test_the_output_of_an_unknown_run_cannot_be_set(desk: Desk) -> None:
    with pytest.raises(NotFoundError):
        await set_output(desk.backends, desk.caller, desk.project, (await desk.task()).id, uuid4(), 1)


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"$ref": "file:///etc/passwd"},
        {"$schema": "file:///etc/passwd"},
        {"properties": {"a": {"$dynamicRef": "https://example.test/x"}}},
        {"type": 5},
        {"pattern": "("},
        {"\ud800": 1},
        "{}",
        7,
        [],
    ],
)
def test_a_schema_that_leads_elsewhere_or_is_none_accepts_nothing(schema: Any) -> None:
    assert (misfit(schema, {"a": 1}) or "").startswith("The task's json_schema")


def test_references_within_a_schema_are_followed() -> None:
    schema = {"$defs": {"list": {"items": {"$ref": "#/$defs/list"}, "maxItems": 1, "type": "array"}}, "$ref": "#/$defs/list"}
    assert misfit(schema, [[[]]]) is None
    assert "(at [0][0])" in (misfit(schema, [[5]]) or "")


def test_what_the_validator_says_is_kept_short() -> None:
    assert 1000 < len(misfit({"type": "integer"}, "x" * 100_000) or "") < 1200


async def test_deeply_nested_documents_are_checked() -> None:
    deep: Any = []
    for _ in range(190):
        deep = [deep]
    await check_output({"items": {"$ref": "#"}, "type": "array"}, deep)


async def test_a_schema_that_takes_too_long_is_given_up(desk: Desk) -> None:
    deep: Any = 5
    for _ in range(100):
        deep = [deep]
    branches = [{"type": "array", "items": {"$ref": "#"}}, {"type": "array", "items": {"$ref": "#"}, "minItems": 0}]
    with pytest.raises(RefusedError, match="too much time or memory"):
        await check_output({"anyOf": branches}, deep, timeout_seconds=1)
