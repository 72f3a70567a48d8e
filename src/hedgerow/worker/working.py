"""A worker: it holds the runs of its node, and looks at each of them when something has changed or a moment has come."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial

from filelock import FileLock, Timeout

from hedgerow.db.jobs import RUNS_QUEUE, node_queue
from hedgerow.domain.nodes import pace_seconds
from hedgerow.lifecycle import AgentProbe, Node, SandboxWatch, reconcile, scan_repository
from hedgerow.operations import relay_delivery
from hedgerow.worker.disk_watch import DiskWatch
from hedgerow.worker.forgetting import forget
from hedgerow.worker.loops import every, pause, until, until_done
from hedgerow.worker.signs_of_life import SignsOfLife
from hedgerow.worker.sweep import sweep, take_up

_TURN_SECONDS = 0.2
_LOOK_SECONDS = 1.0


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
        signs = SignsOfLife(node, rhythm.tidy_seconds)
        if not await until_done(signs.report, stop):
            return
        watch = SandboxWatch(node)
        stack.push_async_callback(watch.close)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(every(pace_seconds(node.lease.seconds), signs.report, stop))
            if not await until_done(partial(take_up, node), stop):
                return
            serving(True)
            for seconds, look in (
                (rhythm.sweep_seconds, partial(sweep, node, rhythm.sweep_limit)),
                (rhythm.watch_seconds, watch.look),
                (_LOOK_SECONDS, signs.tidy),
                (rhythm.probe_seconds, AgentProbe(node, rhythm.agent_server_silence_seconds)),
                (rhythm.relay_seconds, partial(_relay, node, stop)),
                (rhythm.forget_seconds, partial(forget, node)),
                (rhythm.disk_seconds, DiskWatch(node, rhythm.gc_seconds, stop).look),
            ):
                tasks.create_task(every(seconds, look, stop))
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
            await pause(_TURN_SECONDS, stop)
            continue
        stack.callback(lock.release)
        return True
    return False


async def _relay(node: Node, stop: asyncio.Event) -> None:
    """Post what is due, of every node's runs: it is nobody's in particular. A post that `stop` cuts off is found again."""
    await until(stop, relay_delivery.deliver_due(node.backends))
