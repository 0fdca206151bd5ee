"""Recency-weighted sums and what is told by comparing them, worked out by hand.

The half-lives are 1, 14 and 28 days; as-of time is 2024-03-04, so an event of 2024-02-19 is 14 days
old and one of 2024-02-05 is 28 days old.
"""

import math
from datetime import timedelta

import pytest

from tests.conftest import at
from tests.features.by_hand import AS_OF, nonzero, seen, told

TWO_WEEKS_AGO, FOUR_WEEKS_AGO = at("2024-02-19"), at("2024-02-05")
INSTANT = timedelta(microseconds=1)


def about(value):
    return pytest.approx(value, rel=1e-6)


# Recency


def test_an_event_loses_half_its_weight_per_half_life():
    got = told(seen(TWO_WEEKS_AGO))
    assert got["engagement.recency_weighted.any.14d_halflife"] == 0.5
    assert got["engagement.recency_weighted.any.28d_halflife"] == about(math.sqrt(0.5))
    assert got["engagement.recency_weighted.any.1d_halflife"] == 1 / 16384


def test_events_add_up_each_at_its_own_age():
    got = told(seen(TWO_WEEKS_AGO), seen(FOUR_WEEKS_AGO), seen(FOUR_WEEKS_AGO))
    assert got["engagement.recency_weighted.any.14d_halflife"] == 0.5 + 0.25 + 0.25


def test_an_event_counts_in_its_type_its_theme_and_its_channel_and_in_no_other():
    got = told(seen(TWO_WEEKS_AGO, "/pricing", channel="web"))
    assert nonzero(got, "recency_weighted", "14d_halflife") == {
        "engagement.any": 0.5,
        "activity.page_view": 0.5,
        "theme.pricing": 0.5,
        "channel.web": 0.5,
    }


def test_a_late_record_counts_from_when_it_is_known_with_its_true_age():
    late = seen(TWO_WEEKS_AGO, known="2024-03-03T23:00")
    assert told(late)["engagement.recency_weighted.any.14d_halflife"] == 0.5
    before = told(late, as_of="2024-03-03T23:00")
    assert before["engagement.recency_weighted.any.14d_halflife"] == 0.0


def test_an_event_at_the_as_of_time_is_not_seen_and_one_just_before_is():
    name = "engagement.recency_weighted.any.14d_halflife"
    assert told(seen(AS_OF))[name] == 0.0
    assert told(seen(AS_OF - INSTANT))[name] == about(1.0)


# Last


def test_the_last_event_is_the_latest_that_occurred_not_the_latest_that_was_told():
    got = told(seen("2024-03-01"), seen("2024-02-01", known="2024-03-03"))
    assert got["engagement.days_since_last.any.days"] == 3.0


def test_days_since_last_have_fractions_and_are_unknown_without_an_event():
    got = told(seen("2024-03-02T18:00", "/pricing"), seen("2024-02-23", "/rollout", channel="web"))
    assert got["engagement.days_since_last.any.days"] == 1.25
    assert got["theme.days_since_last.pricing.days"] == 1.25
    assert got["theme.days_since_last.rollout.days"] == 10.0
    assert got["channel.days_since_last.web.days"] == 10.0
    assert math.isnan(got["channel.days_since_last.email.days"])
    assert math.isnan(got["theme.days_since_last.other.days"])


# Value and duration


def test_values_are_weighted_by_recency_and_may_be_negative():
    got = told(seen(TWO_WEEKS_AGO, value=4.0), seen(FOUR_WEEKS_AGO, value=-1.0))
    assert got["value.recency_weighted.any.14d_halflife"] == 4.0 / 2 - 1.0 / 4
    assert got["duration.recency_weighted.any.14d_halflife"] == 0.0


def test_durations_are_weighted_by_recency_in_seconds():
    got = told(seen(TWO_WEEKS_AGO, duration_seconds=90.0), seen(FOUR_WEEKS_AGO))
    assert got["duration.recency_weighted.any.14d_halflife"] == 45.0
    assert got["duration.days_since_last.any.days"] == 14.0


def test_an_event_without_a_value_is_not_the_last_with_one():
    got = told(seen(TWO_WEEKS_AGO, value=0.0), seen("2024-03-03"))
    assert got["value.days_since_last.any.days"] == 14.0
    assert got["value.recency_weighted.any.14d_halflife"] == 0.0
    assert math.isnan(got["duration.days_since_last.any.days"])


# Coherence


def test_coherence_of_four_events_of_one_age():
    themes = ["/pricing", "/pricing/plans", "/rollout", "/careers"]
    got = told(*(seen(TWO_WEEKS_AGO, content) for content in themes))
    # Shares ½ pricing, ¼ rollout, ¼ of no known theme, whatever the half-life.
    for unit in ("14d_halflife", "28d_halflife"):
        entropy = math.log(2) / 2 + math.log(4) / 4 + math.log(4) / 4
        assert got[f"coherence.entropy.any.{unit}"] == about(entropy)
        assert got[f"coherence.top_share.any.{unit}"] == about(0.5)
        assert got[f"coherence.core_share.any.{unit}"] == about(0.5)
    shares = {name: value for name, value in got.items() if name.startswith("coherence.share.")}
    assert shares == about(
        {
            "coherence.share.pricing.14d_halflife": 0.5,
            "coherence.share.rollout.14d_halflife": 0.25,
            "coherence.share.other.14d_halflife": 0.25,
        }
    )


def test_coherence_weighs_each_theme_by_recency():
    got = told(seen(FOUR_WEEKS_AGO, "/pricing"), seen(TWO_WEEKS_AGO, "/rollout"))
    # At 14 days pricing weighs ¼ and rollout ½.
    assert got["coherence.share.pricing.14d_halflife"] == about(1 / 3)
    assert got["coherence.top_share.any.14d_halflife"] == about(2 / 3)
    assert got["coherence.core_share.any.14d_halflife"] == about(1 / 3)
    entropy = math.log(3) / 3 + 2 / 3 * math.log(3 / 2)
    assert got["coherence.entropy.any.14d_halflife"] == about(entropy)
    # At 28 days ½ and √½.
    assert got["coherence.core_share.any.28d_halflife"] == about(0.5 / (0.5 + math.sqrt(0.5)))


def test_one_theme_alone_has_no_entropy_and_all_the_share():
    got = told(*(seen(f"2024-02-{day:02}", "/rollout") for day in range(1, 9)))
    assert got["coherence.entropy.any.14d_halflife"] == 0.0
    assert got["coherence.top_share.any.14d_halflife"] == 1.0
    assert got["coherence.core_share.any.14d_halflife"] == 0.0


def test_events_without_content_tell_nothing_of_coherence():
    got = told(seen("2024-03-01"))
    told_of_shares = {
        name: value
        for name, value in got.items()
        if name.startswith("coherence.") and ".breadth." not in name
    }
    assert len(told_of_shares) == 2 * 3 + 3
    assert all(math.isnan(value) for value in told_of_shares.values())


# Acceleration


def test_acceleration_compares_short_memory_with_long():
    got = told(seen(TWO_WEEKS_AGO))
    # Weights at 1, 14 and 28 days: 2^−14, 2^−1, 2^−½.
    assert got["acceleration.short_over_long.any.1d_over_14d"] == about(2**-13)
    assert got["acceleration.short_over_long.any.14d_over_28d"] == about(math.sqrt(0.5))


def test_what_happened_just_now_has_an_acceleration_of_one_and_what_faded_less():
    got = told(seen(AS_OF - INSTANT, "/pricing"), seen(FOUR_WEEKS_AGO, "/rollout"))
    name = "acceleration.theme_short_over_long.{}.14d_over_28d"
    assert got[name.format("pricing")] == about(1.0)
    assert got[name.format("rollout")] == about(0.25 / 0.5)
    assert math.isnan(got[name.format("other")])
    everything = (1 + 0.25) / (1 + 0.5)
    assert got["acceleration.short_over_long.any.14d_over_28d"] == about(everything)
    kind = "acceleration.activity_short_over_long.page_view.14d_over_28d"
    assert got[kind] == about(everything)


def test_without_events_there_is_no_acceleration():
    found = [value for name, value in told().items() if name.startswith("acceleration.")]
    # Two pairs of half-lives; three event types and two themes, each with `other`.
    assert len(found) == 2 + 4 + 3
    assert all(math.isnan(value) for value in found)
