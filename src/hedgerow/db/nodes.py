"""Nodes: machines with a data directory of their own, whose workers report here."""

from typing import LiteralString
from uuid import UUID

from hedgerow.db.database import Transaction
from hedgerow.domain.housekeeping import Room
from hedgerow.domain.nodes import NodeBeat, NodeListing

_REPORT: LiteralString = """
    INSERT INTO nodes (id, worker_url, seen_at, beat, lease_seconds, disk_free_bytes, disk_full_since)
    VALUES (%(id)s, %(url)s, now(), 1, %(lease)s, %(free)s, CASE WHEN %(full)s THEN now() END)
    ON CONFLICT (id) DO UPDATE
    SET worker_url = excluded.worker_url, seen_at = now(), beat = nodes.beat + 1, lease_seconds = excluded.lease_seconds,
        disk_free_bytes = excluded.disk_free_bytes,
        disk_full_since = CASE WHEN excluded.disk_full_since IS NOT NULL THEN coalesce(nodes.disk_full_since, now()) END
"""


async def report(tx: Transaction, node_id: UUID, worker_url: str, lease_seconds: float, room: Room | None = None) -> None:
    """Say that a node is alive, for how long it may act from now on, where its worker's gate listens, and how much room its disk has."""
    free, full = (None, False) if room is None else (room.free_bytes, not room.enough)
    values = {"id": node_id, "url": worker_url, "lease": lease_seconds, "free": free, "full": full}
    await tx.connection.execute(_REPORT, values)


async def others(tx: Transaction, node_id: UUID) -> list[NodeBeat]:
    """What all other nodes have last said of themselves."""
    rows = await (await tx.connection.execute("SELECT id, beat, lease_seconds FROM nodes WHERE id <> %s", [node_id])).fetchall()
    return [NodeBeat(**row) for row in rows]


async def hold_still(tx: Transaction, node: NodeBeat) -> bool:
    """Whether a node has not reported since; it does not until the end of the transaction then.

    False also where it is at it now: it may stand still in the middle of that, and then the database breaks its transaction off.
    """
    statement: LiteralString = "SELECT 1 FROM nodes WHERE id = %s AND beat = %s FOR SHARE SKIP LOCKED"
    return await (await tx.connection.execute(statement, [node.id, node.beat])).fetchone() is not None


async def worker_url(tx: Transaction, node_id: UUID) -> str | None:
    """Where the gate of a node listens; None for a node that never reported."""
    row = await (await tx.connection.execute("SELECT worker_url FROM nodes WHERE id = %s", [node_id])).fetchone()
    return None if row is None else str(row["worker_url"])


_LISTING: LiteralString = """
    SELECT id, worker_url, seen_at, extract(epoch FROM now() - seen_at)::double precision AS silent_seconds, lease_seconds,
        disk_free_bytes, disk_full_since,
        (SELECT count(*) FROM runs WHERE node_id = nodes.id AND cleaned_at IS NULL) AS runs
    FROM nodes ORDER BY seen_at DESC, id
"""


async def listing(tx: Transaction) -> list[NodeListing]:
    """Every node that has ever reported, the one that was heard of last first."""
    return [NodeListing(**row) for row in await (await tx.connection.execute(_LISTING)).fetchall()]
