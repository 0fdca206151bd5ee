"""Person-periods: by hand, censored at any instant, and what a lot leaves out."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.propensity.periods import Followed, expand, interval_edges, sampled
from intentcast.propensity.rows import DAY_US

EDGES = (0, 15, 30, 60)


def followed(n_over, converted_in, *, times=None, leads=None, delay_us=0):
    n = len(n_over)
    return Followed(
        features=np.arange(n, dtype=np.float32)[:, None],
        names=["a.count.any.7d"],
        n_over=np.array(n_over, dtype=np.int64),
        converted_in=np.array(converted_in, dtype=np.int64),
        times=np.zeros(n, np.int64) if times is None else np.array(times, dtype=np.int64),
        leads=np.arange(n, dtype=np.int64) if leads is None else np.array(leads, dtype=np.int64),
        clusters=np.arange(n, dtype=np.int64),
        edges_days=EDGES,
        delay_us=delay_us,
    )


@pytest.mark.parametrize(
    ("horizons", "edges"),
    [
        ((30,), (0, 7, 15, 30)),
        ((30, 60, 90), (0, 7, 15, 30, 60, 90)),
        ((1,), (0, 1)),
        ((7, 365), (0, 1, 3, 7, 365)),
    ],
)
def test_edges_are_every_horizon_a_quarter_and_half_of_the_shortest(horizons, edges):
    assert interval_edges(horizons) == edges


def test_a_snapshot_has_a_row_for_each_interval_it_entered_and_whose_outcome_is_known():
    """Never converted; in the first; in the last; censored after one; nothing known."""
    periods = expand(followed([3, 3, 3, 1, 0], [3, 0, 2, 3, 3]))
    assert periods.row.tolist() == [0, 0, 0, 1, 2, 2, 2, 3]
    assert periods.interval.tolist() == [0, 1, 2, 0, 0, 1, 2, 0]
    assert periods.converted.tolist() == [0, 0, 0, 1, 0, 0, 1, 0]
    assert periods.weight.tolist() == [1.0] * 8


def test_with_lead_weight_one_every_lead_counts_alike():
    rows = followed([3, 3, 3, 3], [3, 3, 3, 3], leads=[5, 5, 5, 9])
    periods = expand(rows, lead_weight=1.0)
    of_lead = {lead: periods.weight[rows.leads[periods.row] == lead].sum() for lead in (5, 9)}
    assert of_lead[5] == pytest.approx(of_lead[9])
    assert periods.weight.mean() == pytest.approx(1.0)
    half = expand(rows, lead_weight=0.5).weight
    assert half[-1] / half[0] == pytest.approx(3**0.5)


intervals = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 90)), min_size=1, max_size=20
)


@given(intervals, st.integers(0, 160), st.sampled_from([0, 2]))
def test_what_is_censored_at_an_instant_is_what_was_known_then(drawn, instant, delay_days):
    n_over = [over for over, _, _ in drawn]
    converted = [first if first < over else 3 for over, first, _ in drawn]
    times = [day * DAY_US for _, _, day in drawn]
    rows = followed(n_over, converted, times=times, delay_us=delay_days * DAY_US)
    found = rows.censored_at(instant * DAY_US)
    expected = []
    for over, first, (_, _, day) in zip(n_over, converted, drawn, strict=True):
        known = sum(day + edge + delay_days <= instant for edge in EDGES[1:])
        known = min(known, over)
        if known:
            expected.append((known, first if first < known else 3))
    assert list(zip(found.n_over.tolist(), found.converted_in.tolist(), strict=True)) == expected


# Sampling


def many(n=4000, seed=1):
    rng = np.random.default_rng(seed)
    converted = np.where(rng.random(n) < 0.1, rng.integers(0, 3, n), 3)
    return followed(np.full(n, 3), converted, times=rng.integers(0, 10, n) * DAY_US)


def test_what_fits_is_left_whole():
    rows = many()
    periods = expand(rows)
    assert sampled(periods, rows, max_rows=len(periods), seed=7) is periods


def test_sampling_keeps_conversions_and_says_what_share_of_the_rest():
    rows = many()
    periods = expand(rows)
    found = sampled(periods, rows, max_rows=len(periods) // 3, seed=7)
    assert found.converted.sum() == periods.converted.sum()
    assert len(found) == pytest.approx(len(periods) / 3, rel=0.05)
    for k in range(3):
        whole = ((periods.interval == k) & (periods.converted == 0)).sum()
        left = ((found.interval == k) & (found.converted == 0)).sum()
        assert found.kept[k] == left / whole


def test_the_odds_among_the_sampled_times_the_kept_share_are_the_true_odds_exactly():
    rows = many()
    periods = expand(rows)
    found = sampled(periods, rows, max_rows=len(periods) // 4, seed=3)
    for k in range(3):
        odds = [
            (p.converted[p.interval == k].sum() / (p.converted[p.interval == k] == 0).sum())
            for p in (periods, found)
        ]
        assert odds[1] * found.kept[k] == pytest.approx(odds[0], rel=1e-12)


def test_which_rows_stay_does_not_depend_on_their_order():
    rows = many()
    order = np.random.default_rng(2).permutation(len(rows))

    def kept(followed):
        found = sampled(expand(followed), followed, max_rows=4000, seed=7)
        return set(zip(followed.leads[found.row].tolist(), found.interval.tolist(), strict=True))

    assert kept(rows) == kept(rows.take(order))
    assert kept(rows) != kept(replace(rows, leads=rows.leads + 1))
