"""The rules of readiness, one by one."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hedgerow.domain.readiness import (
    CapabilityState,
    Classification,
    Counts,
    Overall,
    Readiness,
    Switches,
    assess,
    classify,
    overall_of,
    without_scan,
)
from hedgerow.domain.repository_scans import Scan, Traits

EVERYTHING_ON = Switches(proactive_tasks=True, session_recording=True, exception_capture=True)
EVERYTHING_SEEN = Counts(matched_events=3, replay_tasks=2, error_issues=1)
EVERYTHING_FOUND = Scan(files_scanned=9, detected_files=1, event_names=("a",), found_init=True, found_capture=True, found_error_signal=True)
NEEDS_SETUP, DETECTED, WAITING, READY, NOT_APPLICABLE, UNKNOWN = (
    CapabilityState.NEEDS_SETUP,
    CapabilityState.DETECTED,
    CapabilityState.WAITING_FOR_DATA,
    CapabilityState.READY,
    CapabilityState.NOT_APPLICABLE,
    CapabilityState.UNKNOWN,
)


def readiness(
    name: str = "acme/web", scan: Scan = EVERYTHING_FOUND, switches: Switches = EVERYTHING_ON, counts: Counts = EVERYTHING_SEEN
) -> Readiness:
    return assess(name, 7, scan, switches, counts)


def states(found: Readiness) -> tuple[CapabilityState, CapabilityState, CapabilityState]:
    return found.core_suggestions.state, found.replay_insights.state, found.error_insights.state


@pytest.mark.parametrize(
    ("name", "traits", "kind"),
    [
        ("acme/test-web", Traits(frontend_markers=5), Classification.TEST_OR_SANDBOX),
        ("acme/Playground", Traits(), Classification.TEST_OR_SANDBOX),
        ("acme/sdk-demo", Traits(), Classification.TEST_OR_SANDBOX),
        ("acme/js-sdk", Traits(frontend_markers=5), Classification.SDK_OR_LIBRARY),
        ("demo/garden", Traits(), Classification.UNKNOWN),
        ("acme/api", Traits(frontend_markers=2, backend_markers=1), Classification.FRONTEND_JS),
        ("acme/web", Traits(frontend_markers=1, backend_markers=2), Classification.BACKEND_SERVICE),
        ("acme/web", Traits(frontend_markers=1, backend_markers=1), Classification.FRONTEND_JS),
        ("acme/server", Traits(frontend_files=True), Classification.BACKEND_SERVICE),
        ("acme/garden", Traits(frontend_files=True, backend_files=True), Classification.FRONTEND_JS),
        ("acme/garden", Traits(backend_files=True), Classification.BACKEND_SERVICE),
        ("acme/garden", Traits(), Classification.UNKNOWN),
    ],
)
def test_the_first_rule_that_holds_tells_the_kind(name: str, traits: Traits, kind: Classification) -> None:
    assert classify(name, traits) is kind


def test_a_frontend_that_has_everything_is_ready() -> None:
    found = readiness()
    assert states(found) == (READY, READY, READY)
    assert (found.overall, found.excluded, found.evidence_task_count) == (Overall.READY, False, 2)
    assert found.core_suggestions.evidence == {"matchedEventCount": 3, "eventNameCount": 1}
    assert found.replay_insights.evidence == {"replayTaskCount": 2}
    assert found.error_insights.evidence == {"recentErrorIssueCount": 1}


def test_replay_does_not_apply_to_a_service() -> None:
    assert states(readiness("acme/api")) == (READY, NOT_APPLICABLE, READY)
    assert readiness("acme/api").overall is Overall.READY


def test_nothing_applies_to_an_excluded_repository() -> None:
    found = readiness("acme/sdk")
    assert (states(found), found.excluded, found.overall) == ((NOT_APPLICABLE,) * 3, True, Overall.UNKNOWN)


@pytest.mark.parametrize(
    ("scan", "expected"),
    [
        (Scan(), (NEEDS_SETUP, NEEDS_SETUP, NEEDS_SETUP)),
        (Scan(found_init=True), (NEEDS_SETUP, READY, READY)),
        (Scan(found_capture=True), (NEEDS_SETUP, NEEDS_SETUP, NEEDS_SETUP)),
        (Scan(found_error_signal=True), (NEEDS_SETUP, NEEDS_SETUP, READY)),
    ],
)
def test_what_the_code_lacks_needs_setup(scan: Scan, expected: tuple[CapabilityState, ...]) -> None:
    assert states(readiness(scan=scan)) == expected


def test_the_init_counts_as_an_error_signal_in_a_frontend_alone() -> None:
    scan = Scan(found_init=True)
    assert readiness("acme/web", scan).error_insights.state is READY
    assert readiness("acme/api", scan).error_insights.state is NEEDS_SETUP


def test_what_is_turned_off_is_detected() -> None:
    assert states(readiness(switches=replace(EVERYTHING_ON, proactive_tasks=False))) == (DETECTED, READY, READY)
    assert states(readiness(switches=replace(EVERYTHING_ON, session_recording=False))) == (READY, DETECTED, READY)
    assert states(readiness(switches=replace(EVERYTHING_ON, exception_capture=False))) == (READY, READY, DETECTED)
    assert readiness(switches=Switches()).overall is Overall.DETECTED


def test_what_was_not_seen_waits_for_data() -> None:
    assert states(readiness(counts=Counts())) == (WAITING, WAITING, WAITING)
    assert readiness(counts=Counts()).overall is Overall.PARTIAL


def test_without_a_scan_all_three_are_in_one_state() -> None:
    for state, overall in ((NEEDS_SETUP, Overall.NEEDS_SETUP), (UNKNOWN, Overall.UNKNOWN)):
        found = without_scan("acme/sdk", 7, state, "Because.")
        assert (states(found), found.overall, found.excluded) == ((state,) * 3, overall, False)
        assert (found.classification, found.scan, found.evidence_task_count) == (Classification.UNKNOWN, None, 0)


@pytest.mark.parametrize(
    ("given_states", "overall"),
    [
        ([], Overall.UNKNOWN),
        ([NOT_APPLICABLE], Overall.UNKNOWN),
        ([READY, NOT_APPLICABLE], Overall.READY),
        ([NEEDS_SETUP, NEEDS_SETUP], Overall.NEEDS_SETUP),
        ([NEEDS_SETUP, DETECTED], Overall.DETECTED),
        ([DETECTED], Overall.DETECTED),
        ([UNKNOWN, READY], Overall.UNKNOWN),
        ([NEEDS_SETUP, READY], Overall.PARTIAL),
        ([WAITING], Overall.PARTIAL),
    ],
)
def test_the_whole_follows_from_the_parts(given_states: list[CapabilityState], overall: Overall) -> None:
    assert overall_of(given_states) is overall


@given(
    st.text(),
    st.builds(Scan, found_init=st.booleans(), found_capture=st.booleans(), found_error_signal=st.booleans()),
    st.builds(Switches, proactive_tasks=st.booleans(), session_recording=st.booleans(), exception_capture=st.booleans()),
    st.builds(Counts, matched_events=st.integers(0, 1), replay_tasks=st.integers(0, 1), error_issues=st.integers(0, 1)),
)
def test_more_signals_never_make_a_repository_less_ready(name: str, scan: Scan, switches: Switches, counts: Counts) -> None:
    order = [NEEDS_SETUP, DETECTED, WAITING, READY]
    before = states(readiness(name, scan, switches, counts))
    for better in (
        readiness(name, EVERYTHING_FOUND, switches, counts),
        readiness(name, scan, EVERYTHING_ON, counts),
        readiness(name, scan, switches),
    ):
        for old, new in zip(before, states(better), strict=True):
            assert old is new is NOT_APPLICABLE or order.index(new) >= order.index(old)
