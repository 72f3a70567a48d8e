"""How ready a repository is for an agent that works on its own: a rule for each capability, and one for all (contract 10)."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum

from hedgerow.domain.repository_scans import Scan, Traits

SHORTEST_WINDOW_DAYS, LONGEST_WINDOW_DAYS, USUAL_WINDOW_DAYS = 1, 30, 7

_INIT_CALL = "posthog.init()"


class CapabilityState(StrEnum):
    """How far a capability is."""

    NEEDS_SETUP = "needs_setup"
    DETECTED = "detected"
    WAITING_FOR_DATA = "waiting_for_data"
    READY = "ready"
    NOT_APPLICABLE = "not_applicable"
    UNKNOWN = "unknown"


class Overall(StrEnum):
    """How far a repository is as a whole."""

    NEEDS_SETUP = "needs_setup"
    DETECTED = "detected"
    PARTIAL = "partial"
    READY = "ready"
    UNKNOWN = "unknown"


class Classification(StrEnum):
    """What kind of repository it is."""

    TEST_OR_SANDBOX = "test_or_sandbox"
    SDK_OR_LIBRARY = "sdk_or_library"
    FRONTEND_JS = "frontend_js"
    BACKEND_SERVICE = "backend_service"
    UNKNOWN = "unknown"


class InsightKind(StrEnum):
    """What an analytics system counts for a project."""

    EVENT = "event"  # named by the event
    ERROR_ISSUE = "error_issue"  # named by the issue's id


@dataclass(frozen=True, slots=True, kw_only=True)
class InsightCount:
    """How often something was seen on a day (UTC)."""

    kind: InsightKind
    name: str
    day: date
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Switches:
    """What a project has turned on."""

    proactive_tasks: bool = False
    session_recording: bool = False
    exception_capture: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What was seen in the window of days."""

    matched_events: int = 0  # of those whose names the code captures
    replay_tasks: int = 0
    error_issues: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Capability:
    """How far one capability is, why, and on what evidence."""

    state: CapabilityState
    reason: str
    evidence: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness:
    """How ready a repository is. `scan` is None where nothing was scanned."""

    repository: str
    window_days: int
    classification: Classification
    excluded: bool
    core_suggestions: Capability
    replay_insights: Capability
    error_insights: Capability
    overall: Overall
    evidence_task_count: int = 0
    scan: Scan | None = None


def window_start(now: datetime, window_days: int) -> datetime:
    """When a window of days that ends now began."""
    return now - timedelta(days=window_days)


def without_scan(repository: str, window_days: int, state: CapabilityState, reason: str) -> Readiness:
    """The readiness of a repository that nobody could look into: all three capabilities in one state."""
    capability = Capability(state=state, reason=reason)
    return Readiness(
        repository=repository,
        window_days=window_days,
        classification=Classification.UNKNOWN,
        excluded=False,
        core_suggestions=capability,
        replay_insights=capability,
        error_insights=capability,
        overall=overall_of([state] * 3),
    )


def assess(repository: str, window_days: int, scan: Scan, switches: Switches, counts: Counts) -> Readiness:
    """The readiness of a scanned repository."""
    kind = classify(repository, scan.traits)
    excluded = kind in _EXCLUDED
    core, replay, errors = (
        _not_applicable(kind) if excluded else _core_suggestions(scan, switches, counts),
        _replay_insights(scan, switches, counts) if kind is Classification.FRONTEND_JS else _not_applicable(kind),
        _not_applicable(kind) if excluded else _error_insights(scan, switches, counts, init_counts=kind is Classification.FRONTEND_JS),
    )
    return Readiness(
        repository=repository,
        window_days=window_days,
        classification=kind,
        excluded=excluded,
        core_suggestions=core,
        replay_insights=replay,
        error_insights=errors,
        overall=overall_of(capability.state for capability in (core, replay, errors)),
        evidence_task_count=counts.replay_tasks,
        scan=scan,
    )


_EXCLUDED = frozenset({Classification.TEST_OR_SANDBOX, Classification.SDK_OR_LIBRARY})
_TEST_HINTS = ("test", "sandbox", "demo", "example", "fixture", "playground")
_LIBRARY_HINTS = ("sdk", "client", "library", "lib")
_FRONTEND_HINTS = ("web", "frontend", "site", "app", "js")
_BACKEND_HINTS = ("backend", "server", "api", "infra", "monorepo")


def classify(repository: str, traits: Traits) -> Classification:
    """What kind of repository it is: the first rule that holds, its own name (without the organisation) before its files."""
    name = repository.rpartition("/")[2].lower()
    rules = (
        (_hinted(name, _TEST_HINTS), Classification.TEST_OR_SANDBOX),
        (_hinted(name, _LIBRARY_HINTS), Classification.SDK_OR_LIBRARY),
        (traits.frontend_markers > traits.backend_markers, Classification.FRONTEND_JS),
        (traits.backend_markers > traits.frontend_markers, Classification.BACKEND_SERVICE),
        (_hinted(name, _FRONTEND_HINTS), Classification.FRONTEND_JS),
        (_hinted(name, _BACKEND_HINTS), Classification.BACKEND_SERVICE),
        (traits.frontend_files, Classification.FRONTEND_JS),
        (traits.backend_files, Classification.BACKEND_SERVICE),
    )
    return next((kind for holds, kind in rules if holds), Classification.UNKNOWN)


def overall_of(states: Iterable[CapabilityState]) -> Overall:
    """How far a repository is whose capabilities are in these states. What does not apply to it does not count."""
    applicable = {state for state in states if state is not CapabilityState.NOT_APPLICABLE}
    if not applicable:
        return Overall.UNKNOWN
    if applicable == {CapabilityState.READY}:
        return Overall.READY
    if applicable == {CapabilityState.NEEDS_SETUP}:
        return Overall.NEEDS_SETUP
    if applicable <= {CapabilityState.NEEDS_SETUP, CapabilityState.DETECTED}:
        return Overall.DETECTED
    return Overall.UNKNOWN if CapabilityState.UNKNOWN in applicable else Overall.PARTIAL


def _hinted(name: str, hints: Iterable[str]) -> bool:
    return any(hint in name for hint in hints)


def _not_applicable(kind: Classification) -> Capability:
    return Capability(state=CapabilityState.NOT_APPLICABLE, reason=f"This does not apply to a repository of the kind {kind.value}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ladder:
    """The steps that a capability climbs, each with the sentence for one that stands there."""

    found: bool
    needs_setup: str
    switched_on: bool
    detected: str
    seen: int
    waiting: str
    ready: str

    def capability(self, evidence: Mapping[str, int]) -> Capability:
        """The highest step that is reached."""
        if not self.found:
            return Capability(state=CapabilityState.NEEDS_SETUP, reason=self.needs_setup, evidence=evidence)
        if not self.switched_on:
            return Capability(state=CapabilityState.DETECTED, reason=self.detected, evidence=evidence)
        if self.seen <= 0:
            return Capability(state=CapabilityState.WAITING_FOR_DATA, reason=self.waiting, evidence=evidence)
        return Capability(state=CapabilityState.READY, reason=self.ready, evidence=evidence)


def _core_suggestions(scan: Scan, switches: Switches, counts: Counts) -> Capability:
    missing = f"The code calls {_INIT_CALL} but captures no event." if scan.found_init else f"The code does not call {_INIT_CALL}."
    ladder = _Ladder(
        found=scan.found_init and scan.found_capture,
        needs_setup=missing,
        switched_on=switches.proactive_tasks,
        detected="The code captures events, but the project's proactive tasks are off.",
        seen=counts.matched_events,
        waiting="The code captures events, but none of them was seen in the window of days.",
        ready="Events that the code captures were seen in the window of days.",
    )
    return ladder.capability({"matchedEventCount": counts.matched_events, "eventNameCount": len(scan.event_names)})


def _replay_insights(scan: Scan, switches: Switches, counts: Counts) -> Capability:
    ladder = _Ladder(
        found=scan.found_init,
        needs_setup=f"The code does not call {_INIT_CALL}.",
        switched_on=switches.session_recording,
        detected="The code can record sessions, but the project's session recording is off.",
        seen=counts.replay_tasks,
        waiting="No task came out of recorded sessions in the window of days.",
        ready="Tasks came out of recorded sessions in the window of days.",
    )
    return ladder.capability({"replayTaskCount": counts.replay_tasks})


def _error_insights(scan: Scan, switches: Switches, counts: Counts, *, init_counts: bool) -> Capability:
    ladder = _Ladder(
        found=scan.found_error_signal or (init_counts and scan.found_init),
        needs_setup="The code reports no exceptions.",
        switched_on=switches.exception_capture,
        detected="The code can report exceptions, but the project's exception capture is off.",
        seen=counts.error_issues,
        waiting="No error issue was seen in the window of days.",
        ready="Error issues were seen in the window of days.",
    )
    return ladder.capability({"recentErrorIssueCount": counts.error_issues})
