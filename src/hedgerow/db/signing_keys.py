"""Signing keys at rest: encrypted, by name."""

from datetime import datetime

from hedgerow.db.database import Transaction


async def load(tx: Transaction, name: str) -> bytes | None:
    """The encrypted key of that name."""
    row = await (await tx.connection.execute("SELECT encrypted FROM signing_keys WHERE name = %s", [name])).fetchone()
    return None if row is None else bytes(row["encrypted"])


async def add(tx: Transaction, name: str, encrypted: bytes, created_at: datetime) -> bytes:
    """Store a key unless there is one of that name; the one that stands now. Several processes may try at once."""
    await tx.connection.execute(
        "INSERT INTO signing_keys (name, encrypted, created_at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", [name, encrypted, created_at]
    )
    stored = await load(tx, name)
    assert stored is not None
    return stored


async def replace(tx: Transaction, name: str, encrypted: bytes) -> None:
    """Store a key that was encrypted anew."""
    await tx.connection.execute("UPDATE signing_keys SET encrypted = %s WHERE name = %s", [encrypted, name])
