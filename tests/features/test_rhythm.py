"""Visits, broken silences, usual hours and earlier outcomes, by hand; as-of time 2024-03-04."""

import math

import pytest

from tests.features.by_hand import AS_OF, ended, nonzero, seen, told


def about(value):
    return pytest.approx(value, rel=1e-6)


# Visits


def test_events_within_thirty_minutes_of_the_last_are_one_visit():
    # After 20, 30 and 31 minutes.
    times = ["10:00", "10:20", "10:50", "11:21"]
    got = told(*(seen(f"2024-03-01T{time}") for time in times))
    assert got["escalation.engagement_visits.any.visits"] == 2.0


def test_each_group_has_visits_of_its_own():
    got = told(
        seen("2024-03-01T10:00", "/pricing"),
        seen("2024-03-01T10:20", "/pricing", kind="email_click"),
        seen("2024-03-01T10:40", "/rollout"),
    )
    assert got["escalation.engagement_visits.any.visits"] == 1.0
    # Of page views the one at 10:40 is 40 minutes after the last.
    assert nonzero(got, "activity_visits", "visits") == {
        "escalation.page_view": 2, "escalation.email_click": 1,
    }  # fmt: skip
    assert nonzero(got, "theme_visits", "visits") == {
        "escalation.pricing": 1, "escalation.rollout": 1,
    }  # fmt: skip


def test_visits_are_of_all_time():
    got = told(*(seen(f"2020-0{month}-01", "/pricing") for month in range(1, 10)))
    assert got["escalation.theme_visits.pricing.visits"] == 9.0


def test_a_late_record_of_an_earlier_time_begins_no_visit():
    late = seen("2024-02-01T10:00", known="2024-03-02")
    assert told(seen("2024-03-01"), late)["escalation.engagement_visits.any.visits"] == 1.0
    # Nor does it move the last event back: ten minutes after the last is the same visit.
    soon = seen("2024-03-01T00:10", known="2024-03-03")
    assert told(seen("2024-03-01"), late, soon)["escalation.engagement_visits.any.visits"] == 1.0


# Dormancy


def test_the_silence_broken_last_is_told_with_its_length():
    # Silences of 20 and 29 days, then one day.
    got = told(*(seen(f"2024-{day}") for day in ("01-10", "01-30", "02-28", "02-29")))
    assert got["dormancy.silence_broken.any.gap"] == 29.0
    assert got["dormancy.since_restart.any.days"] == 5.0
    assert got["dormancy.restarts.any.count"] == 2.0


def test_fourteen_days_to_the_instant_are_a_silence():
    got = told(seen("2024-02-01T12:00"), seen("2024-02-15T12:00"))
    assert got["dormancy.silence_broken.any.gap"] == 14.0
    assert got["dormancy.since_restart.any.days"] == 17.5
    just_short = told(seen("2024-02-01T12:00:00.000001"), seen("2024-02-15T12:00"))
    assert just_short["dormancy.restarts.any.count"] == 0.0


def test_a_lead_that_was_never_silent_for_long_broke_no_silence():
    got = told(seen("2024-02-01"), seen("2024-02-10"), seen("2024-02-20"))
    assert got["dormancy.silence_broken.any.gap"] == 0.0
    assert got["dormancy.restarts.any.count"] == 0.0
    assert math.isnan(got["dormancy.since_restart.any.days"])


def test_a_silence_that_is_still_going_on_is_not_broken():
    assert told(seen("2023-06-01"))["dormancy.restarts.any.count"] == 0.0


def test_an_event_inside_a_silence_counts_only_if_it_was_known_when_that_was_broken():
    ends = [seen("2024-01-10"), seen("2024-01-30")]
    too_late = seen("2024-01-20", known="2024-02-01")
    assert told(*ends, too_late)["dormancy.silence_broken.any.gap"] == 20.0
    in_time = seen("2024-01-20", known="2024-01-29")
    assert told(*ends, in_time)["dormancy.restarts.any.count"] == 0.0


# Lifecycle


def test_age_is_counted_from_creation_and_from_the_first_event_that_was_known():
    got = told(seen("2024-02-13", known="2024-02-23T12:00"), seen("2024-02-28"))
    # 31 days of January, 29 of February, 3 of March.
    assert got["lifecycle.age.lead.days"] == 63.0
    assert got["lifecycle.age.first_event.days"] == 9.5


def test_before_any_event_its_age_and_usual_hours_are_unknown():
    got = told()
    assert math.isnan(got["lifecycle.age.first_event.days"])
    assert math.isnan(got["lifecycle.hour_regularity.any.ratio"])
    one = told(seen("2024-02-13"))
    assert one["lifecycle.age.first_event.days"] == 20.0
    assert math.isnan(one["lifecycle.hour_regularity.any.ratio"])
    assert math.isnan(one["lifecycle.weekday_regularity.any.ratio"])


def test_always_the_same_hour_is_a_regularity_of_one():
    got = told(*(seen(f"2024-02-{day}T10:{day}") for day in (13, 14, 15)))
    assert got["lifecycle.hour_regularity.any.ratio"] == about(1.0)


def test_opposite_hours_cancel_and_two_to_one_do_not():
    opposite = told(seen("2024-02-13T00:30"), seen("2024-02-14T12:30"))
    assert opposite["lifecycle.hour_regularity.any.ratio"] == pytest.approx(0.0, abs=1e-12)
    # Two at midnight and one a quarter of a day later: |2 + i|/3.
    midnight = [seen("2024-02-13T00:10"), seen("2024-02-14T00:20")]
    got = told(*midnight, seen("2024-02-15T06:30"))
    assert got["lifecycle.hour_regularity.any.ratio"] == about(math.sqrt(5) / 3)


def test_a_monday_and_a_thursday_are_three_sevenths_of_a_week_apart():
    got = told(seen("2024-02-12"), seen("2024-02-15"))
    # |1 + e^(2πi·3/7)|/2.
    assert got["lifecycle.weekday_regularity.any.ratio"] == about(math.cos(math.pi * 3 / 7))
    mondays = told(seen("2024-02-12"), seen("2024-02-19"), seen("2024-03-04"), as_of="2024-03-05")
    assert mondays["lifecycle.weekday_regularity.any.ratio"] == about(1.0)


def test_earlier_conversions_and_returns_are_counted_apart_from_closings():
    got = told(
        outcomes=(
            ended("2024-01-15"), ended("2024-02-13"), ended("2024-02-03", "rejected"),
            ended("2024-02-20", "lost"),
        )
    )  # fmt: skip
    assert got["lifecycle.earlier_conversions.lead.count"] == 2.0
    assert got["lifecycle.since_conversion.lead.days"] == 20.0
    assert got["lifecycle.earlier_returns.lead.count"] == 1.0
    assert got["lifecycle.since_return.lead.days"] == 30.0


def test_the_latest_conversion_is_the_latest_that_occurred():
    outcomes = (ended("2024-02-13"), ended("2024-01-15", known="2024-03-01"))
    got = told(outcomes=outcomes)
    assert got["lifecycle.since_conversion.lead.days"] == 20.0


def test_an_outcome_known_at_the_as_of_time_is_not_an_earlier_one():
    got = told(
        outcomes=(ended("2024-01-15", known=AS_OF), ended("2024-01-15", "rejected", known=AS_OF))
    )
    assert got["lifecycle.earlier_conversions.lead.count"] == 0.0
    assert got["lifecycle.earlier_returns.lead.count"] == 0.0
    assert math.isnan(got["lifecycle.since_conversion.lead.days"])
    assert math.isnan(got["lifecycle.since_return.lead.days"])


def test_a_colleagues_outcomes_are_not_the_leads():
    got = told(outcomes=(ended("2024-01-15", who="L2"), ended("2024-01-15", "back", who="L2")))
    assert got["lifecycle.earlier_conversions.lead.count"] == 0.0
    assert got["lifecycle.earlier_returns.lead.count"] == 0.0
