"""Work that goes on until somebody says stop."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import structlog

from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.errors import HedgerowError

log = structlog.get_logger()

_TRY_AGAIN_SECONDS = 0.5
_LEAVE_SECONDS = 2.0  # how long looks that are under way may take once the worker stops


async def until(stop: asyncio.Event, work: Coroutine[Any, Any, Any], *, grace_seconds: float = 0.0) -> None:
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


async def every(seconds: float, look: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    """Look again and again. A look that waits for something that is away, as the database may be, keeps nobody from stopping."""
    while not stop.is_set():
        try:
            await until(stop, look(), grace_seconds=_LEAVE_SECONDS)
        except HedgerowError as error:
            log.warning("could not look after the runs; trying again", reason=error.message)
        except Exception:
            log.exception("could not look after the runs; trying again")
        await pause(seconds, stop)


async def until_done(beginning: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> bool:
    """Do what a worker begins with, as often as it takes while the database is away. False where `stop` comes first."""
    while not stop.is_set():
        try:
            await until(stop, beginning())
            return not stop.is_set()
        except* DatabaseLostError:
            log.warning("the database does not answer; trying again")
        await pause(_TRY_AGAIN_SECONDS, stop)
    return False


async def pause(seconds: float, stop: asyncio.Event) -> None:
    """Return after that time, or once `stop` is set."""
    with suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
