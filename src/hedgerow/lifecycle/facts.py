"""Writing down what an action has achieved: for the lifecycle alone, or for the run's readers as well."""

from collections.abc import Callable
from typing import Any

from hedgerow.db import executions, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.actions import Action
from hedgerow.domain.audit import ActorKind
from hedgerow.domain.errors import ConflictError
from hedgerow.domain.lifecycle import decide
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.node import Node
from hedgerow.operations import run_changes


class TakenOverError(ConflictError):
    """Another worker has taken the run over; what this one did for it no longer counts."""


async def decide_again(tx: Transaction, node: Node, run: TaskRun) -> Action:
    """What the run needs now, under the lock of its row: since it was looked at, somebody may have spoken, or started it again.

    Raises TakenOverError where the epoch has moved on.
    """
    await runs.load_for_update(tx, run.id)
    found = await executions.look(tx, run.id)
    if found is None or found[0].execution.epoch != run.execution.epoch:
        raise TakenOverError
    return decide(*found, node.backends.clock.now(), node.deadlines, node.id, may_claim=node.may_claim(found[0]))


async def require_own(node: Node, run: TaskRun) -> None:
    """Raise TakenOverError where the run's epoch has moved on, or this node may not act: for effects that no transaction guards."""
    async with node.backends.database.statement() as tx:
        fresh = await runs.load(tx, run.id)
    if fresh is None or fresh.execution.epoch != run.execution.epoch or not node.lease.held:
        raise TakenOverError


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
    return await run_changes.change_run(node.backends, tx, fresh, columns, ActorKind.SERVER) if columns else fresh
