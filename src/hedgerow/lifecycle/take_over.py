"""The runs of a node that is lost go on elsewhere, or end truthfully."""

from uuid import UUID

import structlog

from hedgerow.db import executions, messages, nodes, runs
from hedgerow.db.database import DatabaseLostError, Transaction
from hedgerow.domain.journal import notification
from hedgerow.domain.messages import UNANSWERED
from hedgerow.domain.nodes import NodeBeat
from hedgerow.domain.permission_requests import SESSION_OVER
from hedgerow.domain.runs import TaskRun
from hedgerow.domain.takeovers import LOST_MESSAGE, Takeover, may_be_taken_over, takeover
from hedgerow.lifecycle.door import without_sandbox_url
from hedgerow.lifecycle.facts import change_in
from hedgerow.lifecycle.node import Node
from hedgerow.operations import inbox, run_changes
from hedgerow.operations.first_messages import ask_again

log = structlog.get_logger()

_MOST_AT_ONCE = 500  # the next look goes on


async def take_over(node: Node, lost: NodeBeat) -> int:
    """Let the runs of a lost node be claimed by whoever comes first; how many there were.

    Stops where that node reports after all, or this one has to report first. Safe to repeat, and for several nodes at once.
    """
    await node.backends.jobs.forget(lost.id)
    async with node.backends.database.transaction() as tx:
        found = await executions.takeable(tx, lost.id, _MOST_AT_ONCE)
    taken = 0
    for run_id in found:
        if node.lease.seconds_left < node.lease.seconds / 2:
            break  # this node must report for itself first
        try:
            async with node.backends.database.transaction() as tx:
                if not await nodes.hold_still(tx, lost):
                    log.warning("a node that was taken for lost is back", node_id=str(lost.id))
                    break
                taken += await _take_over_run(tx, node, lost, run_id)
        except DatabaseLostError:
            raise
        except Exception:
            log.exception("a run could not be taken over; tried again later", run_id=str(run_id))  # the others do not wait for it
    if taken:
        log.warning("took over the runs of a node that is lost", node_id=str(lost.id), runs=taken)
    return taken


async def _take_over_run(tx: Transaction, node: Node, lost: NodeBeat, run_id: UUID) -> bool:
    run = await runs.load_for_update(tx, run_id) if await executions.lock_at_once(tx, run_id) else None
    if run is None or run.execution.node_id != lost.id:
        return False
    if not may_be_taken_over(run):
        await inbox.give_up(node.backends, tx, run.id, UNANSWERED)
        return False
    in_flight = await messages.in_flight(tx, run.id)
    outcome = takeover(run, in_flight=in_flight is not None)
    now = node.backends.clock.now()
    if in_flight is not None and not run.execution.restarting:
        await inbox.finish(node.backends, tx, run.id, in_flight.id, LOST_MESSAGE)
    asked = in_flight or await messages.last_heard(tx, run.id)
    if outcome.asks_again and asked is not None:
        await ask_again(node.backends, tx, run, asked, now)
    await run_changes.void_requests(node.backends, tx, run.id, SESSION_OVER)
    await change_in(tx, node, run, without_sandbox_url)
    await _tell(tx, node, run, outcome)
    ending = {} if outcome.ending is None else {"ending": executions.stored_ending(outcome.ending)}
    await executions.record(tx, run, {**outcome.facts, **ending, "wake_at": now})
    await executions.raise_epoch(tx, run)
    run_changes.nudge(node.backends, tx, await runs.note(tx, run.id, {"wake_at": now}))
    return True


async def _tell(tx: Transaction, node: Node, run: TaskRun, outcome: Takeover) -> None:
    message = f"This run was taken over from a machine that is lost. {outcome.sentence}"
    entry = notification("_posthog/console", {"level": "warn", "message": message}, node.backends.clock.now())
    await run_changes.add_events(node.backends, tx, run.id, [run_changes.server_entry(entry)])
