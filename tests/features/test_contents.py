"""Distinct contents, revisits and the most repeated one, worked out by hand; as-of 2024-03-04."""

import pytest

from tests.features.by_hand import seen, told


def revisits(*events, **more):
    got = told(*events, **more)
    return got["escalation.revisits.any.7d"], got["escalation.revisits.any.30d"]


# How many different ones


def test_a_content_counts_once_however_often_it_is_seen():
    got = told(
        seen("2024-03-01", "/pricing"),
        seen("2024-03-02", "/pricing"),
        seen("2024-03-02", "/careers"),
        seen("2024-02-10", "/rollout"),
        seen("2024-03-02"),
    )
    assert got["engagement.distinct_content.any.7d"] == 2.0
    assert got["engagement.distinct_content.any.30d"] == 3.0


def test_a_content_counts_as_long_as_its_latest_event_is_in_the_window():
    events = [seen("2024-02-25", "/pricing"), seen("2024-02-26", "/pricing")]
    assert told(*events)["engagement.distinct_content.any.7d"] == 1.0
    # A late record of an earlier event does not shorten that.
    late = [seen("2024-02-26", "/pricing"), seen("2024-02-20", "/pricing", known="2024-03-01")]
    assert told(*late)["engagement.distinct_content.any.7d"] == 1.0
    assert told(*late, as_of="2024-03-05")["engagement.distinct_content.any.7d"] == 0.0


# Revisits


def test_a_content_seen_again_within_seven_days_is_revisited():
    # Gaps of four and six days; the content between them is another one.
    events = [
        seen("2024-02-20", "/pricing"),
        seen("2024-02-24", "/pricing"),
        seen("2024-02-28", "/rollout"),
        seen("2024-03-01", "/pricing"),
    ]
    assert revisits(*events) == (1.0, 2.0)


def test_seven_days_to_the_instant_are_within_seven_days():
    assert revisits(seen("2024-02-20", "/pricing"), seen("2024-02-27", "/pricing")) == (1.0, 1.0)
    later = seen("2024-02-27T00:00:00.000001", "/pricing")
    assert revisits(seen("2024-02-20", "/pricing"), later) == (0.0, 0.0)


def test_events_of_one_instant_revisit_nothing():
    twice = [seen("2024-03-01", "/pricing"), seen("2024-03-01", "/pricing", kind="email_click")]
    assert revisits(*twice) == (0.0, 0.0)


def test_each_of_two_events_at_one_instant_revisits_what_was_before():
    first = seen("2024-02-29", "/pricing")
    twice = [seen("2024-03-01", "/pricing"), seen("2024-03-01", "/pricing", kind="email_click")]
    assert revisits(first, *twice) == (2.0, 2.0)


def test_what_was_told_later_does_not_make_a_revisit_of_what_was_known_before():
    told_later = seen("2024-02-27", "/pricing", known="2024-03-02")
    assert revisits(told_later, seen("2024-03-01", "/pricing")) == (0.0, 0.0)


def test_an_event_told_late_is_a_revisit_of_what_came_before_it():
    events = [seen("2024-02-27", "/pricing"), seen("2024-02-29", "/pricing", known="2024-03-03")]
    assert revisits(*events) == (1.0, 1.0)
    assert revisits(*events, as_of="2024-03-03") == (0.0, 0.0)


def test_an_event_told_out_of_order_looks_back_past_later_ones():
    # The 24th is told after the 26th; what came before it is the 20th.
    events = [
        seen("2024-02-20", "/pricing"),
        seen("2024-02-26", "/pricing"),
        seen("2024-02-24", "/pricing", known="2024-02-27"),
    ]
    assert revisits(*events) == (1.0, 2.0)
    # Without the 20th, nothing known was before the 24th when it was told.
    assert revisits(*events[1:]) == (0.0, 0.0)


def test_an_old_event_told_late_does_not_hide_the_one_that_was_known_before_it():
    events = [
        seen("2024-02-20", "/pricing"),
        seen("2024-02-10", "/pricing", known="2024-02-21"),
        seen("2024-02-26", "/pricing"),
    ]
    assert revisits(*events) == (1.0, 1.0)


def test_of_events_told_at_once_the_later_ones_revisit_the_earlier():
    days = ("2024-03-01", "2024-02-29", "2024-02-28")
    events = [seen(day, "/pricing", known="2024-03-02") for day in days]
    assert revisits(*events) == (2.0, 2.0)


@pytest.mark.parametrize("who", ["L2", "L3"])
def test_a_colleagues_look_at_a_content_does_not_make_it_a_revisit(who):
    assert revisits(seen("2024-02-28", "/pricing", who=who), seen("2024-03-01", "/pricing")) == (
        0.0,
        0.0,
    )


# The most repeated


def test_the_most_repeated_content_is_that_with_most_events_in_the_window():
    got = told(
        *[seen("2024-02-10", "/pricing")] * 3,
        *[seen("2024-03-01", "/rollout")] * 2,
        seen("2024-03-02", "/pricing"),
        *[seen("2024-03-02")] * 9,
    )
    assert got["escalation.most_repeated.any.7d"] == 2.0
    assert got["escalation.most_repeated.any.30d"] == 4.0


def test_without_content_nothing_is_repeated():
    got = told(seen("2024-03-01"), seen("2024-03-01"))
    assert got["escalation.most_repeated.any.30d"] == 0.0
    assert got["engagement.distinct_content.any.30d"] == 0.0
