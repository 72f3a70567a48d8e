"""Writing down what an action has achieved: for the lifecycle alone, or for the run's readers as well."""

import json
from collections.abc import Callable
from typing import Any

from hedgerow.db import executions, journal, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.errors import ConflictError
from hedgerow.domain.journal import EventKind, NewEvent, state_event
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.node import Node


class TakenOverError(ConflictError):
    """Another worker has taken the run over; what this one did for it no longer counts."""


async def record(node: Node, run: TaskRun, facts: dict[str, Any]) -> None:
    """Write facts of the run's execution, named as its columns. Raises TakenOverError where the epoch has moved on."""
    async with node.backends.database.transaction() as tx:
        if not await executions.record(tx, run, facts):
            raise TakenOverError


async def change(node: Node, run: TaskRun, columns_of: Callable[[TaskRun], dict[str, Any]]) -> None:
    """Change the run in a transaction of its own, as `change_in` does."""
    async with node.backends.database.transaction() as tx:
        await change_in(tx, node, run, columns_of)


async def change_in(tx: Transaction, node: Node, run: TaskRun, columns_of: Callable[[TaskRun], dict[str, Any]]) -> TaskRun:
    """Write the columns that `columns_of` names for the freshest row, with one state event; none, if it names none.

    Raises TakenOverError where the epoch has moved on.
    """
    fresh = await runs.load_for_update(tx, run.id)
    if fresh is None or fresh.execution.epoch != run.execution.epoch:
        raise TakenOverError
    columns = columns_of(fresh)
    if not columns:
        return fresh
    now = node.backends.clock.now()
    changed = await runs.change(tx, fresh, columns, now)
    event = NewEvent(EventKind.STATE, "task_run_state", now, json.dumps(state_event(changed), separators=(",", ":")))
    await append(tx, node, changed, event)
    return changed


async def append(tx: Transaction, node: Node, run: TaskRun, event: NewEvent) -> None:
    """Put one event of the server on the run's journal, and wake its readers once that is through."""
    head = await journal.append(tx, run.id, [event], epoch=run.execution.epoch)
    if head is None:
        raise TakenOverError

    async def wake() -> None:
        node.backends.hub.publish(run.id, head)

    tx.after_commit(wake)
