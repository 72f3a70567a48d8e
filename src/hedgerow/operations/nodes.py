"""The machines whose workers report here."""

from hedgerow.db import nodes
from hedgerow.domain.nodes import NodeListing
from hedgerow.operations.backends import Backends


async def list_nodes(backends: Backends) -> list[NodeListing]:
    """Every machine that ever reported, the latest first. For the operator alone."""
    async with backends.database.statement() as tx:
        return await nodes.listing(tx)
