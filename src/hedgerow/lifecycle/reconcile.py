"""Load, decide, act, record, and again, until the run needs nobody for a while."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from hedgerow.db import executions
from hedgerow.db.database import Transaction
from hedgerow.domain.actions import (
    Action,
    BeginAgain,
    Checkpoint,
    Claim,
    CleanUp,
    Conclude,
    Deliver,
    End,
    ExpireRequests,
    GiveAnswer,
    HandOver,
    Hold,
    Land,
    LeaveQueue,
    Nothing,
    Prepare,
    StartSession,
    StopSandbox,
    StopTurn,
    Wait,
)
from hedgerow.domain.inbox import Inbox
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.begin_again import begin_again
from hedgerow.lifecycle.checkpoint import checkpoint
from hedgerow.lifecycle.clean_up import clean_up
from hedgerow.lifecycle.deliver import deliver
from hedgerow.lifecycle.ends import conclude, end, fail
from hedgerow.lifecycle.hold import hold
from hedgerow.lifecycle.land import land
from hedgerow.lifecycle.node import Node
from hedgerow.lifecycle.permission_requests import expire_requests, give_answer
from hedgerow.lifecycle.prepare import prepare
from hedgerow.lifecycle.queue import claim, leave_queue
from hedgerow.lifecycle.start_session import start_session
from hedgerow.lifecycle.stop_sandbox import stop_sandbox
from hedgerow.lifecycle.stop_turn import stop_turn
from hedgerow.operations import queue

log = structlog.get_logger()

_MOST_STEPS = 100  # a run that needs more in one go is looked at again later, so that it cannot keep a worker for itself

_NET_SECONDS = 1.0  # a change whose announcement was lost is seen after this time

Act = Callable[[Node, TaskRun, Any], Awaitable[None]]


_ACTIONS: dict[type[Action], Act] = {
    Claim: claim,
    Hold: hold,
    LeaveQueue: leave_queue,
    Prepare: prepare,
    StartSession: start_session,
    Deliver: deliver,
    GiveAnswer: give_answer,
    ExpireRequests: expire_requests,
    Checkpoint: checkpoint,
    StopTurn: stop_turn,
    Conclude: conclude,
    StopSandbox: stop_sandbox,
    Land: land,
    End: end,
    CleanUp: clean_up,
    BeginAgain: begin_again,
}

_ONWARD = (
    Prepare,
    StartSession,
    Deliver,
    GiveAnswer,
    ExpireRequests,
    Checkpoint,
)  # long, and given up when the run turns to its end; the others are bounded, and finish


async def reconcile(node: Node, run_id: UUID) -> None:
    """Bring a run as far as it can be brought now. Safe to call at any time, twice, late, or after a crash of an earlier call.

    Nothing is done where this node may not act: its next report has the runs looked at that are still its own.
    """
    with structlog.contextvars.bound_contextvars(run_id=str(run_id)):
        for _ in range(_MOST_STEPS):
            if not node.lease.held:
                return
            looked = await _look(node, run_id)
            if looked is None:
                return
            match looked:
                case run, Nothing():
                    done = await _rests(node, run, None)
                case run, Wait(until=moment):
                    done = await _rests(node, run, moment)
                case run, HandOver(node_id=holder):
                    await node.backends.jobs.nudge(run.id, holder)
                    done = True
                case run, action:
                    done = not await _act(node, run, action)
            if done:
                return


async def rest_those_that_wait(node: Node, run_ids: Sequence[UUID]) -> set[UUID]:
    """Write down the next look of those of the runs of this node that need nobody now; which they are. The others are left as they are.

    Most runs whose time has come only wait on: to see that of many at once is cheaper than to announce each to whoever would find it out.
    """
    async with node.backends.database.statement() as tx:
        decided = [(run, _decide(node, run, inbox, room=True)) for run, inbox in await executions.look_at_all(tx, run_ids)]
        waits = [(run, action.until) for run, action in decided if isinstance(action, Wait)]
        return await executions.rest_all(tx, waits) if waits else set()


Looked = tuple[TaskRun, Action]


async def _look(node: Node, run_id: UUID) -> Looked | None:
    async with node.backends.database.statement() as tx:  # reads alone: whoever acts on them decides again, or names the epoch
        found = await executions.look(tx, run_id)
        if found is None:
            return None
        run, inbox = found
        room = await _has_room(tx, node, run)
    return run, _decide(node, run, inbox, room=room)


async def _has_room(tx: Transaction, node: Node, run: TaskRun) -> bool:
    return run.execution.node_id is not None or await queue.has_room(tx, run, node.limits)


def _decide(node: Node, run: TaskRun, inbox: Inbox, *, room: bool) -> Action:
    may_claim = node.may_claim(run)
    return decide(run, inbox, node.backends.clock.now(), node.deadlines, node.id, room=room, may_claim=may_claim)


async def _rests(node: Node, run: TaskRun, until: datetime | None) -> bool:
    """Write down the run's next look. False where somebody has asked for one meanwhile."""
    async with node.backends.database.statement() as tx:
        return await executions.rest(tx, run, until)


async def _act(node: Node, run: TaskRun, action: Action) -> bool:
    """Whether the run can be looked at again at once."""
    act = _ACTIONS[type(action)]
    log.debug("acting", action=type(action).__name__)
    work = asyncio.ensure_future(act(node, run, action))
    try:
        if isinstance(action, _ONWARD):
            await _race(node, run, action, work)
        else:
            await work
    except Exception as error:  # noqa: BLE001 - whatever an action meets, the run must end with a reason
        return await fail(node, run, action, error)
    else:
        return True
    finally:
        if not work.done():
            work.cancel()
            await asyncio.wait([work])


async def _race(node: Node, run: TaskRun, action: Action, work: asyncio.Future[None]) -> None:
    """Await the action, but give it up as soon as the run turns to its end, or to another node."""
    async with node.backends.hub.subscribe(run.id) as changes:
        while not work.done():
            change = asyncio.ensure_future(changes.wait(timeout_seconds=_NET_SECONDS))
            either: list[asyncio.Future[Any]] = [work, change]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            change.cancel()
            if not work.done() and not await _still_wanted(node, run):
                log.info("given up, since the run ends", action=type(action).__name__)
                return
        await work


async def _still_wanted(node: Node, run: TaskRun) -> bool:
    if not node.lease.held:
        return False
    looked = await _look(node, run.id)
    if looked is None or looked[0].execution.epoch != run.execution.epoch:
        return False
    return isinstance(looked[1], (*_ONWARD, Wait))
