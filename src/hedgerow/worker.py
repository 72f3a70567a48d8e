"""A worker: it holds the runs of its node, and looks at each of them when something has changed or a moment has come."""

import asyncio
import math
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from filelock import FileLock, Timeout

from hedgerow.db import executions, github, idempotency, nodes, readiness, relays, repository_scans
from hedgerow.db.database import DatabaseLostError
from hedgerow.db.jobs import RUNS_QUEUE, node_queue
from hedgerow.domain.clock import steady_seconds
from hedgerow.domain.errors import HedgerowError
from hedgerow.domain.nodes import Watch, pace_seconds
from hedgerow.domain.readiness import LONGEST_WINDOW_DAYS
from hedgerow.domain.runs import TaskRun
from hedgerow.lifecycle import (
    GRACE_SECONDS,
    AgentProbe,
    Leftovers,
    Node,
    SandboxWatch,
    close_doors,
    held,
    keep_house,
    plan_now,
    reconcile,
    reopen_door,
    rest_those_that_wait,
    scan_repository,
    take_over,
)
from hedgerow.operations import artifact_collection, relay_delivery

log = structlog.get_logger()

_TURN_SECONDS = 0.2
_TAKEN_UP_AT_ONCE = 8  # each takes a connection to the database
_LOOK_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 0.5
_LEAVE_SECONDS = 2.0  # how long looks that are under way may take once the worker stops


@dataclass(frozen=True, slots=True, kw_only=True)
class Rhythm:
    """How often a worker looks after things that nobody announces."""

    sweep_seconds: float = 1.0  # runs whose time has come, and jobs of workers that died
    watch_seconds: float = 1.0  # sandboxes that died
    tidy_seconds: float = 60.0  # sandboxes and folders that no run of the node claims
    probe_seconds: float = 15.0  # agent servers that do not answer
    agent_server_silence_seconds: float = 60.0  # how long they may not
    relay_seconds: float = 1.0  # messages that are to be posted
    forget_seconds: float = 600.0  # whatever has a time that is over: answers, tokens, relays, artifacts
    disk_seconds: float = 5.0  # whether the disk has room for new runs
    gc_seconds: float = 0.0  # whatever `hedgerow gc` lists; 0: never
    sweep_limit: int = 500
    concurrency: int = 40  # runs that are acted upon at once
    scan_concurrency: int = 2  # repositories that are scanned at once


async def work(node: Node, rhythm: Rhythm, stop: asyncio.Event, serving: Callable[[bool], None]) -> None:
    """Hold the runs of this node until `stop` is set. Calls `serving` with True once it looks after them, with False where it waits.

    One worker of a data directory works; a second one waits until the first is gone, killed or not, and then goes on where it was.
    """
    async with AsyncExitStack() as stack:
        if not await _turn(node, stop, serving, stack):
            return
        signs = _Signs(node, rhythm.tidy_seconds)
        if not await _until_done(signs.report, stop):
            return
        watch = SandboxWatch(node)
        stack.push_async_callback(watch.close)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_every(pace_seconds(node.lease.seconds), signs.report, stop))
            if not await _until_done(partial(_take_up, node), stop):
                return
            serving(True)
            for pause, look in (
                (rhythm.sweep_seconds, partial(_sweep, node, rhythm)),
                (rhythm.watch_seconds, watch.look),
                (_LOOK_SECONDS, signs.tidy),
                (rhythm.probe_seconds, AgentProbe(node, rhythm.agent_server_silence_seconds)),
                (rhythm.relay_seconds, partial(_relay, node, stop)),
                (rhythm.forget_seconds, partial(_forget, node)),
                (rhythm.disk_seconds, _Housekeeping(node, rhythm.gc_seconds, stop).look),
            ):
                tasks.create_task(_every(pause, look, stop))
            queues = [RUNS_QUEUE, node_queue(node.id)]
            tasks.create_task(node.backends.jobs.work(queues, partial(reconcile, node), concurrency=rhythm.concurrency, stop=stop))
            scan = partial(scan_repository, node)
            tasks.create_task(node.backends.jobs.work_on_scans(scan, concurrency=rhythm.scan_concurrency, stop=stop))


async def _turn(node: Node, stop: asyncio.Event, serving: Callable[[bool], None], stack: AsyncExitStack) -> bool:
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


async def _until_done(beginning: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> bool:
    """Do what a worker begins with, as often as it takes while the database is away. False where `stop` comes first."""
    while not stop.is_set():
        try:
            await _until(stop, beginning())
            return not stop.is_set()
        except* DatabaseLostError:
            log.warning("the database does not answer; trying again")
        await _pause(_TRY_AGAIN_SECONDS, stop)
    return False


async def _every(seconds: float, look: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Look again and again. A look that waits for something that is away, as the database may be, keeps nobody from stopping."""
    while not stop.is_set():
        try:
            await _until(stop, look(), grace_seconds=_LEAVE_SECONDS)
        except HedgerowError as error:
            log.warning("could not look after the runs; trying again", reason=error.message)
        except Exception:
            log.exception("could not look after the runs; trying again")
        await _pause(seconds, stop)


class _Signs:
    """The signs of life that nodes give: this one's own, and whose have stopped."""

    def __init__(self, node: Node, tidy_seconds: float) -> None:
        self._node = node
        self._watch = Watch(longest_gap_seconds=node.lease.seconds / 2)
        self._leftovers = Leftovers()
        self._tidy_seconds = tidy_seconds
        self._tidy_at = -math.inf

    async def report(self) -> None:
        """Say that this node lives, and have the runs of those taken over that have said so for too long no more.

        Where it could not say so for its lease, it looks first which runs are still its own, and acts again only then.
        """
        node = self._node
        began = node.lease.now()
        async with node.backends.database.transaction() as tx:
            await nodes.report(tx, node.id, node.worker_url(), node.lease.seconds, node.room())
            others = await nodes.others(tx, node.id)
        lapsed = not node.lease.held
        if lapsed:
            await close_doors(node)
        node.lease.renew(began)
        if lapsed:
            self._tidy_at = -math.inf
            await _wake(node)
        for lost in self._watch.note(others, node.lease.now()):
            await take_over(node, lost)

    async def tidy(self) -> None:
        """Now and then, and at once where this node was silent for too long, remove what no run of it claims."""
        if steady_seconds() < self._tidy_at:
            return
        self._tidy_at = steady_seconds() + self._tidy_seconds
        if await self._leftovers.remove(self._node):
            self._tidy_at = steady_seconds() + GRACE_SECONDS


async def _wake(node: Node) -> None:
    """Have every run of the node looked at."""
    async with node.backends.database.transaction() as tx:
        await executions.wake_held(tx, node.id, node.backends.clock.now())


async def _take_up(node: Node) -> None:
    """Open the gate for sandboxes that outlived the last worker, several at once, and have every run of the node looked at."""
    at_once = asyncio.Semaphore(_TAKEN_UP_AT_ONCE)

    async def reopen(run: TaskRun) -> None:
        async with at_once:
            await reopen_door(node, run)

    async with asyncio.TaskGroup() as doors:
        for run in await held(node):
            if run.execution.sandbox is not None:
                doors.create_task(reopen(run))
    await _wake(node)


async def _sweep(node: Node, rhythm: Rhythm) -> None:
    """Announce the runs whose time has come and the scans that wait, and give the jobs of dead workers to living ones.

    A run of this node that has nothing to do but to wait on is told so here. An announcement may be lost, a row not.
    """
    await node.backends.jobs.retry_stalled()
    async with node.backends.database.transaction() as tx:
        before = node.backends.clock.now() - _ANNOUNCED_ALREADY
        due = await executions.due(tx, node.id, before, rhythm.sweep_limit)
        scans = await repository_scans.waiting(tx, before, rhythm.sweep_limit)
    resting = await rest_those_that_wait(node, [run_id for run_id, node_id in due if node_id is not None])
    for run_id, node_id in due:
        if run_id not in resting:
            await node.backends.jobs.nudge(run_id, node_id)
    for scan_id in scans:
        await node.backends.jobs.nudge_scan(scan_id)


_ANNOUNCED_ALREADY = timedelta(milliseconds=500)


async def _relay(node: Node, stop: asyncio.Event) -> None:
    """Post what is due, of every node's runs: it is nobody's in particular. A post that `stop` cuts off is found again."""
    await _until(stop, relay_delivery.deliver_due(node.backends))


async def _until(stop: asyncio.Event, work: Coroutine[Any, Any, Any], *, grace_seconds: float = 0.0) -> None:
    """Do a piece of work that may be cut off anywhere, until `stop` is set, and for so long after it."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait({working}, timeout=grace_seconds)
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.wait({working})  # nobody goes on while it still gives back what it holds
    with suppress(asyncio.CancelledError):
        await working


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


class _Housekeeping:
    """What may go from this node goes every few hours, and at once where its disk has become too full for new runs."""

    def __init__(self, node: Node, gc_seconds: float, stop: asyncio.Event) -> None:
        self._node = node
        self._gc_seconds = gc_seconds
        self._stop = stop
        self._last = steady_seconds()
        self._full = False

    async def look(self) -> None:
        """Look at the disk, and keep house where it is time to. It is cut off where the worker stops."""
        was_full, self._full = self._full, not self._node.room().enough
        if self._full != was_full:
            _tell_of_the_disk(self._node, self._full)
        pause = min(self._gc_seconds, _FULL_SECONDS) if self._full else self._gc_seconds
        if self._gc_seconds and ((self._full and not was_full) or steady_seconds() - self._last >= pause):
            self._last = steady_seconds()
            await _until(self._stop, self._collect())

    async def _collect(self) -> None:
        async for _ in keep_house(self._node, await plan_now(self._node)):
            pass


_FULL_SECONDS = 600.0
"""How often a worker whose disk is full tries to make room."""


def _tell_of_the_disk(node: Node, full: bool) -> None:
    room = node.room()
    if full:
        log.warning("the disk is nearly full: this machine takes no new runs", folder=str(node.data_dir), free_bytes=room.free_bytes)
    else:
        log.info("there is room on the disk again: this machine takes new runs", folder=str(node.data_dir), free_bytes=room.free_bytes)
