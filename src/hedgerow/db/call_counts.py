"""How often each project was called lately, counted for all processes together."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import LiteralString

from hedgerow.db.database import Transaction

_COUNT: LiteralString = """
    INSERT INTO call_counts (project_id, window_seconds, began_at, calls)
    SELECT %s, seconds, began_at, 1 FROM unnest(%s::integer[], %s::timestamptz[]) AS w (seconds, began_at) ORDER BY seconds
    ON CONFLICT (project_id, window_seconds) DO UPDATE SET
        calls = CASE WHEN call_counts.began_at < excluded.began_at THEN 1 ELSE call_counts.calls + 1 END,
        began_at = greatest(call_counts.began_at, excluded.began_at)
    RETURNING window_seconds, calls
"""


async def count_call(tx: Transaction, project_id: int, windows_seconds: Sequence[int], now: datetime) -> dict[int, int]:
    """Count one call of a project; how many there were, this one included, in each window that `now` lies in, by its length."""
    began = [datetime.fromtimestamp(now.timestamp() // seconds * seconds, UTC) for seconds in windows_seconds]
    rows = await (await tx.connection.execute(_COUNT, [project_id, list(windows_seconds), began])).fetchall()
    return {row["window_seconds"]: row["calls"] for row in rows}
