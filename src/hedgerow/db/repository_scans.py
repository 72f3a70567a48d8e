"""Scans of repositories: what was asked for, and what the last one found."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, LiteralString
from uuid import UUID

from psycopg import sql

from hedgerow.db.database import Transaction
from hedgerow.db.rows import as_json, storable
from hedgerow.domain.repository_scans import Scan, Traits

_NAMES: tuple[LiteralString, ...] = ("id", "project_id", "repository", "wanted", "done", "requested_at", "tried_at", "problem", "commit")
COLUMNS = sql.SQL(", ").join(map(sql.Identifier, (*_NAMES, "result")))


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryScan:
    """How the scan of a repository stands."""

    id: UUID
    project_id: int
    repository: str
    wanted: int
    done: int
    requested_at: datetime
    tried_at: datetime | None
    problem: str | None
    commit: str | None
    result: Scan | None

    @property
    def pending(self) -> bool:
        """Whether a worker is to scan."""
        return self.done < self.wanted


def as_scan(fields: dict[str, Any]) -> Scan:
    """The scan that `asdict` made these fields of."""
    return Scan(**{**fields, "event_names": tuple(fields["event_names"]), "traits": Traits(**fields["traits"])})


def from_row(row: dict[str, Any]) -> RepositoryScan:
    """The scan of a row."""
    result = row["result"]
    return RepositoryScan(**{name: row[name] for name in _NAMES}, result=None if result is None else as_scan(result))


_REQUEST = sql.SQL("""
    INSERT INTO repository_scans AS known (id, project_id, repository, wanted, requested_at)
    VALUES (%(id)s, %(project_id)s, %(repository)s, 1, %(now)s)
    ON CONFLICT (project_id, repository) DO UPDATE SET
        wanted = CASE
            WHEN known.done < known.wanted THEN known.wanted
            WHEN known.tried_at > CASE WHEN known.problem IS NULL THEN %(older_than)s ELSE %(failed_before)s END THEN known.wanted
            ELSE known.done + 1
        END,
        requested_at = CASE WHEN known.done < known.wanted THEN known.requested_at ELSE excluded.requested_at END
    RETURNING {}
""").format(COLUMNS)


async def request(
    tx: Transaction, new_id: UUID, project_id: int, repository: str, *, now: datetime, older_than: datetime, failed_before: datetime
) -> RepositoryScan:
    """The scan of a repository, which is wanted anew where the last one is old. A scan that is wanted already stays the one.

    `failed_before` counts in the place of `older_than` where the last one failed.
    """
    values = {
        "id": new_id,
        "project_id": project_id,
        "repository": repository,
        "now": now,
        "older_than": older_than,
        "failed_before": failed_before,
    }
    row = await (await tx.connection.execute(_REQUEST, values)).fetchone()
    assert row is not None
    return from_row(row)


async def load(tx: Transaction, scan_id: UUID) -> RepositoryScan | None:
    """A scan by id."""
    statement = sql.SQL("SELECT {} FROM repository_scans WHERE id = %s").format(COLUMNS)
    row = await (await tx.connection.execute(statement, [scan_id])).fetchone()
    return None if row is None else from_row(row)


async def finish(
    tx: Transaction, scan: RepositoryScan, *, tried_at: datetime, commit: str | None, result: Scan | None, problem: str | None
) -> None:
    """Write down what came of a scan. What was asked for after it was loaded stays wanted; a later one's outcome is not overwritten."""
    await tx.connection.execute(
        "UPDATE repository_scans SET done = %s, tried_at = %s, commit = %s, result = %s, problem = %s WHERE id = %s AND done < %s",
        [scan.wanted, tried_at, commit, None if result is None else as_json(asdict(result)), storable(problem), scan.id, scan.wanted],
    )


async def waiting(tx: Transaction, since: datetime, limit: int) -> list[UUID]:
    """Scans that have been wanted since before a moment, longest first."""
    statement = "SELECT id FROM repository_scans WHERE done < wanted AND requested_at <= %s ORDER BY requested_at LIMIT %s"
    return [row["id"] for row in await (await tx.connection.execute(statement, [since, limit])).fetchall()]
