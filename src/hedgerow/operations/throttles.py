"""How often a project may be called with personal keys, where the operator bounds that (contract 1.5, 13.4)."""

import math

from hedgerow.db import call_counts
from hedgerow.domain.access import Caller, PersonalCaller, Project
from hedgerow.domain.errors import LimitExceededError
from hedgerow.operations.backends import Backends


async def count_call(backends: Backends, caller: Caller, project: Project) -> None:
    """Count a call. Raises LimitExceededError, which says when to come again, beyond a bound; agents' run tokens are not bounded."""
    bounds = {seconds: most for seconds, most in backends.rules.most_calls.items() if most > 0}
    if not bounds or not isinstance(caller, PersonalCaller):
        return
    now = backends.clock.now()
    async with backends.database.statement() as tx:
        counted = await call_counts.count_call(tx, project.id, sorted(bounds), now)
    left = [seconds - now.timestamp() % seconds for seconds, most in bounds.items() if counted[seconds] > most]
    if left:
        wait = max(1, math.ceil(max(left)))
        raise LimitExceededError(f"This project was called too often: come again in {wait} seconds.", retry_after_seconds=wait)
