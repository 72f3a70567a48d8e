"""Objects whose time is over, and uploads that nobody finalized, go."""

import structlog

from hedgerow.db import artifacts
from hedgerow.db.database import DatabaseLostError
from hedgerow.domain.errors import UnavailableError
from hedgerow.operations.backends import Backends

_MOST = 1000

log = structlog.get_logger()


async def collect(backends: Backends) -> int:
    """Remove the objects that nobody needs any more, a thousand at most; how many. Several may collect at once.

    The entry of a run's artifact stays in its manifest; what was staged or never finalized is forgotten. An object that the store does
    not let go of now is tried again the next time. Raises UnavailableError where the database does not answer.
    """
    now = backends.clock.now()
    async with backends.database.statement() as tx:
        paths = await artifacts.expired(tx, now, _MOST)
    removed = 0
    for path in paths:
        try:
            removed += await remove(backends, path)
        except DatabaseLostError:
            raise
        except UnavailableError as problem:
            log.warning("an artifact could not be removed; trying again later", storage_path=path, reason=problem.message)
    return removed


async def remove(backends: Backends, path: str) -> bool:
    """Remove one object, if nobody needs it any more. Safe to repeat. Raises UnavailableError where the store does not let go of it."""
    async with backends.database.transaction() as tx:
        needless = await artifacts.let_go(tx, path, backends.clock.now())
        if needless:
            await backends.storage.delete(path)
    return needless
