"""`log_url` of a run: a signed address that answers without credentials (contract 13.4)."""

from collections.abc import AsyncIterator
from uuid import UUID

from hedgerow.operations.backends import Backends

PATH = "/api/run_logs/{run_id}/"  # the route that answers it; query parameters `expires` and `signature`


def sign(backends: Backends, run_id: UUID) -> str:
    """The address of a run's log, valid for an hour at most and the same for 55 minutes."""
    raise NotImplementedError


async def read(backends: Backends, run_id: UUID, *, expires: str, signature: str) -> AsyncIterator[bytes]:
    """The run's own JSON lines, in pieces. Raises ForbiddenError for a wrong or an old signature."""
    raise NotImplementedError
