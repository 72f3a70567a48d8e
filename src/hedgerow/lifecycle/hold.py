"""A run that finds no room waits, and says why."""

import structlog

from hedgerow.db import runs
from hedgerow.db.database import Transaction
from hedgerow.domain.actions import Hold
from hedgerow.domain.audit import ActorKind
from hedgerow.domain.housekeeping import DISK_FULL, WAITING_KEY
from hedgerow.domain.journal import notification
from hedgerow.domain.progress import Progress, Step, StepStatus, progress_entry
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.facts import change_in, decide_again
from hedgerow.lifecycle.node import Node
from hedgerow.operations import run_changes

log = structlog.get_logger()


async def hold(node: Node, run: TaskRun, action: Hold) -> None:
    """Tell the run's readers once that it waits for room on a disk. Safe to repeat."""
    async with node.backends.database.transaction() as tx:
        if not isinstance(await decide_again(tx, node, run), Hold):
            return
        await change_in(tx, node, run, lambda fresh: {"state": {**fresh.state, WAITING_KEY: DISK_FULL}})
        now = node.backends.clock.now()
        told = (
            progress_entry(Progress(Step.SANDBOX, StepStatus.IN_PROGRESS, DISK_FULL), now),
            notification("_posthog/console", {"level": "warn", "message": DISK_FULL}, now),
        )
        entries = [run_changes.server_entry(entry) for entry in told]
        await run_changes.add_events(node.backends, tx, run.id, entries, run.execution.epoch)
    log.warning("a run waits, since this machine's disk is nearly full", run_id=str(run.id))


async def stop_waiting(tx: Transaction, node: Node, run: TaskRun) -> None:
    """The run is claimed in this transaction: what it waited for is not said any more. Safe to repeat."""
    if WAITING_KEY not in run.state:
        return
    fresh = await runs.load_for_update(tx, run.id)
    if fresh is not None and WAITING_KEY in fresh.state and fresh.execution.node_id in {None, node.id}:
        state = {key: value for key, value in fresh.state.items() if key != WAITING_KEY}
        await run_changes.change_run(node.backends, tx, fresh, {"state": state}, ActorKind.SERVER)
