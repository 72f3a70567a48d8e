"""Readiness of repositories over the wire (contract 10), and the counts that are reported for it."""

from datetime import date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field

from hedgerow.api.schemas.fields import Integer, RequestModel, Words255, fault
from hedgerow.domain.readiness import (
    LONGEST_WINDOW_DAYS,
    SHORTEST_WINDOW_DAYS,
    USUAL_WINDOW_DAYS,
    Capability,
    CapabilityState,
    Classification,
    InsightCount,
    InsightKind,
    Overall,
)
from hedgerow.domain.repository_scans import Scan
from hedgerow.domain.tasks import normal_repository
from hedgerow.operations.readiness import DatedReadiness


def _repository(text: str) -> str:
    try:
        name = normal_repository(text)
    except ValueError as problem:
        raise fault(str(problem)) from problem
    assert name is not None, "blank ones are refused before"
    return name


class ReadinessQuery(RequestModel):
    """Which repository is asked about."""

    repository: Annotated[Words255, AfterValidator(_repository)] = Field(description="organisation/repository.")
    window_days: Annotated[Integer, Field(ge=SHORTEST_WINDOW_DAYS, le=LONGEST_WINDOW_DAYS)] = Field(
        USUAL_WINDOW_DAYS, description="How many days back something counts as seen."
    )
    refresh: bool = Field(False, description="Whether to look anew, although a recent answer is at hand.")


class ReadinessCapability(BaseModel):
    """How far one capability is."""

    state: CapabilityState
    estimated: bool
    reason: str
    evidence: dict[str, int]


class ReadinessScan(BaseModel):
    """What the scan of the repository has found."""

    filesScanned: int  # noqa: N815 - the contract's spelling, here and below
    detectedFilesCount: int  # noqa: N815
    eventNameCount: int  # noqa: N815
    foundPosthogInit: bool  # noqa: N815
    foundPosthogCapture: bool  # noqa: N815
    foundErrorSignal: bool  # noqa: N815


class RepositoryReadiness(BaseModel):
    """How ready a repository is for an agent that works on its own."""

    repository: str
    classification: Classification
    excluded: bool
    coreSuggestions: ReadinessCapability  # noqa: N815
    replayInsights: ReadinessCapability  # noqa: N815
    errorInsights: ReadinessCapability  # noqa: N815
    overall: Overall
    evidenceTaskCount: int  # noqa: N815
    windowDays: int  # noqa: N815
    generatedAt: datetime  # noqa: N815
    cacheAgeSeconds: int  # noqa: N815
    scan: ReadinessScan | None = Field(None, description="Only after a scan.")


class InsightCountWrite(RequestModel):
    """The body that reports how often something was seen on a day."""

    kind: InsightKind
    name: Words255 = Field(description="The name of the event, or the id of the error issue.")
    day: date = Field(description="The day, in UTC; one of the last 30.")
    count: Annotated[Integer, Field(ge=0)] = Field(description="How often, in place of what was reported before.")

    def reported(self) -> InsightCount:
        """What the operation is given."""
        return InsightCount(kind=self.kind, name=self.name, day=self.day, count=self.count)


class ReportedInsightCount(BaseModel):
    """How often something was seen on a day."""

    kind: InsightKind
    name: str
    day: date
    count: int


def repository_readiness(dated: DatedReadiness) -> dict[str, Any]:
    """An answer as the API shows it."""
    found = dated.readiness
    body = {
        "repository": found.repository,
        "classification": found.classification.value,
        "excluded": found.excluded,
        "coreSuggestions": _capability(found.core_suggestions),
        "replayInsights": _capability(found.replay_insights),
        "errorInsights": _capability(found.error_insights),
        "overall": found.overall.value,
        "evidenceTaskCount": found.evidence_task_count,
        "windowDays": found.window_days,
        "generatedAt": dated.generated_at.isoformat(),
        "cacheAgeSeconds": dated.age_seconds,
    }
    return body if found.scan is None else body | {"scan": _scan(found.scan)}


def insight_count(reported: InsightCount) -> dict[str, Any]:
    """A count as the API shows it."""
    return {"kind": reported.kind.value, "name": reported.name, "day": reported.day.isoformat(), "count": reported.count}


def _capability(capability: Capability) -> dict[str, Any]:
    return {"state": capability.state.value, "estimated": True, "reason": capability.reason, "evidence": dict(capability.evidence)}


def _scan(scan: Scan) -> dict[str, Any]:
    return {
        "filesScanned": scan.files_scanned,
        "detectedFilesCount": scan.detected_files,
        "eventNameCount": len(scan.event_names),
        "foundPosthogInit": scan.found_init,
        "foundPosthogCapture": scan.found_capture,
        "foundErrorSignal": scan.found_error_signal,
    }
