"""Nodes: machines with a data directory of their own, whose workers report here."""

from dataclasses import dataclass
from datetime import datetime
from typing import LiteralString
from uuid import UUID

from hedgerow.db.database import Transaction
from hedgerow.domain.housekeeping import Room


async def report(tx: Transaction, node_id: UUID, worker_url: str, now: datetime, room: Room | None = None) -> None:
    """Say that a node is alive, where its worker's gate listens, and how much room its disk has."""
    statement: LiteralString = (
        "INSERT INTO nodes (id, worker_url, seen_at, disk_free_bytes, disk_full_since)"
        " VALUES (%(id)s, %(url)s, %(now)s, %(free)s, %(full)s)"
        " ON CONFLICT (id) DO UPDATE SET worker_url = excluded.worker_url, seen_at = excluded.seen_at,"
        " disk_free_bytes = excluded.disk_free_bytes, disk_full_since ="
        " CASE WHEN excluded.disk_full_since IS NOT NULL THEN coalesce(nodes.disk_full_since, excluded.disk_full_since) END"
    )
    free = None if room is None else room.free_bytes
    full = None if room is None or room.enough else now
    await tx.connection.execute(statement, {"id": node_id, "url": worker_url, "now": now, "free": free, "full": full})


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedNode:
    """A node as it last reported."""

    id: UUID
    worker_url: str
    seen_at: datetime
    disk_free_bytes: int | None
    disk_full_since: datetime | None  # since when it takes no new runs; None where it does


async def reported(tx: Transaction) -> list[ReportedNode]:
    """Every node that ever reported, the latest first."""
    rows = await (
        await tx.connection.execute("SELECT id, worker_url, seen_at, disk_free_bytes, disk_full_since FROM nodes ORDER BY seen_at DESC")
    ).fetchall()
    return [ReportedNode(**row) for row in rows]


async def worker_url(tx: Transaction, node_id: UUID) -> str | None:
    """Where the gate of a node listens; None for a node that never reported."""
    row = await (await tx.connection.execute("SELECT worker_url FROM nodes WHERE id = %s", [node_id])).fetchone()
    return None if row is None else str(row["worker_url"])
