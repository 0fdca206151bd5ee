"""Rows of leads in one order, whatever order they came in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.features.kernel.order import bounds_of, event_order

NAN = float("nan")
rows = st.lists(
    st.tuples(
        st.integers(-1, 2),
        st.integers(-3, 3),
        st.integers(-3, 3),
        st.sampled_from([NAN, 0.0, -0.0, -0.5, 0.5, 2.0]),
        st.sampled_from([NAN, 0.0, 0.5, 30.0]),
    ),
    max_size=80,
)


def columns(events):
    """Lead, known, occurred, value and duration as arrays."""
    lead, known, occurred, value, duration = (
        list(column) for column in (zip(*events, strict=True) if events else ([],) * 5)
    )
    whole = (np.array(column, dtype=np.int64) for column in (lead, known, occurred))
    return *whole, np.array(value, dtype=float), np.array(duration, dtype=float)


def ordered(events, n_leads=3):
    lead, *rest = columns(events)
    bounds = bounds_of(lead, n_leads)
    return [events[i] for i in event_order(lead, *rest, bounds)], bounds


def key(event):
    """By lead, known, occurred, value and duration; none counts as 0."""
    return (*event[:3], *(0.0 if number != number else number for number in event[3:]))


@settings(max_examples=200)
@given(rows)
def test_rows_come_sorted_without_those_of_nobody(events):
    found, bounds = ordered(events)
    kept = [event for event in events if event[0] >= 0]
    assert [key(event) for event in found] == sorted(key(event) for event in kept)
    for lead in range(3):
        assert {event[0] for event in found[bounds[lead] : bounds[lead + 1]]} <= {lead}
    assert bounds[-1] == len(kept)


def test_many_rows_of_one_lead_backwards_are_sorted():
    events = [(0, -i, -i, NAN, NAN) for i in range(5000)]
    found, _ = ordered(events, n_leads=1)
    assert found == events[::-1]


@pytest.mark.parametrize("n", [17, 32, 33, 48, 64, 65, 200])
def test_two_neighbours_that_changed_places_are_put_right_wherever_they_are(n):
    """Runs of sixteen are merged only where they are out of order."""
    right = [(0, i, i, NAN, NAN) for i in range(n)]
    for i in range(n - 1):
        events = [*right[:i], right[i + 1], right[i], *right[i + 2 :]]
        found, _ = ordered(events, n_leads=1)
        assert found == right


@settings(max_examples=50)
@given(st.integers(1, 300).flatmap(lambda n: st.permutations(range(n))))
def test_any_order_of_one_leads_rows_is_sorted(places):
    events = [(0, i // 3, i, NAN, NAN) for i in places]
    found, _ = ordered(events, n_leads=1)
    assert found == sorted(events, key=key)
