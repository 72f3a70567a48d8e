"""set_output: the structured result of a run (contract 5.4)."""

from typing import Any
from uuid import UUID

from hedgerow.db import executions, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.access import Caller, Project, RunCaller
from hedgerow.domain.runs import Ending, EndReason, Environment, RunStatus, TaskRun
from hedgerow.operations import access, run_changes
from hedgerow.operations.backends import Backends
from hedgerow.operations.output_schemas import check_output
from hedgerow.operations.tasks import find_task

_ACCEPTED = Ending(status=RunStatus.COMPLETED, reason=EndReason.OUTPUT_ACCEPTED)


async def set_output(backends: Backends, caller: Caller, project: Project, task_id: UUID, run_id: UUID, output: Any) -> TaskRun:
    """Replace a run's output, which must fit the task's json_schema where there is one.

    An accepted output ends a run that the server drives, once its work has been collected; the answer still shows the status that
    the run has now. A run token may do this for its own run. Raises NotFoundError, ForbiddenError, and RefusedError, saying what
    does not fit; then nothing is stored.
    """
    access.check_own(caller, run_id)
    async with backends.database.transaction() as tx:
        await access.readable_run(tx, caller, project, task_id, run_id)
        task = await find_task(tx, project, task_id)
    if task.json_schema is not None:
        await check_output(task.json_schema, output)
    async with backends.database.transaction() as tx:
        run = await access.locked_run(tx, caller, project, task_id, run_id)
        if task.json_schema is not None and _is_driven(run) and not _is_late(run, caller):
            await _conclude(backends, tx, run)
        return await run_changes.change_run(backends, tx, run, {"output": output}, caller)


def _is_driven(run: TaskRun) -> bool:
    """Whether the server drives the run and has not decided yet how it ends."""
    execution = run.execution
    driven = execution.started_at is not None and run.environment is Environment.CLOUD
    return driven and execution.ending is None and not run.status.terminal


def _is_late(run: TaskRun, caller: Caller) -> bool:
    """Whether this comes from the agent of an earlier start, while the run is about to begin anew."""
    return run.execution.restarting and isinstance(caller, RunCaller)


async def _conclude(backends: Backends, tx: Transaction, run: TaskRun) -> None:
    """Write down that the run has what was wanted of it, and have its worker land it."""
    await runs.note(tx, run.id, {"ending": executions.stored_ending(_ACCEPTED), "wake_at": backends.clock.now()})
    run_changes.nudge(backends, tx, run)
