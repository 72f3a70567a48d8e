"""Nodes: machines with a data directory of their own, whose workers report here."""

from datetime import datetime
from typing import LiteralString
from uuid import UUID

from hedgerow.db.database import Transaction


async def report(tx: Transaction, node_id: UUID, worker_url: str, now: datetime) -> None:
    """Say that a node is alive and where its worker's gate listens."""
    statement: LiteralString = (
        "INSERT INTO nodes (id, worker_url, seen_at) VALUES (%s, %s, %s)"
        " ON CONFLICT (id) DO UPDATE SET worker_url = excluded.worker_url, seen_at = excluded.seen_at"
    )
    await tx.connection.execute(statement, [node_id, worker_url, now])


async def worker_url(tx: Transaction, node_id: UUID) -> str | None:
    """Where the gate of a node listens; None for a node that never reported."""
    row = await (await tx.connection.execute("SELECT worker_url FROM nodes WHERE id = %s", [node_id])).fetchone()
    return None if row is None else str(row["worker_url"])
