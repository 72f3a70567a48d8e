"""Wake-ups: who waits for a run learns that something happened to it, wherever it happened.

Inside the process directly; between processes through NOTIFY, sent after the commit and many at once (a NOTIFY inside a
transaction would make all commits queue up behind one lock). One connection listens. Whatever is lost on the way, a slow
look at the heads of the watched journals finds. A process that is alone on its database sends nothing: who starts to listen
says so, and the slow look counts who does.
"""

import asyncio
import contextlib
import secrets
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count
from typing import LiteralString
from uuid import UUID

import psycopg
import structlog

from hedgerow.db import journal, signals
from hedgerow.db.channels import Channel, Watcher
from hedgerow.db.database import Database, Transaction
from hedgerow.domain.errors import UnavailableError
from hedgerow.domain.journal import JournalEvent, Preview

logger = structlog.get_logger()

_CHANNEL = "hedgerow"
_APPLICATION = "hedgerow wake-ups"  # how a listening connection is known to PostgreSQL
_WAITING = 10_000  # more than that is dropped: the slow look finds what was lost
_RECONNECT_SECONDS = 0.5
_ALIVE_SECONDS = 30.0  # how often a silent connection is asked whether it lives
_LOST = (psycopg.Error, UnavailableError, OSError)


class Hub:
    """The process's one place for wake-ups."""

    def __init__(self, database: Database, *, gather_seconds: float = 0.005, look_seconds: float = 3.0) -> None:
        self._database = database
        self._gather_seconds = gather_seconds
        self._look_seconds = look_seconds
        self._name = secrets.token_hex(4)  # what this process sent comes back to it, and is left out by this name
        self._counter = count()  # PostgreSQL drops a payload that equals another of its transaction
        self._channels: dict[UUID, Channel] = {}
        self._wakings: dict[str, None] = {}  # not sent yet, each once
        self._chunks: deque[str] = deque(maxlen=_WAITING)
        self._to_send = asyncio.Event()
        self._sent: asyncio.Future[None] | None = None
        self._alone = False  # whether no other process listens
        self._heard = 0  # how many payloads of others came
        self._listener: int | None = None  # PostgreSQL's number of the listening connection
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to listen and to send; returns once it listens."""
        listening = asyncio.Event()
        self._tasks = [
            asyncio.create_task(self._listen(listening), name="hub listens"),
            asyncio.create_task(self._send(), name="hub sends"),
            asyncio.create_task(self._look(), name="hub looks"),
        ]
        await listening.wait()

    async def stop(self) -> None:
        """Stop listening; what waits to be sent is sent first."""
        if self._tasks:
            await self._flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    @asynccontextmanager
    async def subscribe(self, run_id: UUID, key_id: UUID | None = None) -> AsyncIterator[Watcher]:
        """A watcher of a run, which hears everything from now on; also changes of the personal key that it is watched with."""
        channels = [self._channels.setdefault(name, Channel(name)) for name in (run_id, key_id) if name is not None]
        watcher = Watcher(channels[0])
        for channel in channels:
            channel.watchers.add(watcher)
        try:
            yield watcher
        finally:
            for channel in channels:
                channel.watchers.discard(watcher)
                if not channel.watchers:
                    self._channels.pop(channel.run_id, None)

    def publish(self, run_id: UUID, head: int, events: Sequence[JournalEvent] = ()) -> None:
        """Say that a run's journal has grown to `head`, by `events` where the caller has them. To be called after the commit."""
        channel = self._channels.get(run_id)
        if channel is not None:
            channel.share(events)
            _wake(channel, head=head)
        self._queue(signals.grown(run_id, head))

    def changed(self, run_id: UUID) -> None:
        """Say that a run's row or inbox has changed, or what a personal key opens. To be called after the commit."""
        channel = self._channels.get(run_id)
        if channel is not None:
            _wake(channel)
        self._queue(signals.changed(run_id))

    def preview(self, run_id: UUID, preview: Preview) -> None:
        """Show a message chunk to those who watch now. One that is too large for NOTIFY reaches this process alone."""
        channel = self._channels.get(run_id)
        if channel is not None:
            _wake(channel, preview=preview)
        payload = signals.chunk(self._name, next(self._counter), run_id, preview)
        if payload is not None:
            self._chunks.append(payload)
            self._to_send.set()

    async def sent(self) -> None:
        """Return once everything that was said so far is on its way to the other processes, or was given up."""
        if self._to_send.is_set() and self._tasks:
            if self._sent is None:
                self._sent = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._sent)

    def _queue(self, waking: str) -> None:
        if len(self._wakings) < _WAITING:
            self._wakings[waking] = None
            self._to_send.set()

    async def _send(self) -> None:
        while True:
            await self._to_send.wait()
            await self._flush()
            await asyncio.sleep(self._gather_seconds)

    async def _flush(self) -> None:
        payloads = [*signals.packed(self._name, self._counter, list(self._wakings)), *self._chunks]
        sent, self._sent = self._sent, None
        self._wakings.clear()
        self._chunks.clear()
        self._to_send.clear()
        try:
            await self._notify(payloads)
        except _LOST as problem:
            logger.warning("wake-ups of other processes were not sent", reason=str(problem))
        finally:
            if sent is not None and not sent.done():
                sent.set_result(None)

    async def _notify(self, payloads: list[str]) -> None:
        if payloads and not self._alone:
            async with self._database.statement() as tx:
                await tx.connection.execute("SELECT pg_notify(%s, payload) FROM unnest(%s::text[]) AS payload", [_CHANNEL, payloads])

    async def _listen(self, listening: asyncio.Event) -> None:
        while True:
            try:
                await self._listen_once(listening)
            except _LOST as problem:
                logger.warning("the connection for wake-ups was lost", reason=str(problem))
            await asyncio.sleep(_RECONNECT_SECONDS)

    async def _listen_once(self, listening: asyncio.Event) -> None:
        connecting = psycopg.AsyncConnection.connect(self._database.url, autocommit=True, connect_timeout=10, application_name=_APPLICATION)
        async with await connecting as connection:
            self._listener = connection.info.backend_pid
            await connection.execute("LISTEN " + _CHANNEL)
            await connection.execute("SELECT pg_notify(%s, %s)", [_CHANNEL, signals.hello(self._name, self._counter)])
            listening.set()
            for channel in list(self._channels.values()):
                _wake(channel)
            while True:
                async for notification in connection.notifies(timeout=_ALIVE_SECONDS):
                    self._hear(notification.payload)
                await connection.execute("SELECT 1")

    def _hear(self, payload: str) -> None:
        if not signals.is_from(payload, self._name):
            self._alone = False
            self._heard += 1
        for signal in signals.read(payload, self._name):
            channel = self._channels.get(signal.run_id)
            if channel is not None:
                _wake(channel, head=signal.head, preview=signal.preview)

    async def _look(self) -> None:
        """Find what no wake-up told of."""
        while True:
            await asyncio.sleep(self._look_seconds)
            with contextlib.suppress(*_LOST):
                await self._look_once()

    async def _look_once(self) -> None:
        heard = self._heard
        async with self._database.statement() as tx:
            others = await self._others(tx)
            heads = await journal.heads(tx, list(self._channels)) if self._channels else {}
        # Who spoke meanwhile may have come after the count.
        self._alone = others == 0 and heard == self._heard
        for run_id, head in heads.items():
            for watcher in list(self._channels[run_id].watchers) if run_id in self._channels else ():
                if watcher.head < head:
                    watcher.wake(head=head)

    async def _others(self, tx: Transaction) -> int:
        """How many other processes listen."""
        row = await (await tx.connection.execute(_LISTENERS, [_APPLICATION, self._listener])).fetchone()
        return 0 if row is None else int(row["listeners"])


_LISTENERS: LiteralString = """
    SELECT count(*) AS listeners FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = %s AND pid IS DISTINCT FROM %s
"""


def _wake(channel: Channel, *, head: int | None = None, preview: Preview | None = None) -> None:
    for watcher in channel.watchers:
        watcher.wake(head=head, preview=preview)
