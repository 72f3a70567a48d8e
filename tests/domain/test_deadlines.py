"""Deadlines that a run has of its own."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.domain.test_lifecycle import DEADLINES

from hedgerow.domain.deadlines import WALL_CLOCK, check, minutes, nearer
from hedgerow.domain.errors import InvalidError

HOUR = timedelta(hours=1)
NO_MINUTES = [0, -1, True, False, "5", None, [], {}, float("nan"), float("inf"), 525_601, 10**400]


def test_a_run_may_have_a_nearer_deadline_than_the_operators_but_no_farther_one() -> None:
    assert nearer(30, HOUR) == timedelta(minutes=30)
    assert nearer(90, HOUR) == HOUR
    assert nearer(None, HOUR) == HOUR


def test_where_the_operator_sets_none_the_runs_own_counts() -> None:
    assert nearer(90, None) == timedelta(minutes=90)
    assert nearer(None, None) is None


def test_minutes_may_have_fractions() -> None:
    assert minutes({WALL_CLOCK: 0.5}, WALL_CLOCK) == 0.5
    assert minutes({}, WALL_CLOCK) is None


@pytest.mark.parametrize("value", NO_MINUTES)
def test_what_is_no_number_of_minutes_is_refused_by_name_and_counts_as_nothing(value: Any) -> None:
    with pytest.raises(InvalidError, match="wall_clock_minutes must be a number of minutes") as refused:
        check({WALL_CLOCK: value}, "state__")
    assert refused.value.attr == "state__wall_clock_minutes"
    assert minutes({WALL_CLOCK: value}, WALL_CLOCK) is None


def test_other_keys_are_nobodys_business_here() -> None:
    check({"anything": object(), WALL_CLOCK: 10})


def test_the_pauses_double_up_to_minutes_and_end() -> None:
    pauses = [replace(DEADLINES, prepare_attempts=20).pause_before_retry(failed) for failed in (1, 2, 3, 19, 20)]
    assert pauses == [timedelta(seconds=2), timedelta(seconds=4), timedelta(seconds=8), timedelta(minutes=5), None]
    assert DEADLINES.pause_before_retry(1) is None
    slow = replace(DEADLINES, prepare_attempts=100, first_pause=timedelta(hours=1))
    assert {slow.pause_before_retry(failed) for failed in (1, 2, 99)} == {timedelta(hours=1)}
