"""The database, and the machines that report to it."""

import json
from typing import TYPE_CHECKING, Any

from hedgerow.cli.admin.doing import Json, do
from hedgerow.cli.safe_text import safe

if TYPE_CHECKING:
    from hedgerow.domain.nodes import NodeListing


def migrate() -> None:
    """Bring the database to the version of this hedgerow."""
    import asyncio

    from hedgerow.cli.operator import read_settings

    settings = read_settings()

    async def bring_up_to_date() -> None:
        from hedgerow.app import open_database
        from hedgerow.local_files import make_data_dir

        make_data_dir(settings.data_dir)
        async with open_database(settings):
            pass

    asyncio.run(bring_up_to_date())
    print("The database is up to date.")


def list_nodes(as_json: Json = False) -> None:
    """List the machines whose workers have reported, how many runs each holds, and whether its disk has room for new ones."""

    async def find(backends: Any) -> dict[str, Any]:
        from hedgerow.operations import nodes

        return {"nodes": [_node(node) for node in await nodes.list_nodes(backends)]}

    found = do(find)
    if as_json:
        print(json.dumps(found))
        return
    for node in found["nodes"]:
        free = "unknown" if node["disk_free_bytes"] is None else f"{node['disk_free_bytes']:,} bytes"
        full = "" if node["disk_full_since"] is None else f"  takes no new runs since {node['disk_full_since']}: its disk is nearly full"
        life = "silent for longer than its lease" if node["lost"] else f"{node['runs']} runs"
        print(safe(f"{node['id']}  {node['worker_url']}  seen {node['seen_at']}  {life}  free {free}{full}"))


def _node(node: "NodeListing") -> dict[str, Any]:
    return {
        "id": str(node.id),
        "worker_url": node.worker_url,
        "seen_at": node.seen_at.isoformat(),
        "silent_seconds": round(node.silent_seconds, 3),
        "lost": node.lost,
        "runs": node.runs,
        "disk_free_bytes": node.disk_free_bytes,
        "disk_full_since": None if node.disk_full_since is None else node.disk_full_since.isoformat(),
    }
