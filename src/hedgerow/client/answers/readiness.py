"""How ready a repository is for insights (contract 10)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from hedgerow.client.answers.reading import mapping, moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """Whether something can be done with a repository: a word, why, and what that was seen from."""

    state: str
    estimated: bool
    reason: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryReadiness:
    """What hedgerow has seen in a repository. `scan` is None where nothing has looked at its files."""

    repository: str
    classification: str
    excluded: bool
    core_suggestions: Capability
    replay_insights: Capability
    error_insights: Capability
    overall: str
    evidence_task_count: int
    window_days: int
    generated_at: datetime | None
    cache_age_seconds: int
    scan: Mapping[str, Any] | None
    raw: Mapping[str, Any] = field(repr=False)


def readiness_from(body: Mapping[str, Any]) -> RepositoryReadiness:
    """The readiness of a repository from its JSON object."""
    return RepositoryReadiness(
        repository=body["repository"],
        classification=body["classification"],
        excluded=bool(body.get("excluded")),
        core_suggestions=_capability(body["coreSuggestions"]),
        replay_insights=_capability(body["replayInsights"]),
        error_insights=_capability(body["errorInsights"]),
        overall=body["overall"],
        evidence_task_count=body.get("evidenceTaskCount") or 0,
        window_days=body.get("windowDays") or 0,
        generated_at=moment(body.get("generatedAt")),
        cache_age_seconds=body.get("cacheAgeSeconds") or 0,
        scan=mapping(body["scan"]) if body.get("scan") else None,
        raw=body,
    )


def _capability(body: Mapping[str, Any]) -> Capability:
    evidence = mapping(body.get("evidence"))
    return Capability(state=body["state"], estimated=bool(body.get("estimated")), reason=body.get("reason") or "", evidence=evidence)
