"""The queue: nudges to look at a run, or at the scan of a repository.

Any job may be lost, doubled or late, for the row says what is to be done.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, LiteralString
from uuid import UUID

import procrastinate
import psycopg
import structlog
from procrastinate.exceptions import AlreadyEnqueued, ConnectorException

from hedgerow.db.database import RECONNECT_SECONDS, DatabaseLostError, try_on

logger = structlog.get_logger()

RUNS_QUEUE = "runs"  # runs that no node holds yet: any worker takes them
SCANS_QUEUE = "scans"  # repositories that are to be scanned, by any worker: apart from the runs, which never wait for a clone

_TASK = "reconcile"
_SCAN_TASK = "scan_repository"
_HEARTBEAT_SECONDS = 1.0
_STALLED_SECONDS = 3.0
_POLL_SECONDS = 0.25  # a nudge that came during a look waits for the next poll, since nothing announces the end of a look
_SCAN_POLL_SECONDS = 1.0  # nobody asks for a second scan of a repository while the first is under way
_GRACE_SECONDS = 5.0
_LEAVE_SECONDS = 1.0
_TRY_AGAIN_SECONDS = 0.5
_FORGET = "DELETE FROM procrastinate_jobs WHERE queue_name = %(queue_name)s AND status = 'todo'"


class _Connector(procrastinate.PsycopgConnector):
    """Tells of queries that were lost on the way: Procrastinate itself tells nobody of a job that it could not finish."""

    def __init__(self, **pool: Any) -> None:
        super().__init__(**pool)
        self._lost = asyncio.Event()

    def next_loss(self) -> asyncio.Event:
        """Set once a query is lost from now on."""
        if self._lost.is_set():
            self._lost = asyncio.Event()
        return self._lost

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """As Procrastinate's own, by which workers finish their jobs and give their signs of life."""
        try:
            await super().execute_query_async(query, **arguments)
        except ConnectorException as problem:
            if isinstance(problem.__cause__, psycopg.OperationalError):
                self._lost.set()
            raise


def node_queue(node_id: UUID) -> str:
    """The queue of the workers of one node. No dashes: Procrastinate makes a channel of it, whose name PostgreSQL bounds at 63 bytes."""
    return f"node-{node_id.hex}"


class Jobs:
    """Sends nudges, and works on them."""

    def __init__(self, url: str) -> None:
        # min_size 1: an API process only sends, and most of the time it sends nothing.
        self._connector = _Connector(
            conninfo=url, min_size=1, max_size=5, name="hedgerow jobs", reconnect_timeout=RECONNECT_SECONDS, reconnect_failed=try_on
        )
        self._app = procrastinate.App(connector=self._connector)
        self._looks = 0  # under way
        self._reconcile: Callable[[UUID], Awaitable[None]] | None = None
        self._scan: Callable[[UUID], Awaitable[None]] | None = None
        self._app.task(name=_TASK)(self._run)
        self._app.task(name=_SCAN_TASK)(self._run_scan)

    async def open(self) -> None:
        """Connect."""
        await self._app.open_async()

    async def close(self) -> None:
        """Give all connections back."""
        await self._app.close_async()

    async def nudge(self, run_id: UUID, node_id: UUID | None) -> None:
        """Have a worker look at a run soon. Never raises: what a lost nudge asked for, the next sweep over the rows finds."""
        await self._send(_TASK, RUNS_QUEUE if node_id is None else node_queue(node_id), run_id=str(run_id))

    async def nudge_scan(self, scan_id: UUID) -> None:
        """Have a worker look at the scan of a repository soon. Never raises, as `nudge` does not."""
        await self._send(_SCAN_TASK, SCANS_QUEUE, scan_id=str(scan_id))

    async def _send(self, task: str, queue: str, **subject: str) -> None:
        (name,) = subject.values()
        deferrer = self._app.configure_task(task, queue=queue, lock=name, queueing_lock=name)
        try:
            await deferrer.defer_async(**subject)
        except AlreadyEnqueued:
            return
        except (ConnectorException, psycopg.Error) as problem:
            logger.warning("a nudge was not sent", **subject, reason=str(problem.__cause__ or problem).strip())

    async def forget(self, node_id: UUID) -> None:
        """Drop what was announced to the workers of a node that is lost: such a job would keep every later one of its run waiting.

        Jobs that they were at stay for `retry_stalled`. Never raises, as `nudge` does not.
        """
        waiting = {"queue_name": node_queue(node_id)}
        try:
            await self._app.connector.execute_query_async(_FORGET, **waiting)
        except ConnectorException as problem:
            logger.warning("the jobs of a lost node were not dropped", node_id=str(node_id), reason=str(problem))

    async def work(
        self, queues: Sequence[str], reconcile: Callable[[UUID], Awaitable[None]], *, concurrency: int, stop: asyncio.Event
    ) -> None:
        """Look at the runs of `queues` until `stop` is set; then looks that are not over within seconds are cancelled."""
        self._reconcile = reconcile
        await self._work(queues, concurrency, _POLL_SECONDS, stop)

    async def work_on_scans(self, scan: Callable[[UUID], Awaitable[None]], *, concurrency: int, stop: asyncio.Event) -> None:
        """As `work`, for scans of repositories, whichever worker they were announced to."""
        self._scan = scan
        await self._work([SCANS_QUEUE], concurrency, _SCAN_POLL_SECONDS, stop)

    async def _work(self, queues: Sequence[str], concurrency: int, poll_seconds: float, stop: asyncio.Event) -> None:
        """Be a worker until `stop` is set, and a new one whenever the database was lost.

        What the old one had fetched and could not finish belongs to nobody then, and `retry_stalled` finds it. Kept by a worker that
        goes on, such a job would keep every later one of its run waiting for ever.
        """
        while not stop.is_set():
            try:
                await self._work_while_connected(queues, concurrency, poll_seconds, stop)
            except (ConnectorException, psycopg.Error) as problem:
                logger.warning("the queue was lost; trying again", queues=list(queues), reason=str(problem.__cause__ or problem).strip())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), _TRY_AGAIN_SECONDS)

    async def _work_while_connected(self, queues: Sequence[str], concurrency: int, poll_seconds: float, stop: asyncio.Event) -> None:
        """Be a worker until `stop` is set, or a query of a worker was lost. May raise what that query raised."""
        lost = self._connector.next_loss()
        worker = asyncio.create_task(
            self._app.run_worker_async(
                queues=list(queues),
                concurrency=concurrency,
                install_signal_handlers=False,
                fetch_job_polling_interval=poll_seconds,
                update_heartbeat_interval=_HEARTBEAT_SECONDS,
                stalled_worker_timeout=_STALLED_SECONDS,
                shutdown_graceful_timeout=_GRACE_SECONDS,
                delete_jobs="always",
            )
        )
        stopping, losing = asyncio.create_task(stop.wait()), asyncio.create_task(lost.wait())
        try:
            await asyncio.wait({worker, stopping, losing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            losing.cancel()
            await self._end(worker)

    async def _end(self, worker: asyncio.Task[None]) -> None:
        """Stop a worker and wait for it. It leaves at once, but for looks that are under way.

        A cancellation can get lost while it still connects (asyncio.wait_for of Python 3.11), so it may have to be said again.
        """
        while not worker.done():
            worker.cancel()
            await asyncio.wait({worker}, timeout=_GRACE_SECONDS + 1 if self._looks else _LEAVE_SECONDS)
        with contextlib.suppress(asyncio.CancelledError):
            worker.result()

    async def retry_stalled(self) -> int:
        """Let others take up the jobs of workers that gave no sign of life for seconds; how many there were. Raises DatabaseLostError."""
        try:
            stalled = list(await self._app.job_manager.get_stalled_jobs(seconds_since_heartbeat=_STALLED_SECONDS))
        except ConnectorException as problem:
            raise DatabaseLostError from problem
        for job in stalled:
            await self._release(job)
        return len(stalled)

    async def _release(self, job: procrastinate.jobs.Job) -> None:
        """Queue a job again, or drop it where its subject is queued already."""
        try:
            await self._app.job_manager.retry_job(job)
        except ConnectorException:
            with contextlib.suppress(ConnectorException):
                await self._app.job_manager.finish_job(job, status=procrastinate.jobs.Status.FAILED, delete_job=True)

    async def _run(self, run_id: str) -> None:
        assert self._reconcile is not None
        await self._look(self._reconcile, run_id=run_id)

    async def _run_scan(self, scan_id: str) -> None:
        assert self._scan is not None
        await self._look(self._scan, scan_id=scan_id)

    async def _look(self, look: Callable[[UUID], Awaitable[None]], **subject: str) -> None:
        """One look. Where the database is lost during it, the next sweep over the rows leads to another one."""
        (name,) = subject.values()
        self._looks += 1
        try:
            await look(UUID(name))
        except DatabaseLostError as problem:
            logger.warning("a look was broken off, since the database does not answer", **subject, reason=problem.message)
        finally:
            self._looks -= 1
