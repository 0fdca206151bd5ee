"""Figures of one column: known answers, and what must hold of any data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.evaluation.leakage_model import lost_without, together
from intentcast.evaluation.leakage_signals import (
    Interval,
    bin_rates,
    clustered_auc,
    clustered_mean,
    still_there,
)
from intentcast.evaluation.metrics import auc

labels = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 4)), min_size=2, max_size=60)


@given(labels)
def test_the_clustered_auc_is_the_auc(rows):
    y, score = np.array(rows, dtype=float).T
    found = clustered_auc(y, score, np.arange(len(y)))
    assert found.value == pytest.approx(auc(y, score), nan_ok=True)


@given(labels, st.integers(2, 4))
def test_repeating_each_accounts_rows_does_not_narrow_the_interval(rows, times):
    y, score = np.array(rows, dtype=float).T
    clusters = np.arange(len(y))
    once = clustered_auc(y, score, clusters)
    more = clustered_auc(*(np.tile(x, times) for x in (y, score, clusters)))
    assert more == pytest.approx(once, nan_ok=True)


def test_the_interval_covers_the_truth_about_19_times_of_20_with_accounts_that_agree():
    rng = np.random.default_rng(5)
    covered = 0
    for _ in range(200):
        converted = (rng.random(150) < 0.3).astype(float)
        score = rng.normal(converted, 1.0)
        found = clustered_auc(*(np.repeat(x, 4) for x in (converted, score, np.arange(150))))
        covered += found.low <= 0.7602 <= found.high
    assert 183 <= covered <= 198


def test_a_level_for_each_lead_tells_nothing():
    rng = np.random.default_rng(2)
    n = 3000
    y = (rng.random(n) < 0.1).astype(float)
    found = clustered_auc(y, bin_rates(np.arange(n), y, np.arange(n)).of_row, np.arange(n))
    assert found.low < 0.53


def test_rates_by_bin_are_drawn_to_the_base_rate():
    bins = np.array([0] * 100 + [1] * 20)
    y = np.array([0.0] * 90 + [1.0] * 10 + [1.0] * 20)
    rates = bin_rates(bins, y, np.arange(120))
    assert rates.of_bin == pytest.approx([(10 + 20 * 0.25) / 120, (20 + 20 * 0.25) / 40])
    assert rates.at(np.array([7]))[0] == pytest.approx(rates.of_bin.mean())


def test_a_present_like_the_past_shows_all_of_the_signal_and_one_like_the_rest_none():
    past, never = Interval(0.10, 0.09, 0.11), Interval(0.06, 0.055, 0.065)
    assert still_there(past, never, past).value == pytest.approx(1.0)
    assert still_there(past, never, never).value == pytest.approx(0.0)
    assert still_there(past, never, never).high < 0.5


def test_where_nothing_was_told_nothing_can_be_missing():
    same = Interval(0.1, 0.09, 0.11)
    found = still_there(same, same, same)
    assert np.isnan(found.value)
    assert found.high == float("inf")


def test_a_rare_thing_that_a_small_sample_lacks_has_an_interval_all_the_same():
    found = clustered_mean(np.zeros(50), np.ones(50), np.arange(50), least_sd=0.1)
    assert found.high == pytest.approx(1.96 * 0.1 / np.sqrt(50), rel=1e-3)


def test_what_two_columns_share_is_not_lost_with_one_of_them():
    rng = np.random.default_rng(9)
    n = 4000
    y = (rng.random(n) < 0.2).astype(float)
    told = np.clip(0.2 + 0.1 * (y - 0.2) + rng.normal(0, 0.05, n), 0.01, 0.9)
    noise = np.clip(rng.normal(0.2, 0.05, n), 0.01, 0.9)
    clusters = np.arange(n) * 7
    alone, whole = lost_without(np.array([told, noise]), y, clusters)
    twins, _ = lost_without(np.array([told, told, noise]), y, clusters)
    assert alone[0] > 0.1 > abs(alone[1])
    assert abs(twins[0]) < 0.02
    assert whole == together(np.array([told, noise]), y, clusters) > 0.3
