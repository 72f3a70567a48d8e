"""A worker: it holds the runs of its node, and looks at each of them when something has changed or a moment has come."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from filelock import FileLock, Timeout

from hedgerow.db import executions, github, idempotency, nodes, readiness, relays, repository_scans
from hedgerow.db.jobs import RUNS_QUEUE, node_queue
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.readiness import LONGEST_WINDOW_DAYS
from hedgerow.domain.runs import Ending, EndReason, RunStatus, TaskRun
from hedgerow.lifecycle import AgentProbe, Node, conclude_unless_ending, reconcile, reopen_door, scan_repository
from hedgerow.operations import artifact_collection, relay_delivery

log = structlog.get_logger()

_TURN_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a worker looks after things that nobody announces."""

    sweep_seconds: float = 1.0  # runs whose time has come, and jobs of workers that died
    watch_seconds: float = 1.0  # sandboxes that died
    probe_seconds: float = 15.0  # agent servers that do not answer
    agent_server_silence_seconds: float = 60.0  # how long they may not
    report_seconds: float = 5.0  # the node's own sign of life
    relay_seconds: float = 1.0  # messages that are to be posted
    forget_seconds: float = 600.0  # whatever has a time that is over: answers, tokens, relays, artifacts
    sweep_limit: int = 500
    concurrency: int = 40  # runs that are acted upon at once
    scan_concurrency: int = 2  # repositories that are scanned at once


async def work(node: Node, rhythm: Rhythm, stop: asyncio.Event, serving: Callable[[bool], None]) -> None:
    """Hold the runs of this node until `stop` is set. Calls `serving` with True once it looks after them, with False where it waits.

    One worker of a data directory works; a second one waits until the first is gone, killed or not, and then goes on where it was.
    """
    with ExitStack() as stack:
        if not await _turn(node, stop, serving, stack):
            return
        await _report(node)
        await _take_up(node)
        serving(True)
        async with asyncio.TaskGroup() as tasks:
            for pause, look in (
                (rhythm.sweep_seconds, partial(_sweep, node, rhythm)),
                (rhythm.watch_seconds, partial(_watch, node)),
                (rhythm.probe_seconds, AgentProbe(node, rhythm.agent_server_silence_seconds)),
                (rhythm.report_seconds, partial(_report, node)),
                (rhythm.relay_seconds, partial(_relay, node, stop)),
                (rhythm.forget_seconds, partial(_forget, node)),
            ):
                tasks.create_task(_every(pause, look, stop))
            queues = [RUNS_QUEUE, node_queue(node.id)]
            tasks.create_task(node.backends.jobs.work(queues, partial(reconcile, node), concurrency=rhythm.concurrency, stop=stop))
            scan = partial(scan_repository, node)
            tasks.create_task(node.backends.jobs.work_on_scans(scan, concurrency=rhythm.scan_concurrency, stop=stop))


async def _turn(node: Node, stop: asyncio.Event, serving: Callable[[bool], None], stack: ExitStack) -> bool:
    """Wait for the turn to be the one worker of this data directory. False where `stop` comes first."""
    lock = FileLock(node.data_dir / "worker.lock")
    told = False
    while not stop.is_set():
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if not told:
                serving(False)
                told = True
            await _pause(_TURN_SECONDS, stop)
            continue
        stack.callback(lock.release)
        return True
    return False


async def _pause(seconds: float, stop: asyncio.Event) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


async def _every(seconds: float, look: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
    while not stop.is_set():
        try:
            await look()
        except HedgerowError as error:
            log.warning("could not look after the runs; trying again", reason=error.message)
        except Exception:
            log.exception("could not look after the runs; trying again")
        await _pause(seconds, stop)


async def _report(node: Node) -> None:
    async with node.backends.database.transaction() as tx:
        await nodes.report(tx, node.id, node.worker_url(), node.backends.clock.now())


async def _held(node: Node) -> list[TaskRun]:
    async with node.backends.database.transaction() as tx:
        return await executions.held_by(tx, node.id)


async def _take_up(node: Node) -> None:
    """Open the gate for sandboxes that outlived the last worker, and have every run of the node looked at."""
    for run in await _held(node):
        if run.execution.sandbox is not None:
            await reopen_door(node, run)
        async with node.backends.database.transaction() as tx:
            await executions.record(tx, run, {"wake_at": node.backends.clock.now()})


async def _sweep(node: Node, rhythm: Rhythm) -> None:
    """Announce the runs whose time has come and the scans that wait, and give the jobs of dead workers to living ones.

    An announcement may be lost, a row not.
    """
    await node.backends.jobs.retry_stalled()
    async with node.backends.database.transaction() as tx:
        before = node.backends.clock.now() - _ANNOUNCED_ALREADY
        due = await executions.due(tx, node.id, before, rhythm.sweep_limit)
        scans = await repository_scans.waiting(tx, before, rhythm.sweep_limit)
    for run_id, node_id in due:
        await node.backends.jobs.nudge(run_id, node_id)
    for scan_id in scans:
        await node.backends.jobs.nudge_scan(scan_id)


_ANNOUNCED_ALREADY = timedelta(milliseconds=500)


async def _relay(node: Node, stop: asyncio.Event) -> None:
    """Post what is due, of every node's runs: it is nobody's in particular. A post that `stop` cuts off is found again."""
    posting = asyncio.create_task(relay_delivery.deliver_due(node.backends))
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({posting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopping.cancel()
        posting.cancel()
    with suppress(asyncio.CancelledError):
        await posting


async def _forget(node: Node) -> None:
    now = node.backends.clock.now()
    async with node.backends.database.transaction() as tx:
        await idempotency.forget_old(tx, now)
        longest_cache = timedelta(seconds=node.backends.rules.readiness_cache_seconds)
        await readiness.forget(tx, now - longest_cache, (now - timedelta(days=LONGEST_WINDOW_DAYS + 1)).date())
        await github.forget_old_run_tokens(tx, now)
        if slack_days := node.backends.rules.slack_days:
            await relays.forget_old(tx, now - timedelta(days=slack_days))
    await artifact_collection.collect(node.backends)


def _starts(run: TaskRun) -> bool:
    """Whether the agent is being started, and whoever does that sees by himself that the sandbox dies."""
    return run.execution.checked_out_at is not None and run.execution.session_ready_at is None


async def _watch(node: Node) -> None:
    """Write down the loss of sandboxes that died without being asked to."""
    for run in await _held(node):
        handle = run.execution.sandbox
        if handle is None or run.execution.ending is not None or run.status.terminal or _starts(run):
            continue
        state = await node.sandboxes[handle.provider].inspect(handle)
        if not state.alive:
            log.warning("a sandbox died", run_id=str(run.id), how=state.describe())
            message = f"The sandbox ended unexpectedly: {state.describe()}."
            ending = Ending(status=RunStatus.FAILED, reason=EndReason.SANDBOX_LOST, message=message)
            await conclude_unless_ending(node, run, ending)
