import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.evaluation.capacity import gains_curve, handed_over, precision_at_capacity

SCORES = st.sampled_from([0.0, 1.0, 2.0, 3.0])


@st.composite
def weeks(draw, *, n_times=3):
    """Leads that recur over as-of times, with tied scores and outcomes that may change."""
    n_leads = draw(st.integers(1, 6))
    rows = draw(
        st.lists(
            st.tuples(st.integers(0, n_leads - 1), st.integers(0, n_times - 1)),
            min_size=1,
            max_size=14,
            unique=True,
        )
    )
    n = len(rows)
    leads, times = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    a, b = (np.array(draw(st.lists(SCORES, min_size=n, max_size=n))) for _ in "ab")
    converted = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), float)
    return a, b, converted, leads, times


def one_time(n):
    """Lead numbers and as-of times of n leads at a single as-of time."""
    return np.arange(n), np.zeros(n, np.int64)


# By hand.


def test_the_highest_scores_get_the_seats():
    [share] = handed_over([np.array([1.0, 3.0, 2.0])], np.zeros(3), *one_time(3), per_time=2)
    assert share.tolist() == [0.0, 1.0, 1.0]


def test_leads_that_tie_at_the_edge_share_the_last_seat():
    [share] = handed_over([np.array([3.0, 2.0, 2.0])], np.zeros(3), *one_time(3), per_time=2)
    assert share.tolist() == [1.0, 0.5, 0.5]


@pytest.mark.parametrize(("ties", "taken"), [("worst", [1, 0, 1]), ("best", [1, 1, 0])])
def test_a_tie_at_the_edge_is_broken_against_or_for_the_contender(ties, taken):
    score, converted = np.array([3.0, 2.0, 2.0]), np.array([0.0, 1.0, 0.0])
    [share] = handed_over([score], converted, *one_time(3), per_time=2, ties=ties)
    assert share.tolist() == taken


def test_a_lead_handed_over_makes_room_for_the_next_one_a_week_later():
    scores = np.array([9.0, 5.0, 9.0, 5.0])
    leads, times = np.array([0, 1, 0, 1]), np.array([0, 0, 7, 7])
    [share] = handed_over([scores], np.zeros(4), leads, times, per_time=1)
    assert share.tolist() == [1.0, 0.0, 0.0, 1.0]


def test_both_contenders_get_as_many_seats_as_the_one_with_fewest_leads_left():
    # Week 1: a takes lead 0, b takes lead 1. Week 2 has lead 0 alone: a has nobody left, so b
    # gets no seat either.
    a, b = np.array([2.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0])
    leads, times = np.array([0, 1, 0]), np.array([0, 0, 7])
    share_a, share_b = handed_over([a, b], np.zeros(3), leads, times, per_time=1)
    assert share_a.tolist() == [1.0, 0.0, 0.0]
    assert share_b.tolist() == [0.0, 1.0, 0.0]


def test_precision_at_capacity_says_what_ties_leave_open():
    score, converted = np.array([3.0, 2.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0])
    found = precision_at_capacity(score, converted, *one_time(4), per_time=2)
    assert found.worst == 0.5
    assert found.expected == 0.75
    assert found.best == 1.0
    assert found.n_handoffs == 2
    assert found.n_converted == 1.5
    assert found.lift == 0.75 / 0.5


def test_each_way_to_break_ties_is_divided_by_its_own_volume():
    # Two leads tie for one seat; a week later only lead 0 is there. Lead 0 converts. Taken first,
    # it is the only hand-off; kept back, both are handed over; on average, one and a half.
    leads, times = np.array([0, 1, 0]), np.array([0, 0, 7])
    converted = np.array([1.0, 0.0, 1.0])
    found = precision_at_capacity(np.ones(3), converted, leads, times, per_time=1)
    assert found.n_handoffs == 1.5
    assert found.n_converted == 1.0
    assert found.expected == pytest.approx(1 / 1.5)
    assert found.worst == 0.5
    assert found.best == 1.0


def test_worst_and_best_hold_the_expected_where_an_outcome_comes_in_a_later_week():
    # Filling each week against the contender keeps back the leads that convert weeks later.
    leads = np.array([0, 1, 2, 2, 0, 1])
    times = np.array([1, 2, 1, 0, 2, 0])
    score = np.array([0.0, 1, 1, 1, 1, 1])
    converted = np.array([0.0, 0, 1, 1, 1, 0])
    found = precision_at_capacity(score, converted, leads, times, per_time=1)
    assert found.worst <= found.expected <= found.best


def test_precision_of_nobody_is_undefined():
    nobody = np.empty(0)
    none = np.empty(0, np.int64)
    found = precision_at_capacity(nobody, nobody, none, none, per_time=3)
    assert math.isnan(found.expected)
    assert math.isnan(found.worst)
    assert math.isnan(found.best)
    assert math.isnan(found.lift)
    assert found.n_handoffs == 0


def test_lift_over_a_base_rate_of_zero_is_undefined():
    found = precision_at_capacity(np.array([1.0, 2.0]), np.zeros(2), *one_time(2), per_time=1)
    assert found.expected == 0
    assert math.isnan(found.lift)


def test_gains_of_a_perfect_ranking_rise_to_one_at_the_base_rate():
    curve = gains_curve(np.array([4.0, 3.0, 2.0, 1.0]), np.array([1.0, 1.0, 0.0, 0.0]), n_points=4)
    assert [tuple(point) for point in curve] == [
        (0.0, 0.0), (0.25, 0.5), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0),
    ]  # fmt: skip


def test_gains_of_equal_scores_are_the_diagonal():
    curve = gains_curve(np.ones(10), np.array([1.0] * 3 + [0.0] * 7), n_points=10)
    for share, found in curve:
        assert found == pytest.approx(share)


# Properties.


@given(weeks(), st.integers(1, 4))
def test_each_lead_is_handed_over_at_most_once_over_all_times(data, per_time):
    a, b, converted, leads, times = data
    for share in handed_over([a, b], converted, leads, times, per_time=per_time):
        assert (share >= 0).all()
        assert np.bincount(leads, weights=share).max() <= 1 + 1e-9


@given(weeks(), st.integers(1, 4))
def test_seats_are_never_exceeded_and_never_left_empty_while_a_lead_is_left(data, per_time):
    a, _, converted, leads, times = data
    [share] = handed_over([a], converted, leads, times, per_time=per_time)
    left = np.ones(leads.max() + 1)
    for time in np.unique(times):
        here = times == time
        assert share[here].sum() == pytest.approx(min(per_time, left[leads[here]].sum()))
        left[leads[here]] -= share[here]


@given(weeks(), st.integers(1, 4), st.sampled_from(["expected", "worst", "best"]))
def test_contenders_always_get_equal_volume(data, per_time, ties):
    a, b, converted, leads, times = data
    shares = handed_over([a, b], converted, leads, times, per_time=per_time, ties=ties)
    for time in np.unique(times):
        volumes = [share[times == time].sum() for share in shares]
        assert volumes[0] == pytest.approx(volumes[1])


@given(weeks(), st.integers(1, 4), st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(data, per_time, random):
    a, b, converted, leads, times = data
    order = list(range(len(a)))
    random.shuffle(order)
    shares = handed_over([a, b], converted, leads, times, per_time=per_time)
    again = handed_over(
        [a[order], b[order]], converted[order], leads[order], times[order], per_time=per_time
    )
    for share, other in zip(shares, again, strict=True):
        assert other == pytest.approx(share[order])


@given(weeks(n_times=1), st.integers(1, 4))
def test_expected_is_the_mean_over_every_way_to_break_ties_at_one_time(data, per_time):
    score, _, converted, leads, times = data
    score, converted, leads, times = (x[:6] for x in (score, converted, leads, times))
    [share] = handed_over([score], converted, leads, times, per_time=per_time)
    n = len(score)
    ways = list(itertools.permutations(range(n)))
    taken = np.zeros(n)
    found = []
    for place in ways:
        first = sorted(range(n), key=lambda i, place=place: (-score[i], place[i]))[:per_time]
        taken[first] += 1
        found.append(converted[first].sum())
    assert share == pytest.approx(taken / len(ways))
    at = precision_at_capacity(score, converted, leads, times, per_time=per_time)
    seats = min(per_time, n)
    assert at.n_converted == pytest.approx(np.mean(found))
    assert at.worst == pytest.approx(min(found) / seats)
    assert at.best == pytest.approx(max(found) / seats)


@given(weeks(n_times=4), st.integers(1, 4))
def test_worst_is_at_most_expected_and_expected_at_most_best(data, per_time):
    score, _, converted, leads, times = data
    at = precision_at_capacity(score, converted, leads, times, per_time=per_time)
    assert at.worst <= at.expected + 1e-9
    assert at.expected <= at.best + 1e-9


@given(weeks(), st.integers(1, 4))
def test_without_ties_nothing_is_left_open(data, per_time):
    _, _, converted, leads, times = data
    score = np.arange(len(converted), dtype=float)
    at = precision_at_capacity(score, converted, leads, times, per_time=per_time)
    assert at.worst == at.expected == at.best


@given(weeks(), st.integers(1, 30))
def test_gains_rise_from_zero_to_one(data, n_points):
    score, _, converted, _, _ = data
    converted[0] = 1.0
    curve = gains_curve(score, converted, n_points=n_points)
    found = [point.share_of_conversions for point in curve]
    assert tuple(curve[0]) == (0.0, 0.0)
    assert curve[-1] == pytest.approx((1.0, 1.0))
    assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(found))


@given(weeks(), st.randoms(use_true_random=False))
def test_gains_do_not_depend_on_the_order_of_rows(data, random):
    score, _, converted, _, _ = data
    order = list(range(len(score)))
    random.shuffle(order)
    for one, other in zip(
        gains_curve(score, converted), gains_curve(score[order], converted[order]), strict=True
    ):
        assert one == pytest.approx(other)
