"""Many at once on a real database: nothing that was accepted is lost, and each change is told once (contract 5.2, 13.4)."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from hedgerow.db import journal
from hedgerow.db import runs as rows
from hedgerow.domain.audit import ActorKind
from hedgerow.domain.journal import EventKind
from hedgerow.domain.runs import RunStatus, TaskRun
from hedgerow.operations import outputs, runs
from hedgerow.operations.pages import Paging
from hedgerow.operations.run_changes import change_run
from hedgerow.operations.run_updates import RunPatch, update_run
from tests.operations.conftest import Desk


async def patch(desk: Desk, run: TaskRun, **changes: Any) -> TaskRun:
    return await update_run(desk.backends, desk.caller, desk.project, run.task_id, run.id, RunPatch(**changes))


async def states(desk: Desk, run: TaskRun) -> Sequence[dict[str, Any]]:
    """The state events on the run's journal, in order."""
    async with desk.backends.database.statement() as tx:
        found = await tx.connection.execute(
            "SELECT text FROM journal WHERE run_id = %s AND kind = %s ORDER BY number", [run.id, EventKind.STATE]
        )
        return [json.loads(row["text"]) for row in await found.fetchall()]


async def test_writers_of_different_keys_never_lose_one(desk: Desk) -> None:
    run = await desk.run()
    writes = [patch(desk, run, state={f"s{n}": n}, output={f"o{n}": n}) for n in range(40)]
    writes += [patch(desk, run, stage=f"stage {n}") for n in range(10)]

    answers = await asyncio.gather(*writes)

    now = await desk.fresh(run)
    assert {key: now.state[key] for key in now.state if key.startswith("s") and key[1:].isdigit()} == {f"s{n}": n for n in range(40)}
    assert now.output == {f"o{n}": n for n in range(40)}
    stamps = sorted(answer.updated_at for answer in answers)
    milliseconds = [int(stamp.timestamp() * 1000) for stamp in stamps]
    assert len(set(milliseconds)) == len(milliseconds), "clients compare in milliseconds"
    told = await states(desk, run)
    assert len(told) == 1 + 50, "one event for the creation and one for each change"
    assert [event["updated_at"] for event in told] == sorted(event["updated_at"] for event in told)
    assert len({event["updated_at"] for event in told}) == len(told)


async def test_removing_and_setting_keys_at_once_leaves_the_others_alone(desk: Desk) -> None:
    run = await desk.run()
    await patch(desk, run, state={f"k{n}": n for n in range(20)})

    await asyncio.gather(
        *(patch(desk, run, state_remove_keys=(f"k{n}",)) for n in range(0, 20, 2)),
        *(patch(desk, run, state={f"k{n}": "new"}) for n in range(1, 20, 4)),
    )

    kept = {key: value for key, value in (await desk.fresh(run)).state.items() if key.startswith("k")}
    assert kept == {f"k{n}": "new" if n % 4 == 1 else n for n in range(1, 20, 2)}


async def test_a_patch_and_the_lifecycle_write_beside_each_other(desk: Desk) -> None:
    """What the lifecycle writes under the row's lock and what clients patch do not undo each other."""
    run = await desk.started_run()

    async def drive(n: int) -> None:
        async with desk.backends.database.transaction() as tx:
            fresh = await rows.load_for_update(tx, run.id)
            assert fresh is not None
            await change_run(desk.backends, tx, fresh, {"state": {**fresh.state, f"lifecycle{n}": n}}, ActorKind.SERVER)
            await rows.note(tx, run.id, {"base_commit": str(n) * 40})

    await asyncio.gather(
        *(drive(n) for n in range(10)),
        *(patch(desk, run, state={f"client{n}": n}) for n in range(10)),
        *(patch(desk, run, error_message=f"e{n}") for n in range(10)),
        *(outputs.set_output(desk.backends, desk.caller, desk.project, run.task_id, run.id, {"o": n}) for n in range(5)),
    )

    now = await desk.fresh(run)
    assert all(now.state[f"lifecycle{n}"] == n and now.state[f"client{n}"] == n for n in range(10))
    assert now.execution.base_commit is not None
    assert now.status is RunStatus.QUEUED
    assert len(await states(desk, run)) == 1 + 10 + 10 + 10 + 5


async def test_a_patch_writes_the_columns_that_it_names_and_no_others(desk: Desk) -> None:
    """What was read before another's write is not written back: the other column is changed behind the patch's back."""
    run = await desk.run()
    async with desk.backends.database.transaction() as tx:
        stale = await rows.load_for_update(tx, run.id)
        assert stale is not None
        await tx.connection.execute("UPDATE runs SET output = '{\"other\": true}', branch = 'other' WHERE id = %s", [run.id])
        await rows.change(tx, stale, {"stage": "build"}, desk.backends.clock.now())

    now = await desk.fresh(run)
    assert (now.stage, now.output, now.branch) == ("build", {"other": True}, "other")


async def test_a_terminal_status_is_reached_once_by_whoever_comes_first(desk: Desk) -> None:
    run = await desk.run()

    answers = await asyncio.gather(*(patch(desk, run, status=RunStatus.COMPLETED) for _ in range(10)))

    assert len({answer.completed_at for answer in answers}) == 1
    assert (await desk.fresh(run)).state["end_reason"] == "client"


async def test_tasks_made_at_once_are_numbered_without_gaps(desk: Desk) -> None:
    made = await asyncio.gather(*(desk.task(title=f"t{n}") for n in range(100)))

    assert sorted(task.task_number for task in made if task.task_number is not None) == list(range(100))


async def test_runs_made_at_once_are_numbered_without_gaps(desk: Desk) -> None:
    task = await desk.task()

    made = await asyncio.gather(*(desk.run(task) for _ in range(40)), *(desk.started_run(task) for _ in range(10)))

    assert sorted(run.number for run in made) == list(range(1, 51))
    page = await runs.list_runs(desk.backends, desk.caller, desk.project, task.id, Paging(limit=100, offset=0))
    assert page.count == 50


async def test_the_journal_of_a_run_that_many_write_has_no_gap(desk: Desk) -> None:
    run = await desk.run()
    await asyncio.gather(*(patch(desk, run, state={str(n): n}) for n in range(30)))

    async with desk.backends.database.statement() as tx:
        head = await journal.head(tx, run.id)
        found = await tx.connection.execute("SELECT number FROM journal WHERE run_id = %s ORDER BY number", [run.id])
        assert [row["number"] for row in await found.fetchall()] == list(range(1, head + 1))
