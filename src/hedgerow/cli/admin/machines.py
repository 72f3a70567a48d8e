"""The machines that hold runs."""

import json
from typing import TYPE_CHECKING, Any

from hedgerow.cli.admin.doing import Json, do
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.nodes import NodeListing


def list_nodes(as_json: Json = False) -> None:
    """List the machines whose workers have reported, how many runs each holds, and whether its disk has room for new ones."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.db import nodes

        async with backends.database.statement() as tx:
            return {"nodes": [_node(node) for node in await nodes.listing(tx)]}

    found = do(find)
    if as_json:
        print(json.dumps(found))
        return
    for node in found["nodes"]:
        free = "unknown" if node["disk_free_bytes"] is None else f"{node['disk_free_bytes']:,} bytes"
        full = "" if node["disk_full_since"] is None else f"  takes no new runs since {node['disk_full_since']}: its disk is nearly full"
        life = f"lost, silent since {node['seen_at']}" if node["lost"] else f"heard of {node['silent_seconds']:g} seconds ago"
        print(safe(f"{node['id']}  {node['worker_url']}  {node['runs']} runs  {life}  free {free}{full}"))


def _node(node: "NodeListing") -> dict[str, Any]:
    return {
        "id": str(node.id),
        "worker_url": node.worker_url,
        "seen_at": node.seen_at.isoformat(),
        "silent_seconds": round(node.silent_seconds, 1),
        "lease_seconds": node.lease_seconds,
        "lost": node.lost,
        "runs": node.runs,
        "disk_free_bytes": node.disk_free_bytes,
        "disk_full_since": None if node.disk_full_since is None else node.disk_full_since.isoformat(),
    }
