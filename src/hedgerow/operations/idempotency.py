"""The same Idempotency-Key gives the same answer, and does nothing again (contract 13.1)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import UUID, uuid4

import structlog

from hedgerow.db import idempotency
from hedgerow.db.database import JoinedDatabase
from hedgerow.domain.access import Caller
from hedgerow.domain.errors import ConflictError, HedgerowError
from hedgerow.operations.backends import Backends

logger = structlog.get_logger()

HELD = timedelta(seconds=30)
"""How long a key stays taken by a process that has died while it worked under it."""

_AGAIN_SECONDS = 10.0  # how often a process says that it still works
_LOOKS_SECONDS = (0.05, 1.0)  # how often whoever waits looks: at first, and at last

Work = Callable[[Backends], Awaitable[tuple[int, bytes]]]


async def once(
    backends: Backends, caller: Caller, *, method: str, path: str, key: str, body_hash: bytes, work: Work
) -> tuple[int, bytes, bool]:
    """Do `work` unless it was done under this key before: (status, body, replayed).

    `work` gets backends whose database is the transaction that also keeps the answer, and must use those: so its effect and
    the kept answer stand or fall together. Whoever comes while the first is at work waits for it. Only 2xx answers are kept.
    Raises ConflictError (detail_code `idempotency_conflict`) where the key came with another body within 24 hours,
    and whatever `work` raises.
    """
    request = idempotency.Request(caller.identity, method, path, key)
    async with backends.database.transaction() as tx:
        if not await idempotency.take(tx, request, body_hash, backends.clock.now()):
            kept = await idempotency.load(tx, request)
            assert kept is not None
            _check_same_body(kept, body_hash)
            if kept.status is None:
                raise ConflictError("The first call with this Idempotency-Key is still under way.", detail_code="idempotency_conflict")
            return kept.status, kept.body or b"", True
        status, body = await work(replace(backends, database=JoinedDatabase(tx, backends.database.url)))
        if 200 <= status < 300:
            await idempotency.keep(tx, request, status, body)
        else:
            await idempotency.forget(tx, request, backends.clock.now() + idempotency.KEPT)
        return status, body, False


async def find(backends: Backends, caller: Caller, *, method: str, path: str, key: str, body_hash: bytes) -> tuple[int, bytes] | None:
    """The answer that is kept under a key by now, if any: (status, body). Raises ConflictError where the key came with another body."""
    request = idempotency.Request(caller.identity, method, path, key)
    async with backends.database.transaction() as tx:
        await idempotency.forget(tx, request, backends.clock.now() - idempotency.KEPT)
        kept = await idempotency.load(tx, request)
    if kept is None:
        return None
    _check_same_body(kept, body_hash)
    return None if kept.status is None else (kept.status, kept.body or b"")


async def once_held(
    backends: Backends, caller: Caller, *, method: str, path: str, key: str, body_hash: bytes, work: Work
) -> tuple[int, bytes, bool]:
    """As `once`, for work that waits for others than the database, and would keep a transaction open meanwhile.

    The key is taken in one transaction and the answer kept in another; in between the key is held for `HELD`, again and again as
    long as this process works on it. Where the process dies, the next call with the key does the work once more: what it did
    is not known.
    """
    request, holder = idempotency.Request(caller.identity, method, path, key), uuid4()
    kept = await _take_or_await(backends, request, body_hash, holder)
    if kept is not None:
        assert kept.status is not None
        return kept.status, kept.body or b"", True
    done = False
    try:
        async with _holding(backends, request, holder):
            status, body = await work(backends)
        if 200 <= status < 300:
            async with backends.database.statement() as tx:
                done = await idempotency.keep_held(tx, request, holder, status, body)
    finally:
        if not done:
            await _let_go(backends, request, holder)
    return status, body, False


async def _take_or_await(backends: Backends, request: idempotency.Request, body_hash: bytes, holder: UUID) -> idempotency.Kept | None:
    """None once the key is ours; what is kept under it where somebody else has finished. Raises ConflictError."""
    pause, longest = _LOOKS_SECONDS
    while True:
        now = backends.clock.now()
        async with backends.database.transaction() as tx:
            if await idempotency.hold(tx, request, body_hash, holder, now, now + HELD):
                return None
            kept = await idempotency.load(tx, request)
        if kept is not None:
            _check_same_body(kept, body_hash)
            if kept.status is not None:
                return kept
        await asyncio.sleep(pause)  # no connection is held meanwhile
        pause = min(pause * 1.5, longest)


@asynccontextmanager
async def _holding(backends: Backends, request: idempotency.Request, holder: UUID) -> AsyncIterator[None]:
    """Hold a key that was taken, however long the block takes."""

    async def hold_on() -> None:
        while True:
            await asyncio.sleep(_AGAIN_SECONDS)
            try:
                async with backends.database.statement() as tx:
                    await idempotency.hold_on(tx, request, holder, backends.clock.now() + HELD)
            except HedgerowError as problem:
                logger.warning("an idempotency key could not be held on to", reason=problem.message)

    holding = asyncio.create_task(hold_on())
    try:
        yield
    finally:
        holding.cancel()
        await asyncio.wait({holding})


async def _let_go(backends: Backends, request: idempotency.Request, holder: UUID) -> None:
    try:
        async with backends.database.statement() as tx:
            await idempotency.let_go(tx, request, holder)
    except HedgerowError as problem:
        logger.warning("an idempotency key stays taken for a while", reason=problem.message)


def _check_same_body(kept: idempotency.Kept, body_hash: bytes) -> None:
    if kept.body_hash != body_hash:
        raise ConflictError("This Idempotency-Key was used with another body.", detail_code="idempotency_conflict")
