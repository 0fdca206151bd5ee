import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.scorecards.multipliers import fit_multipliers, log_loss, resampled_theta


def problem(seed, *, n=400, weights=(1.0, 0.0, 0.4)):
    rng = np.random.default_rng(seed)
    parts = rng.poisson(0.8, size=(n, len(weights))) * 0.5
    p = 1 / (1 + np.exp(1.5 - parts @ np.array(weights) * 2))
    return parts, (rng.random(n) < p).astype(float)


def penalised(fitted, parts, target, penalty):
    apart = fitted.theta - fitted.centre
    return log_loss(fitted.margins(parts), target) * len(target) + penalty / 2 * (apart**2).sum()


@given(st.integers(0, 200), st.sampled_from([0.3, 3.0, 300.0]))
def test_no_allowed_step_away_from_the_fit_is_better(seed, penalty):
    parts, target = problem(seed, n=120)
    fitted = fit_multipliers(parts, target, penalty=penalty)
    best = penalised(fitted, parts, target, penalty)
    rng = np.random.default_rng(seed)
    for _ in range(20):
        step = rng.normal(0, 0.05, 4)
        moved = type(fitted)(
            fitted.intercept + step[3],
            np.maximum(fitted.theta + step[:3], 0),
            fitted.centre,
            penalty,
        )
        assert penalised(moved, parts, target, penalty) >= best - 1e-6


@given(st.integers(0, 200), st.sampled_from([0.3, 30.0, np.inf]))
def test_multipliers_are_never_negative(seed, penalty):
    parts, target = problem(seed, n=80, weights=(1.0, -2.0, 0.5))
    fitted = fit_multipliers(parts, target, penalty=penalty)
    assert (fitted.theta >= 0).all()
    drawn = resampled_theta(fitted, parts, target, np.arange(80) // 2, n_resamples=50, seed=1)
    assert (drawn >= 0).all()


def test_an_infinite_penalty_keeps_the_table():
    parts, target = problem(1)
    fitted = fit_multipliers(parts, target, penalty=np.inf)
    assert (fitted.theta == fitted.centre).all()


def test_a_penalty_pulls_towards_the_table():
    parts, target = problem(2)
    spreads = [
        np.ptp(fit_multipliers(parts, target, penalty=each).theta) for each in (3e4, 300.0, 3.0)
    ]
    assert spreads == sorted(spreads)


def test_the_same_rule_twice_shares_what_one_would_have():
    parts, target = problem(3)
    once = fit_multipliers(parts, target, penalty=0.3)
    halves = np.column_stack([parts[:, :1] / 2, parts[:, :1] / 2, parts[:, 1:]])
    twice = fit_multipliers(halves, target, penalty=0.3)
    assert twice.theta[0] == pytest.approx(twice.theta[1])
    assert twice.theta[:2].mean() == pytest.approx(once.theta[0], rel=0.05)


def test_a_rule_that_nobody_met_keeps_the_tables_multiplier():
    parts, target = problem(4)
    fitted = fit_multipliers(np.column_stack([parts, np.zeros(400)]), target, penalty=3.0)
    assert fitted.theta[3] == pytest.approx(fitted.centre)


def test_intervals_over_accounts_are_wider_where_accounts_hold_copies():
    parts, target = problem(5)
    copies, copied = np.repeat(parts, 4, axis=0), np.repeat(target, 4)
    fitted = fit_multipliers(copies, copied, penalty=0.3)

    def width(accounts):
        drawn = resampled_theta(fitted, copies, copied, accounts, n_resamples=600, seed=7)
        return np.ptp(np.percentile(drawn[:, 0], [2.5, 97.5]))

    apart, together = width(np.arange(1600)), width(np.repeat(np.arange(400), 4))
    assert together == pytest.approx(2 * apart, rel=0.2)


@pytest.mark.slow
def test_intervals_cover_the_truth_of_simulated_accounts():
    """At nominal 95 %, each of three multipliers in 60 worlds; a pull is part of the interval."""
    true = np.array([2.0, 0.0, 0.8])
    covered = []
    for seed in range(60):
        parts, target = problem(seed, n=600)
        fitted = fit_multipliers(parts, target, penalty=0.3)
        drawn = resampled_theta(fitted, parts, target, np.arange(600), n_resamples=300, seed=seed)
        low, high = np.percentile(drawn, [2.5, 97.5], axis=0)
        covered.append((low <= true) & (true <= high))
    assert np.mean(covered) >= 0.9
