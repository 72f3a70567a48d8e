"""The answers to what an agent asked leave for, on their way to it."""

from hedgerow.db import permission_requests, runs
from hedgerow.db.database import Transaction
from hedgerow.domain.actions import ExpireRequests, GiveAnswer
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle.agent_server import connect
from hedgerow.lifecycle.facts import TakenOverError
from hedgerow.lifecycle.node import Node
from hedgerow.operations.permission_requests import expire_requests as reject_overdue
from hedgerow.operations.permission_requests import settle_delivery


async def give_answer(node: Node, run: TaskRun, action: GiveAnswer) -> None:
    """Hand the agent server the first answer that it has not got, then write that down.

    The agent server takes an answer once, so a crash between the two only sends it again. What it does not wait for any more is void.
    """
    async with node.backends.database.transaction() as tx:
        request = await permission_requests.first_undelivered(tx, run.id)
    if request is None or request.answer is None:
        return
    async with await connect(node, run) as agent_server:
        taken = await agent_server.answer(request.id, request.answer.option_id, request.answer.input)
    async with node.backends.database.transaction() as tx:
        fresh = await _locked(tx, run)
        await settle_delivery(node.backends, tx, fresh, request.id, taken=taken)


async def expire_requests(node: Node, run: TaskRun, action: ExpireRequests) -> None:
    """Reject what nobody has answered in time; the answer is handed over like any other."""
    async with node.backends.database.transaction() as tx:
        await reject_overdue(node.backends, tx, await _locked(tx, run))


async def _locked(tx: Transaction, run: TaskRun) -> TaskRun:
    """The freshest row of the run. Raises TakenOverError where its epoch has moved on."""
    fresh = await runs.load_for_update(tx, run.id)
    if fresh is None or fresh.execution.epoch != run.execution.epoch:
        raise TakenOverError
    return fresh
