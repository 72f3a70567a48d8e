"""The same Idempotency-Key gives the same answer, and does nothing again (contract 13.1)."""

from collections.abc import Awaitable, Callable

from hedgerow.domain.access import Caller
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
    raise NotImplementedError
