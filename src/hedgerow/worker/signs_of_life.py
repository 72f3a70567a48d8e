"""The signs of life that nodes give: this one's own, and whose have stopped."""

import math

from hedgerow.db import nodes
from hedgerow.domain.clock import steady_seconds
from hedgerow.domain.nodes import Watch
from hedgerow.lifecycle import GRACE_SECONDS, Leftovers, Node, close_doors, take_over
from hedgerow.worker.sweep import wake


class SignsOfLife:
    """Tells of this node, watches the others, and tidies up after a silence of its own."""

    def __init__(self, node: Node, tidy_seconds: float) -> None:
        self._node = node
        self._watch = Watch(longest_gap_seconds=node.lease.seconds / 2)
        self._leftovers = Leftovers()
        self._tidy_seconds = tidy_seconds
        self._tidy_at = -math.inf

    async def report(self) -> None:
        """Say that this node lives, and have the runs of those taken over that have said so for too long no more.

        Where it could not say so for its lease, it looks first which runs are still its own, and acts again only then.
        """
        node = self._node
        began = node.lease.now()
        async with node.backends.database.transaction() as tx:
            await nodes.report(tx, node.id, node.worker_url(), node.lease.seconds, node.room())
            others = await nodes.others(tx, node.id)
        lapsed = not node.lease.held
        if lapsed:
            await close_doors(node)
        node.lease.renew(began)
        if lapsed:
            self._tidy_at = -math.inf
            await wake(node)
        for lost in self._watch.note(others, node.lease.now()):
            await take_over(node, lost)

    async def tidy(self) -> None:
        """Now and then, and at once where this node was silent for too long, remove what no run of it claims."""
        if steady_seconds() < self._tidy_at:
            return
        self._tidy_at = steady_seconds() + self._tidy_seconds
        if await self._leftovers.remove(self._node):
            self._tidy_at = steady_seconds() + GRACE_SECONDS
