"""The machines whose workers report here."""

from hedgerow.db import nodes
from hedgerow.db.nodes import ReportedNode
from hedgerow.operations.backends import Backends


async def list_nodes(backends: Backends) -> list[ReportedNode]:
    """Every machine that ever reported, the latest first. For the operator alone."""
    async with backends.database.statement() as tx:
        return await nodes.reported(tx)
