"""What has a time that is over is forgotten."""

from datetime import timedelta

from hedgerow.db import github, idempotency, readiness, relays
from hedgerow.domain.readiness import LONGEST_WINDOW_DAYS
from hedgerow.lifecycle import Node
from hedgerow.operations import artifact_collection


async def forget(node: Node) -> None:
    """Remove what is past its time: answers that were kept, counts, tokens of runs, relays, artifacts."""
    now = node.backends.clock.now()
    async with node.backends.database.transaction() as tx:
        await idempotency.forget_old(tx, now)
        longest_cache = timedelta(seconds=node.backends.rules.readiness_cache_seconds)
        await readiness.forget(tx, now - longest_cache, (now - timedelta(days=LONGEST_WINDOW_DAYS + 1)).date())
        await github.forget_old_run_tokens(tx, now)
        if slack_days := node.backends.rules.slack_days:
            await relays.forget_old(tx, now - timedelta(days=slack_days))
    await artifact_collection.collect(node.backends)
