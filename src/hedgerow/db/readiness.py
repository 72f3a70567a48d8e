"""Readiness of repositories: what it is reckoned from, and answers that are given again for a few minutes."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, LiteralString

from hedgerow.db.database import Transaction
from hedgerow.db.repository_scans import as_scan
from hedgerow.db.rows import as_json
from hedgerow.domain.readiness import Capability, CapabilityState, Classification, Counts, InsightCount, InsightKind, Overall, Readiness
from hedgerow.domain.tasks import OriginProduct


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What an answer is kept under."""

    project_id: int
    integration_id: int  # 0: none
    repository: str
    window_days: int


async def cached(tx: Transaction, question: Question, since: datetime) -> tuple[Readiness, datetime] | None:
    """The answer that was generated after a moment, and when that was."""
    statement = (
        "SELECT answer, generated_at FROM repository_readiness WHERE project_id = %(project_id)s AND integration_id = %(integration_id)s"
        " AND repository = %(repository)s AND window_days = %(window_days)s AND generated_at > %(since)s"
    )
    row = await (await tx.connection.execute(statement, {**asdict(question), "since": since})).fetchone()
    return None if row is None else (_readiness(row["answer"]), row["generated_at"])


async def cache(tx: Transaction, question: Question, readiness: Readiness, generated_at: datetime) -> None:
    """Keep an answer, in the place of an earlier one."""
    await tx.connection.execute(
        "INSERT INTO repository_readiness (project_id, integration_id, repository, window_days, generated_at, answer)"
        " VALUES (%(project_id)s, %(integration_id)s, %(repository)s, %(window_days)s, %(generated_at)s, %(answer)s)"
        " ON CONFLICT (project_id, integration_id, repository, window_days)"
        " DO UPDATE SET generated_at = excluded.generated_at, answer = excluded.answer",
        {**asdict(question), "generated_at": generated_at, "answer": as_json(asdict(readiness))},
    )


async def forget(tx: Transaction, answers_before: datetime, counts_before: date) -> None:
    """Remove answers and counts that nobody will be given any more."""
    await tx.connection.execute("DELETE FROM repository_readiness WHERE generated_at < %s", [answers_before])
    await tx.connection.execute("DELETE FROM insight_counts WHERE day < %s", [counts_before])


def _readiness(fields: dict[str, Any]) -> Readiness:
    capabilities = {name: _capability(fields[name]) for name in ("core_suggestions", "replay_insights", "error_insights")}
    kinds = {"classification": Classification(fields["classification"]), "overall": Overall(fields["overall"])}
    return Readiness(**{**fields, **capabilities, **kinds, "scan": None if fields["scan"] is None else as_scan(fields["scan"])})


def _capability(fields: dict[str, Any]) -> Capability:
    return Capability(**{**fields, "state": CapabilityState(fields["state"])})


_COUNTS: LiteralString = """
    SELECT
        (SELECT coalesce(sum(count), 0) FROM insight_counts
         WHERE project_id = %(project_id)s AND kind = %(event)s AND name = ANY (%(event_names)s)
           AND day >= %(first_day)s) AS matched_events,
        (SELECT count(DISTINCT name) FROM insight_counts
         WHERE project_id = %(project_id)s AND kind = %(error_issue)s AND day >= %(first_day)s AND count > 0) AS error_issues,
        (SELECT count(*) FROM tasks
         WHERE project_id = %(project_id)s AND repository = %(repository)s AND origin_product = %(origin)s
           AND deleted_at IS NULL AND created_at >= %(since)s) AS replay_tasks
"""


async def counts(tx: Transaction, project_id: int, repository: str, event_names: Sequence[str], since: datetime) -> Counts:
    """What was seen since a moment. Days count from the one (UTC) that the moment lies in."""
    values = {
        "project_id": project_id,
        "repository": repository,
        "event_names": list(event_names),
        "since": since,
        "first_day": since.date(),
        "event": InsightKind.EVENT,
        "error_issue": InsightKind.ERROR_ISSUE,
        "origin": OriginProduct.SESSION_SUMMARIES,
    }
    row = await (await tx.connection.execute(_COUNTS, values)).fetchone()
    assert row is not None
    return Counts(matched_events=int(row["matched_events"]), replay_tasks=row["replay_tasks"], error_issues=row["error_issues"])


async def put_count(tx: Transaction, project_id: int, reported: InsightCount) -> None:
    """Store what was counted for a day, in the place of what was reported for it before."""
    await tx.connection.execute(
        "INSERT INTO insight_counts (project_id, kind, name, day, count) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (project_id, kind, name, day) DO UPDATE SET count = excluded.count",
        [project_id, reported.kind, reported.name, reported.day, reported.count],
    )
