"""Connections and transactions. Whoever needs several statements to stand or fall together asks for a transaction."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

import msgspec
import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg.types.json import set_json_loads
from psycopg_pool import AsyncConnectionPool, ConnectionPool, PoolTimeout

from hedgerow.domain.errors import UnavailableError

T = TypeVar("T")

Connection = psycopg.AsyncConnection[DictRow]
BulkConnection = psycopg.Connection[tuple[Any, ...]]

_WAIT_SECONDS = 30
_IDLE_SECONDS = 60  # a few transactions wait for an answer of GitHub; none waits that long
_BULK_CONNECTIONS = 4
RECONNECT_SECONDS = 1.0  # a pool's pauses between attempts double up to that, and without it for minutes: as long as the database was away


class DatabaseLostError(UnavailableError):
    """The database does not answer. Nothing is known of the transaction that was open."""


Callback = Callable[[], Awaitable[None]]


class Transaction:
    """An open transaction: its connection, and what is to be done once it is through."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._callbacks: list[Callback] = []

    def after_commit(self, callback: Callback) -> None:
        """Have `callback` run once the commit is through; never after a roll back. It must not raise."""
        self._callbacks.append(callback)

    async def run_callbacks(self) -> None:
        """Run what was registered, in order. For whoever committed."""
        for callback in self._callbacks:
            await callback()


async def _configure(connection: Connection) -> None:
    """Have the database break off a transaction whose process stands still: its locks would keep everybody else waiting."""
    set_json_loads(_read_json, connection)
    await connection.execute(f"SET idle_in_transaction_session_timeout = '{_IDLE_SECONDS}s'")


async def try_on(pool: AsyncConnectionPool[Any]) -> None:
    """Have a pool go on trying to connect where it has given up. One that waits to be asked for a connection may not be asked for long."""
    await pool.check()


def _read_json(text: str | bytes) -> Any:
    """A stored document: quickly where the quick parser can, which knows no lone surrogates."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError):
        return json.loads(text)


def _configure_bulk(connection: BulkConnection) -> None:
    """Have the connection's server keep the memory of one large answer for the next.

    The C library's allocator gives a megabyte that was freed back to the system, and gets it anew page by page, until it has once
    seen a larger piece come and go. For large answers in a row that makes a fourth of their time.
    """
    set_json_loads(_read_json, connection)
    connection.execute("SELECT length(repeat('x', 8000000))")


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, url: str, *, pool_size: int = 10) -> None:
        self.url = url
        self._pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
            url,
            min_size=min(2, pool_size),
            max_size=pool_size,
            timeout=_WAIT_SECONDS,
            kwargs={"autocommit": True, "row_factory": dict_row},
            configure=_configure,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=try_on,
            open=False,
            name="hedgerow",
        )
        self._giving_back: set[asyncio.Future[None]] = set()
        self._bulk = ConnectionPool(
            url,
            min_size=0,
            max_size=_BULK_CONNECTIONS,
            timeout=_WAIT_SECONDS,
            kwargs={"autocommit": True},
            configure=_configure_bulk,
            reconnect_timeout=RECONNECT_SECONDS,
            reconnect_failed=ConnectionPool.check,
            open=False,
            name="hedgerow bulk",
        )

    async def open(self) -> None:
        """Connect. Raises UnavailableError where the database does not answer within 15 seconds."""
        try:
            await self._pool.open(wait=True, timeout=15)
        except PoolTimeout as problem:
            await self._pool.close()
            raise UnavailableError("The database did not answer within 15 seconds.") from problem
        await asyncio.to_thread(self._bulk.open)

    async def close(self) -> None:
        """Give all connections back."""
        await self._pool.close()
        await asyncio.to_thread(self._bulk.close)

    async def in_thread(self, read: Callable[[BulkConnection], T]) -> T:
        """What `read` returns, called in a thread with a connection of the few that are kept for reading much.

        A large answer comes in hundreds of small pieces. Each would wake the event loop, which costs three times the query itself.
        """
        return await asyncio.to_thread(self._read, read)

    def _read(self, read: Callable[[BulkConnection], T]) -> T:
        with _losses_told(), self._bulk.connection() as connection:
            return read(connection)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """A transaction that commits at the end and rolls back on an exception; then its callbacks run, without a connection held."""
        async with self._connection() as connection, connection.transaction():
            tx = Transaction(connection)
            yield tx
        await tx.run_callbacks()

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """As `transaction`, where one single statement is all: it commits by itself, which saves two round trips."""
        async with self._connection() as connection:
            tx = Transaction(connection)
            yield tx
        await tx.run_callbacks()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool's, which gets it back whatever happens.

        The pool swallows a cancel that comes together with a connection, and loses a connection whose return is cancelled. So the one
        is noticed, and the other goes on by itself.
        """
        with _losses_told():
            task = asyncio.current_task()
            asked = 0 if task is None else task.cancelling()
            connection = await self._pool.getconn()
            try:
                if task is not None and task.cancelling() > asked:
                    raise asyncio.CancelledError
                yield connection
            finally:
                giving_back = asyncio.ensure_future(self._pool.putconn(connection))
                self._giving_back.add(giving_back)
                giving_back.add_done_callback(self._giving_back.discard)
                await asyncio.shield(giving_back)


@contextmanager
def _losses_told() -> Iterator[None]:
    """Turn what psycopg raises where the database is not there into errors that say so."""
    try:
        yield
    except PoolTimeout as problem:
        raise DatabaseLostError("The database is too busy: no connection came free within 30 seconds.") from problem
    except psycopg.errors.DiskFull as problem:
        raise DatabaseLostError("The disk of the database is full.") from problem
    except psycopg.OperationalError as problem:
        raise DatabaseLostError from problem


class JoinedDatabase(Database):
    """A database whose transactions are all parts of one that is open already."""

    def __init__(self, tx: Transaction, url: str) -> None:
        self.url = url
        self._tx = tx

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """The open transaction; whoever opened it commits."""
        yield self._tx

    @asynccontextmanager
    async def statement(self) -> AsyncIterator[Transaction]:
        """The open transaction; whoever opened it commits."""
        yield self._tx
