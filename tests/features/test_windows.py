"""Counts and sums over windows of 7 and 30 days, worked out by hand; as-of time 2024-03-04."""

from datetime import timedelta

import pytest

from tests.features.by_hand import AS_OF, nonzero, seen, told

DAY = timedelta(days=1)
INSTANT = timedelta(microseconds=1)


# Counts


def test_events_are_counted_in_each_of_their_groups_and_windows():
    got = told(
        seen("2024-03-01", "/pricing", channel="web"),
        seen("2024-03-02", "/rollout", channel="email", kind="email_click"),
        seen("2024-02-10", "/pricing/plans", channel="email", kind="email_open"),
        # 33 days old.
        seen("2024-01-31", "/pricing", channel="email", kind="email_open"),
    )
    assert nonzero(got, "count", "7d") == {
        "engagement.any": 2, "activity.page_view": 1, "activity.email_click": 1,
        "theme.pricing": 1, "theme.rollout": 1, "channel.web": 1, "channel.email": 1,
    }  # fmt: skip
    assert nonzero(got, "count", "30d") == {
        "engagement.any": 3, "activity.page_view": 1, "activity.email_click": 1,
        "activity.email_open": 1, "theme.pricing": 2, "theme.rollout": 1, "channel.web": 1,
        "channel.email": 2,
    }  # fmt: skip


def test_a_window_includes_its_first_instant():
    got = told(seen("2024-02-26"), seen("2024-02-26T00:00:00.000001"))
    assert got["engagement.count.any.7d"] == 2.0
    late = told(seen("2024-02-26"), as_of=AS_OF + INSTANT)
    assert (late["engagement.count.any.7d"], late["engagement.count.any.30d"]) == (0.0, 1.0)


def test_a_late_record_counts_in_the_windows_of_when_it_occurred():
    # Ten days old when it is told.
    got = told(seen("2024-02-23", known="2024-03-04"), as_of=AS_OF + INSTANT)
    assert (got["engagement.count.any.7d"], got["engagement.count.any.30d"]) == (0.0, 1.0)
    assert told(seen("2024-02-23", known="2024-03-04"))["engagement.count.any.30d"] == 0.0


def test_opens_and_clicks_are_counted_apart():
    events = [seen("2024-03-01", kind="email_open")] * 3 + [seen("2024-03-02", kind="email_click")]
    got = told(*events)
    assert got["activity.count.email_open.7d"] == 3.0
    assert got["activity.count.email_click.7d"] == 1.0
    assert got["activity.count.other.7d"] == 0.0


# Sums


def test_values_and_durations_are_summed_over_windows():
    got = told(
        seen("2024-03-01", value=2.5, duration_seconds=60.0),
        seen("2024-03-02", value=-0.75),
        seen("2024-02-10", value=100.0, duration_seconds=30.0),
        seen("2024-01-31", value=1000.0, duration_seconds=1000.0),
    )
    assert (got["value.sum.any.7d"], got["value.sum.any.30d"]) == (1.75, 101.75)
    assert (got["duration.sum.any.7d"], got["duration.sum.any.30d"]) == (60.0, 90.0)


def test_what_has_left_a_window_leaves_no_trace_in_its_sum():
    events = [seen(AS_OF - (8 + i) * DAY, value=0.1 + 10.0**i) for i in range(9)]
    assert told(*events)["value.sum.any.7d"] == 0.0


def test_each_value_is_rounded_to_a_1024th():
    # 0.1 is 102.4 parts, so 102; three of them.
    events = [seen("2024-03-01", value=0.1)] * 3
    assert told(*events)["value.sum.any.7d"] == pytest.approx(3 * 102 / 1024, rel=1e-7)


# Breadth


def test_breadth_counts_named_themes():
    got = told(
        seen("2024-03-01", "/pricing"),
        seen("2024-03-02", "/pricing/plans"),
        seen("2024-03-02", "/careers"),
        seen("2024-02-10", "/rollout"),
    )
    assert (got["coherence.breadth.any.7d"], got["coherence.breadth.any.30d"]) == (1.0, 2.0)
