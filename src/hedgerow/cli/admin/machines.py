"""The machines that hold runs."""

import json
from typing import Any

from hedgerow.cli.admin.doing import Json, do
from hedgerow.cli.safe_text import safe


def list_nodes(as_json: Json = False) -> None:
    """List the machines that have ever held runs, the one that was heard of last first."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.db import nodes

        async with backends.database.statement() as tx:
            found = await nodes.listing(tx)
        listed = [
            {
                "id": str(node.id),
                "worker_url": node.worker_url,
                "seen_at": node.seen_at.isoformat(),
                "silent_seconds": round(node.silent_seconds, 1),
                "lease_seconds": node.lease_seconds,
                "runs": node.runs,
                "lost": node.lost,
                "disk_free_bytes": node.disk_free_bytes,
                "disk_full_since": None if node.disk_full_since is None else node.disk_full_since.isoformat(),
            }
            for node in found
        ]
        return {"nodes": listed}

    found = do(find)
    if as_json:
        print(json.dumps(found))
        return
    for node in found["nodes"]:
        stands = f"lost, silent since {node['seen_at']}" if node["lost"] else f"heard of {node['silent_seconds']:g} seconds ago"
        free = "unknown" if node["disk_free_bytes"] is None else f"{node['disk_free_bytes']:,} bytes"
        full = "" if node["disk_full_since"] is None else f", nearly full since {node['disk_full_since']}: it takes no new runs"
        print(safe(f"{node['id']}  {node['worker_url']}  {node['runs']} runs  {stands}  disk: {free} free{full}"))
