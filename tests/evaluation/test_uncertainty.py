"""Intervals by account: what they cover, and that accounts, not rows, are what is drawn."""

import numpy as np
import pytest

from intentcast.evaluation.metrics import (
    auc,
    average_precision,
    calibration_error_by_chance,
    expected_calibration_error,
)
from intentcast.evaluation.uncertainty import AccountDraws


def drawn(seed, n=3000, per_account=5):
    """Rows of accounts that convert together, and scores that know half of it."""
    rng = np.random.default_rng(seed)
    accounts = np.arange(n) // per_account
    strength = rng.normal(size=n // per_account)[accounts]
    y = (rng.random(n) < 1 / (1 + np.exp(2 - strength))).astype(float)
    return y, accounts, strength + rng.normal(size=n)


def test_the_whole_sample_drawn_once_is_the_metric_itself():
    """With one row per account, drawing each account once gives the figure without weights."""
    y, accounts, score = drawn(1, n=400, per_account=1)
    score = np.round(score, 1)
    draws = AccountDraws(y, accounts)
    draws.__dict__["_times"] = np.ones((1, 400), dtype=np.uint16)
    of_auc, of_precision = draws.ranking(score)
    assert of_auc == pytest.approx([auc(y, score)] * 2)
    assert of_precision == pytest.approx([average_precision(y, score)] * 2)
    assert draws.mean(y) == pytest.approx([y.mean()] * 2)


def test_an_account_drawn_twice_counts_twice():
    y = np.array([1.0, 0, 0, 1, 0, 1] * 10)
    score = np.arange(60.0) % 7
    accounts = np.arange(60)
    times = np.arange(60) % 3
    draws = AccountDraws(y, accounts)
    draws.__dict__["_times"] = times[None, :].astype(np.uint16)
    again = np.repeat(np.arange(60), times)
    assert draws.ranking(score)[0] == pytest.approx([auc(y[again], score[again])] * 2)
    assert draws.ranking(score)[1] == pytest.approx([average_precision(y[again], score[again])] * 2)


def test_the_interval_holds_the_mean_about_as_often_as_it_says():
    whole, _, _ = drawn(99, n=100_000)
    held = 0
    for seed in range(60):
        y, accounts, _ = drawn(seed, n=1500)
        low, high = AccountDraws(y, accounts, seed=seed).mean(y)
        held += low <= whole.mean() <= high
    assert 51 <= held <= 60


def test_rows_of_one_account_do_not_count_as_many():
    y, accounts, _ = drawn(3)
    together, apart = (AccountDraws(y, by).mean(y) for by in (accounts, np.arange(len(y))))
    assert together[1] - together[0] > 1.2 * (apart[1] - apart[0])


def test_a_handful_of_converting_accounts_has_no_interval():
    y = np.zeros(100)
    y[:9] = 1.0
    draws = AccountDraws(y, np.arange(100))
    assert draws.mean(y) is None
    assert draws.ranking(np.arange(100.0)) == (None, None)


def test_true_probabilities_have_about_the_calibration_error_that_chance_gives():
    rng = np.random.default_rng(5)
    found, expected = [], []
    for _ in range(60):
        p = rng.beta(1, 8, 2000)
        y = (rng.random(2000) < p).astype(float)
        found.append(expected_calibration_error(y, p))
        expected.append(calibration_error_by_chance(y, p))
    assert np.mean(found) == pytest.approx(np.mean(expected), rel=0.08)
