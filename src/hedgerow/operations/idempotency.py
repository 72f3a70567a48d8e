"""The same Idempotency-Key gives the same answer, and does nothing again (contract 13.1)."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from hedgerow.db import idempotency
from hedgerow.db.database import JoinedDatabase
from hedgerow.domain.access import Caller
from hedgerow.domain.errors import ConflictError
from hedgerow.operations.backends import Backends

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
            if kept.body_hash != body_hash:
                raise ConflictError("This Idempotency-Key was used with another body.", detail_code="idempotency_conflict")
            assert kept.status is not None
            return kept.status, kept.body or b"", True
        status, body = await work(replace(backends, database=JoinedDatabase(tx, backends.database.url)))
        if 200 <= status < 300:
            await idempotency.keep(tx, request, status, body)
        else:
            await idempotency.forget(tx, request, backends.clock.now() + idempotency.KEPT)
        return status, body, False
