"""Active days and weeks, streaks and gaps, worked out by hand.

As-of time is 2024-03-04, a Monday: today is Sunday the 3rd, and this week began on 2024-02-26.
"""

import math
from datetime import timedelta

import pytest

from tests.conftest import at
from tests.features.by_hand import seen, told


def about(value):
    return pytest.approx(value, rel=1e-6)


def on(*days):
    """Events at ten in the morning."""
    return [seen(f"2024-{day}T10:00") for day in days]


# Active days and weeks


def test_several_events_of_one_day_make_one_active_day():
    got = told(*on("03-01", "03-01", "03-02", "02-20"), seen("2024-03-01T23:59"))
    assert got["engagement.active_days.any.7d"] == 2.0
    assert got["engagement.active_days.any.30d"] == 3.0


def test_the_windows_first_day_counts_only_by_events_inside_the_window():
    morning, afternoon = seen("2024-02-26T10:00"), seen("2024-02-26T13:00")
    noon = at("2024-03-04T12:00")
    assert told(morning, as_of=noon)["engagement.active_days.any.7d"] == 0.0
    assert told(morning, afternoon, as_of=noon)["engagement.active_days.any.7d"] == 1.0
    # Nor does it matter which of the two was told first.
    told_late = seen("2024-02-26T10:00", known="2024-03-03")
    assert told(afternoon, told_late, as_of=noon)["engagement.active_days.any.7d"] == 1.0


def test_active_weeks_are_this_one_and_the_seven_before():
    # The weeks of 02-26, 02-19 and, the last of the eight, 01-08.
    got = told(*on("03-01", "03-02", "02-20", "01-08"))
    assert got["consistency.active_weeks.any.8w"] == 3.0
    # Sunday the 7th is of the week before.
    assert told(*on("01-07"))["consistency.active_weeks.any.8w"] == 0.0


def test_a_sunday_and_the_monday_after_it_are_two_weeks():
    assert told(*on("02-25", "02-26"))["consistency.active_weeks.any.8w"] == 2.0
    assert told(*on("02-24", "02-25"))["consistency.active_weeks.any.8w"] == 1.0


# Streaks


def test_a_streak_that_reaches_yesterday_is_current():
    got = told(*on("02-28", "03-01", "03-02"))
    assert got["consistency.streak_current.any.run"] == 2.0
    assert got["consistency.streak_longest.any.run"] == 2.0


def test_a_streak_that_ended_the_day_before_yesterday_is_over():
    got = told(*on("02-27", "02-28", "02-29", "03-01"))
    assert got["consistency.streak_current.any.run"] == 0.0
    # Through the leap day.
    assert got["consistency.streak_longest.any.run"] == 4.0


def test_a_streak_of_today_alone_is_one_day_long():
    assert told(*on("03-03", "03-01"))["consistency.streak_current.any.run"] == 1.0


def test_a_day_that_becomes_known_late_joins_two_runs():
    events = [*on("02-10", "02-12"), seen("2024-02-11T10:00", known="2024-02-20")]
    before = told(*events, as_of="2024-02-13")
    assert before["consistency.streak_longest.any.run"] == 1.0
    assert before["consistency.streak_current.any.run"] == 1.0
    after = told(*events)
    assert after["consistency.streak_longest.any.run"] == 3.0
    assert after["engagement.active_days.any.30d"] == 3.0


# Gaps


def test_gaps_of_two_and_four_days():
    got = told(*on("02-01", "02-03", "02-07"))
    assert got["consistency.gap_mean.any.gap"] == 3.0
    # σ = 1, so σ/μ = ⅓ and (σ − μ)/(σ + μ) = −½.
    assert got["consistency.gap_variation.any.ratio"] == about(1 / 3)
    assert got["consistency.burstiness.any.ratio"] == about(-0.5)
    # 25 days from the 7th to the 3rd of March.
    assert got["consistency.overdue.any.ratio"] == about(25 / 3)


def test_regular_gaps_have_a_burstiness_of_minus_one():
    got = told(*on("02-01", "02-08", "02-15", "02-22"))
    assert got["consistency.gap_mean.any.gap"] == 7.0
    assert got["consistency.gap_variation.any.ratio"] == 0.0
    assert got["consistency.burstiness.any.ratio"] == -1.0
    assert got["consistency.overdue.any.ratio"] == about(10 / 7)


def test_a_burst_after_a_long_gap_is_bursty():
    got = told(*on("01-02", "02-26", "02-27", "02-28", "02-29", "03-01"))
    # Gaps 55, 1, 1, 1, 1: μ = 59/5, σ² = 3029/5 − μ².
    mean = 59 / 5
    spread = math.sqrt(3029 / 5 - mean**2)
    assert got["consistency.gap_mean.any.gap"] == about(mean)
    assert got["consistency.gap_variation.any.ratio"] == about(spread / mean)
    assert got["consistency.burstiness.any.ratio"] == about((spread - mean) / (spread + mean))


def test_two_active_days_have_a_gap_and_no_variation():
    got = told(*on("02-01", "02-03"))
    assert got["consistency.gap_mean.any.gap"] == 2.0
    assert got["consistency.overdue.any.ratio"] == about(29 / 2)
    assert math.isnan(got["consistency.gap_variation.any.ratio"])
    assert math.isnan(got["consistency.burstiness.any.ratio"])


def test_one_active_day_has_no_gap():
    got = told(*on("02-01", "02-01"))
    for name in ("gap_mean.any.gap", "gap_variation.any.ratio", "overdue.any.ratio"):
        assert math.isnan(got[f"consistency.{name}"])


def test_an_active_day_that_becomes_known_late_splits_a_gap():
    events = [*on("02-01", "02-07"), seen("2024-02-03T10:00", known="2024-02-20")]
    before = told(*events, as_of="2024-02-15")
    assert before["consistency.gap_mean.any.gap"] == 6.0
    assert math.isnan(before["consistency.gap_variation.any.ratio"])
    after = told(*events)
    in_order = told(*on("02-01", "02-03", "02-07"))
    names = [name for name in after if name.startswith("consistency.")]
    assert [after[name] for name in names] == [in_order[name] for name in names]


def test_a_day_told_late_that_is_the_first_of_all_lengthens_the_history():
    events = [*on("02-03", "02-07"), seen("2024-02-01T10:00", known="2024-02-20")]
    got = told(*events)
    assert got["consistency.gap_mean.any.gap"] == 3.0
    assert got["consistency.gap_variation.any.ratio"] == about(1 / 3)


def test_the_last_instant_of_a_day_belongs_to_it():
    last = at("2024-03-04") - timedelta(microseconds=1)
    got = told(seen(last), seen("2024-03-02T00:00"))
    assert got["engagement.active_days.any.7d"] == 2.0
    assert got["consistency.streak_current.any.run"] == 2.0
    assert got["consistency.overdue.any.ratio"] == 0.0


def test_a_day_begins_at_midnight_to_the_instant():
    midnight = at("2024-03-04")
    got = told(seen(midnight), seen("2024-03-02T10:00"), as_of=midnight + timedelta(microseconds=1))
    # Today is Monday the 4th, of a new week, and active.
    assert got["consistency.overdue.any.ratio"] == 0.0
    assert got["consistency.streak_current.any.run"] == 1.0
    assert got["consistency.active_weeks.any.8w"] == 2.0
