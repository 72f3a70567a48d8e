"""`log_url` of a run: a signed address that answers without credentials (contract 13.4)."""

import hmac
from collections.abc import AsyncIterator
from uuid import UUID

from hedgerow.domain.errors import ForbiddenError
from hedgerow.operations.backends import Backends
from hedgerow.operations.logs import journal_lines

PATH = "/api/run_logs/{run_id}/"  # the route that answers it; query parameters `expires` and `signature`

_SAME_FOR = 11 / 12  # the part of its life for which the same address is given: 55 minutes of an hour


def sign(backends: Backends, run_id: UUID) -> str:
    """The address of a run's log, valid for an hour at most and the same for 55 minutes."""
    lifetime = backends.rules.log_url_seconds
    period = max(int(lifetime * _SAME_FOR), 1)
    expires = int(backends.clock.now().timestamp()) // period * period + lifetime
    run = str(run_id)  # once: a list signs a hundred of them
    signature = _signature(backends.rules.secrets[0], run, expires)
    return f"{backends.rules.public_url}{PATH.format(run_id=run)}?expires={expires}&signature={signature}"


async def read(backends: Backends, run_id: UUID, *, expires: str, signature: str) -> AsyncIterator[bytes]:
    """The run's own JSON lines, in pieces. Raises ForbiddenError for a wrong or an old signature."""
    moment = int(expires) if expires.isascii() and expires.isdigit() and len(expires) <= 12 else 0
    given = signature.encode("utf-8", "replace")
    if not any(hmac.compare_digest(_signature(secret, str(run_id), moment).encode(), given) for secret in backends.rules.secrets):
        raise ForbiddenError("This address was not signed here.")
    if backends.clock.now().timestamp() >= moment:
        raise ForbiddenError("This address has expired: ask the run for a new log_url.")
    return journal_lines(backends, [run_id])


def _signature(secret: bytes, run_id: str, expires: int) -> str:
    return hmac.digest(secret, f"hedgerow log url {run_id} {expires}".encode(), "sha256").hex()
