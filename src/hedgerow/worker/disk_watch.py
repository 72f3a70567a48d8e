"""What may go from a node, by its age or because its disk is full."""

import asyncio

import structlog

from hedgerow.domain.clock import steady_seconds
from hedgerow.lifecycle import Node, keep_house, plan_now
from hedgerow.worker.loops import until

log = structlog.get_logger()

_FULL_SECONDS = 600.0  # how often a worker whose disk is full tries to make room


class DiskWatch:
    """What may go from this node goes every few hours, and at once where its disk has become too full for new runs."""

    def __init__(self, node: Node, gc_seconds: float, stop: asyncio.Event) -> None:
        self._node = node
        self._gc_seconds = gc_seconds
        self._stop = stop
        self._last = steady_seconds()
        self._full = False

    async def look(self) -> None:
        """Look at the disk, and keep house where it is time to. It is cut off where the worker stops."""
        was_full, self._full = self._full, not self._node.room().enough
        if self._full != was_full:
            _tell(self._node, self._full)
        pause = min(self._gc_seconds, _FULL_SECONDS) if self._full else self._gc_seconds
        if self._gc_seconds and ((self._full and not was_full) or steady_seconds() - self._last >= pause):
            self._last = steady_seconds()
            await until(self._stop, self._collect())

    async def _collect(self) -> None:
        async for _ in keep_house(self._node, await plan_now(self._node)):
            pass


def _tell(node: Node, full: bool) -> None:
    room = node.room()
    if full:
        log.warning("the disk is nearly full: this machine takes no new runs", folder=str(node.data_dir), free_bytes=room.free_bytes)
    else:
        log.info("there is room on the disk again: this machine takes new runs", folder=str(node.data_dir), free_bytes=room.free_bytes)
