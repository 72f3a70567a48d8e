"""What a worker lays out before it starts an agent: the runtime tree, and beside it the agents that are asked for."""

import asyncio
from pathlib import Path

import structlog

from hedgerow.agents import runtime_tree
from hedgerow.agents.install import Report, install
from hedgerow.agents.options import AgentOptions
from hedgerow.agents.pins import PACKAGES

log = structlog.get_logger()


class RuntimeTrees:
    """Called with an agent's name, it gives the tree once that agent stands ready beside it. One per process."""

    def __init__(self, data_dir: Path, options: AgentOptions, report: Report = lambda progress: None) -> None:
        self._data_dir = data_dir
        self._options = options
        self._report = report
        self._tree: asyncio.Task[Path] | None = None

    async def __call__(self, agent: str) -> Path:
        """The tree, made and with `agent` installed where that was missing. Raises UnavailableError saying what is wrong."""
        tree = await self.tree()
        if agent in PACKAGES and not PACKAGES[agent].installed(tree):
            log.info("installing an agent", agent=agent, version=PACKAGES[agent].version)
            await install(agent, tree, self._options, self._report)
            log.info("an agent is installed", agent=agent)
        if agent in PACKAGES:
            runtime_tree.note_use(PACKAGES[agent].folder(tree))
        return tree

    async def tree(self) -> Path:
        """The tree alone. Called early, it spares the first run the wait. A try that failed is made again with the next call."""
        if self._tree is None or (self._tree.done() and (self._tree.cancelled() or self._tree.exception() is not None)):
            self._tree = asyncio.create_task(runtime_tree.ensure(self._data_dir), name="runtime tree")
        return await asyncio.shield(self._tree)
