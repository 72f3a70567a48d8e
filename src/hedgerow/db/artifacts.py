"""Manifests of runs, staged artifacts, and the objects that none of them names yet."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql
from psycopg.rows import scalar_row

from hedgerow.db.database import Transaction
from hedgerow.db.rows import storable
from hedgerow.domain.artifacts import Artifact, ArtifactType
from hedgerow.domain.housekeeping import ExpiredObject, Expiry

_NAMES: tuple[LiteralString, ...] = ("id", "name", "type", "source", "size", "content_type", "storage_path", "uploaded_at")
_COLUMNS = sql.SQL(", ").join(map(sql.Identifier, _NAMES))


def from_row(row: dict[str, Any]) -> Artifact:
    """The artifact of a row of either table."""
    return Artifact(**{name: row[name] for name in _NAMES} | {"type": ArtifactType(row["type"])})


def _values(artifact: Artifact) -> list[Any]:
    texts = [storable(text) for text in (artifact.name, artifact.type.value, artifact.source)]
    return [artifact.id, *texts, artifact.size, storable(artifact.content_type), storable(artifact.storage_path), artifact.uploaded_at]


async def of_run(tx: Transaction, run_id: UUID) -> list[Artifact]:
    """The manifest of a run, in order."""
    statement = sql.SQL("SELECT {} FROM artifacts WHERE run_id = %s ORDER BY position").format(_COLUMNS)
    return [from_row(row) for row in await (await tx.connection.execute(statement, [run_id])).fetchall()]


async def count(tx: Transaction, run_id: UUID) -> int:
    """How many entries the manifest of a run has."""
    row = await (await tx.connection.execute("SELECT count(*) AS count FROM artifacts WHERE run_id = %s", [run_id])).fetchone()
    assert row is not None
    return int(row["count"])


async def last_position(tx: Transaction, run_id: UUID) -> int:
    """The position of the last entry in the manifest of a run; 0 where it has none. Entries before it may have been removed."""
    row = await (await tx.connection.execute("SELECT max(position) AS last FROM artifacts WHERE run_id = %s", [run_id])).fetchone()
    return 0 if row is None or row["last"] is None else int(row["last"])


_REMOVE: LiteralString = """
    WITH old AS (
        DELETE FROM artifacts WHERE run_id = %(run_id)s AND position IN (
            SELECT position FROM artifacts WHERE run_id = %(run_id)s AND source = %(source)s ORDER BY position DESC OFFSET %(kept)s
        ) RETURNING storage_path
    ) INSERT INTO loose_objects (storage_path, expires_at) SELECT storage_path, %(now)s FROM old ON CONFLICT DO NOTHING
"""


async def remove_old(tx: Transaction, run_id: UUID, source: str, kept: int, now: datetime) -> None:
    """Take all but the last `kept` entries of a source out of the manifest of a run whose row is locked; their objects go.

    The caller writes the run's `artifact_count`.
    """
    await tx.connection.execute(_REMOVE, {"run_id": run_id, "source": source, "kept": kept, "now": now})


async def add(tx: Transaction, run_id: UUID, after: int, new: Sequence[Artifact], expires_at: datetime | None) -> None:
    """Put entries at the end of the manifest of a run, whose row is locked and whose last entry is at the position `after`.

    Their objects are not loose any more. The caller writes the run's `artifact_count`.
    """
    statement = sql.SQL("INSERT INTO artifacts (run_id, position, expires_at, {}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)")
    async with tx.connection.cursor() as cursor:
        await cursor.executemany(
            statement.format(_COLUMNS),
            [[run_id, after + index, expires_at, *_values(artifact)] for index, artifact in enumerate(new, 1)],
        )


_FIND: LiteralString = """
    SELECT {} FROM artifacts WHERE run_id = ANY (%s) AND storage_path = %s ORDER BY array_position(%s::uuid[], run_id) DESC LIMIT 1
"""


async def find(tx: Transaction, chain: Sequence[UUID], storage_path: str) -> Artifact | None:
    """The artifact at a path in the last run of a chain that has one there."""
    runs = list(chain)
    row = await (await tx.connection.execute(sql.SQL(_FIND).format(_COLUMNS), [runs, storable(storage_path), runs])).fetchone()
    return None if row is None else from_row(row)


async def stage(tx: Transaction, task_id: UUID, artifact: Artifact, expires_at: datetime) -> None:
    """Keep an artifact for a run of its task that is yet to come; once more, with a new expiry, where it is kept already."""
    statement = sql.SQL(
        "INSERT INTO staged_artifacts (task_id, expires_at, {}) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (task_id, id) DO UPDATE SET expires_at = excluded.expires_at, name = excluded.name, type = excluded.type,"
        " source = excluded.source, size = excluded.size, content_type = excluded.content_type, storage_path = excluded.storage_path,"
        " uploaded_at = excluded.uploaded_at"
    ).format(_COLUMNS)
    await tx.connection.execute(statement, [task_id, expires_at, *_values(artifact)])


async def staged(tx: Transaction, task_id: UUID, ids: Sequence[str], now: datetime) -> list[Artifact]:
    """Those of the ids that are staged for a task and have not expired, in the order of the ids, locked for the transaction."""
    statement = sql.SQL("SELECT {} FROM staged_artifacts WHERE task_id = %s AND id = ANY (%s) AND expires_at > %s FOR UPDATE")
    wanted = [storable(artifact_id) for artifact_id in ids]
    rows = await (await tx.connection.execute(statement.format(_COLUMNS), [task_id, wanted, now])).fetchall()
    found = {row["id"]: from_row(row) for row in rows}
    return [found[artifact_id] for artifact_id in dict.fromkeys(ids) if artifact_id in found]


async def unstage(tx: Transaction, task_id: UUID, taken: Sequence[Artifact]) -> None:
    """Staged artifacts have been taken over by a run."""
    ids = [artifact.id for artifact in taken]
    await tx.connection.execute("DELETE FROM staged_artifacts WHERE task_id = %s AND id = ANY (%s)", [task_id, ids])


async def announce(tx: Transaction, storage_paths: Sequence[str], expires_at: datetime) -> None:
    """Objects may be written to these paths; unless something names them by `expires_at`, they are removed."""
    async with tx.connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO loose_objects (storage_path, expires_at) VALUES (%s, %s)", [[path, expires_at] for path in storage_paths]
        )


async def claim(tx: Transaction, storage_path: str) -> bool:
    """Take an object out of the collector's hands: a row of the same transaction names it. False where it may have been collected."""
    loose = await tx.connection.execute("DELETE FROM loose_objects WHERE storage_path = %s", [storage_path])
    if loose.rowcount:
        return True
    kept = await tx.connection.execute("SELECT 1 FROM staged_artifacts WHERE storage_path = %s FOR UPDATE", [storage_path])
    return await kept.fetchone() is not None


_EXPIRED: LiteralString = """
    SELECT storage_path FROM loose_objects WHERE expires_at <= %(now)s
    UNION SELECT storage_path FROM staged_artifacts WHERE expires_at <= %(now)s
    UNION SELECT storage_path FROM artifacts WHERE expires_at <= %(now)s LIMIT %(limit)s
"""


async def expired(tx: Transaction, now: datetime, limit: int) -> list[str]:
    """Paths of objects whose time is over for somebody."""
    cursor = tx.connection.cursor(row_factory=scalar_row)
    return list(await (await cursor.execute(_EXPIRED, {"now": now, "limit": limit})).fetchall())


_EXPIRED_SIZES: LiteralString = """
    SELECT storage_path, min(expires_at) AS since, max(size) AS size_bytes, min(expiry) AS expiry FROM (
        SELECT storage_path, expires_at, NULL::bigint AS size, 'loose' AS expiry FROM loose_objects WHERE expires_at <= %(now)s
        UNION ALL SELECT storage_path, expires_at, size, 'staged' FROM staged_artifacts WHERE expires_at <= %(now)s
        UNION ALL SELECT storage_path, expires_at, size, 'artifact' FROM artifacts WHERE expires_at <= %(now)s
    ) over GROUP BY storage_path ORDER BY since LIMIT %(limit)s
"""


async def expired_objects(tx: Transaction, now: datetime, limit: int) -> list[ExpiredObject]:
    """As `expired`, with since when, why, and, where a row says it, how large: the longest overdue first."""
    rows = await (await tx.connection.execute(_EXPIRED_SIZES, {"now": now, "limit": limit})).fetchall()
    return [
        ExpiredObject(path=row["storage_path"], since=row["since"], expiry=Expiry(row["expiry"]), size_bytes=row["size_bytes"])
        for row in rows
    ]


async def let_go(tx: Transaction, storage_path: str, now: datetime) -> bool:
    """Forget whatever has expired of an object; whether nobody needs it any more, so that the caller removes it before the commit."""
    await tx.connection.execute("DELETE FROM loose_objects WHERE storage_path = %s AND expires_at <= %s", [storage_path, now])
    await tx.connection.execute("DELETE FROM staged_artifacts WHERE storage_path = %s AND expires_at <= %s", [storage_path, now])
    await tx.connection.execute(
        "UPDATE artifacts SET expires_at = NULL, gone_at = %s WHERE storage_path = %s AND expires_at <= %s", [now, storage_path, now]
    )
    needed: LiteralString = """
        SELECT 1 FROM loose_objects WHERE storage_path = %(path)s
        UNION ALL SELECT 1 FROM staged_artifacts WHERE storage_path = %(path)s
        UNION ALL SELECT 1 FROM artifacts WHERE storage_path = %(path)s AND gone_at IS NULL
        UNION ALL SELECT 1 FROM journal_archives WHERE storage_path = %(path)s
    """
    return await (await tx.connection.execute(needed, {"path": storage_path})).fetchone() is None
