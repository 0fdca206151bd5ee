"""The arithmetic of monitoring: what drift, delays and lights say, where the truth is known."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.gate import GateSettings
from intentcast.gate.checks import CalibrationLimits
from intentcast.monitoring.delays import Delays, reverse_time
from intentcast.monitoring.drift import adjusted, psi, shift_p_value
from intentcast.monitoring.early import _grid
from intentcast.monitoring.lights import Signal, early_signal, next_steps, quality_signals, worst
from intentcast.monitoring.realized import Quality
from intentcast.monitoring.state import reopened, run_before, with_run
from intentcast.packaging import decile_bins

DAY = datetime(2025, 3, 3, tzinfo=UTC)


def shares(rng, n, p):
    return rng.multinomial(n, p) / n


def test_the_index_is_that_of_the_formula_but_for_what_chance_gives():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.4, 0.3, 0.3])
    by_hand = 0.2 * np.log(0.4 / 0.2) + 0 + -0.2 * np.log(0.3 / 0.5)
    assert psi(p, q, n=1e9, m=1e9) == pytest.approx(by_hand, rel=1e-6)
    assert psi(p, q, n=1000, m=500) == pytest.approx(by_hand - 2 * (1 / 1000 + 1 / 500), abs=2e-3)


def test_without_drift_the_index_is_about_zero_at_every_size():
    rng = np.random.default_rng(1)
    p = np.full(10, 0.1)
    for n in (200, 1000):
        raw = [psi(shares(rng, 2000, p), shares(rng, n, p), n=2000, m=n) for _ in range(400)]
        # Its excess is cut off at 0, so its mean is a little above it.
        assert np.mean(raw) < 0.4 * 9 * (1 / n + 1 / 2000)


def test_without_drift_the_test_rejects_as_often_as_it_says():
    rng = np.random.default_rng(2)
    p = np.array([0.5, 0.2, 0.1, 0.1, 0.1])
    values = [
        shift_p_value(shares(rng, 3000, p), shares(rng, 400, p), n=3000, m=400) for _ in range(2000)
    ]
    assert np.mean(np.array(values) < 0.05) == pytest.approx(0.05, abs=0.015)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_adjusted_p_values_are_never_smaller_and_keep_their_order(raw):
    p = np.array(raw)
    q = adjusted(p)
    assert (q >= p - 1e-12).all()
    assert (q <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(q[order]) >= -1e-12).all()


def test_adjusted_p_values_of_the_published_example():
    # Benjamini and Hochberg 1995, section 3.2: of 15, the first four are rejected at 0.05.
    p = np.array(
        [.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .324, .4262, .5719,
         .6528, .759, 1.0]
    )  # fmt: skip
    assert (adjusted(p) < 0.05).sum() == 4


def test_a_bin_has_its_upper_decile_and_equal_deciles_bound_none():
    deciles = [0.0, 0.0, 0.0, 1.0, 2.0]
    assert decile_bins(np.array([-1.0, 0.0, 0.5, 1.0, 1.5, 2.0, 9.0]), deciles).tolist() == [
        0, 0, 1, 1, 2, 2, 3,
    ]  # fmt: skip


def test_delays_seen_only_up_to_a_limit_are_estimated_without_bias():
    rng = np.random.default_rng(3)
    true = rng.exponential(10, 40_000)
    room = rng.uniform(0, 120, 40_000)
    seen = true < room
    days, cumulative = reverse_time(true[seen], room[seen])
    for at in (3.0, 10.0, 30.0):
        estimate = cumulative[np.searchsorted(days, at, side="right") - 1]
        assert estimate == pytest.approx(1 - np.exp(-at / 10), abs=0.02)
    naive = (true[seen] <= 10).mean()
    assert naive > 1 - np.exp(-1) + 0.03


def test_what_is_still_to_come_is_less_the_longer_a_horizon_is_over():
    delays = Delays(
        100, is_measured=True, days=np.arange(1.0, 11.0), cumulative=np.arange(1, 11) / 10
    )
    missing = [delays.missing_share(np.array([float(e)]), 30) for e in (30, 35, 41)]
    # Uniform delays of 1 to 10 days over 30 days: 165 of 300 ten-day parts, at the very end.
    assert missing[0] == pytest.approx(
        np.mean([max(0, 1 - (d - 0.5) // 1 / 10) for d in np.arange(1, 31)]), abs=0.02
    )
    assert missing == sorted(missing, reverse=True)
    assert missing[-1] == 0


def test_delays_that_cannot_be_measured_hide_nothing():
    nothing = Delays(5, is_measured=False, days=np.empty(0), cumulative=np.empty(0))
    assert nothing.missing_share(np.array([31.0]), 30) == 0
    assert nothing.quantile(0.5) is None


@given(st.integers(1, 3650))
def test_the_days_looked_at_end_today_and_are_few(elapsed):
    days = _grid(elapsed)
    assert days[-1] == elapsed
    assert days[0] >= 1
    assert len(days) <= 14
    assert sorted(set(days)) == list(days)


def quality(**changes):
    limits = CalibrationLimits(1.0, 0.9, 1.1, 100.0, 100.0, 0.9, 1.1, 0.0)
    whole = Quality(
        version="v", horizon_days=30, first=DAY, last=DAY, n=1000, n_leads=500, n_accounts=300,
        n_converted_before=0, log_loss=0.3, log_loss_base=0.35, brier=0.08, brier_skill=0.1,
        skill_low=0.05, skill_high=0.15, auc=0.8, limits=limits, unrecorded=0.0, precision=0.3,
        lift=3.0, lift_low=2.0, lift_high=4.0, handoffs=40.0, tiers=(), times=(), reliability=(),
    )  # fmt: skip
    of_limits = {key: changes.pop(key) for key in list(changes) if hasattr(limits, key)}
    return replace(whole, limits=replace(limits, **of_limits), **changes)


@pytest.mark.parametrize(
    ("changes", "check", "light", "step"),
    [
        ({}, "Level", "green", ""),
        ({"ratio_low": 1.02, "ratio_high": 1.4}, "Level", "amber", "recalibrate"),
        ({"ratio_low": 1.2, "ratio_high": 1.6}, "Level", "red", "recalibrate"),
        ({"ratio_low": 0.5, "ratio_high": 0.8}, "Level", "red", "recalibrate"),
        ({"slope_low": 0.5, "slope_high": 0.95}, "Spread", "amber", "recalibrate"),
        ({"slope_low": 0.4, "slope_high": 0.7}, "Spread", "red", "retrain"),
        ({"lift_low": 0.4, "lift_high": 0.9}, "Ranking", "red", "retrain"),
        ({"lift_low": float("nan")}, "Ranking", "red", "retrain"),
    ],
)
def test_each_figure_that_is_off_has_its_light_and_its_step(changes, check, light, step):
    [mine] = [s for s in quality_signals(quality(**changes), GateSettings()) if check in s.name]
    assert (mine.light, mine.next_step) == (light, step)


def test_few_conversions_are_not_judged():
    [only] = quality_signals(quality(observed=5.0, ratio_low=3.0), GateSettings())
    assert only.light == "grey"
    assert early_signal(None).light == "grey"


def test_the_worst_light_counts_and_grey_is_no_alarm():
    def signals(*lights):
        return [Signal("x", light, "") for light in lights]

    assert worst(signals("grey", "green")) == "green"
    assert worst(signals("grey", "amber", "green")) == "amber"
    assert worst(signals("red", "amber")) == "red"
    assert worst(signals("grey")) == "grey"


def test_wrong_inputs_come_first_among_what_to_do():
    found = next_steps(
        [
            Signal("a", "red", "", "retrain"),
            Signal("b", "amber", "", "look at the tracking"),
            Signal("c", "green", "", "recalibrate"),
        ]
    )
    assert [text.split(":")[0] for text in found] == [
        "Look at the tracking",
        "Once that is explained, retrain",
    ]


def run(as_of, converted):
    times = {"2025-01-06T00:00:00+00:00": [10, converted]}
    group = {"log_loss": 0.1, "expected": 1.0, "observed": converted, "times": times}
    return {"as_of": as_of, "groups": {"v|30": group}}


def test_a_run_is_compared_with_the_one_before_and_never_with_itself():
    first, second = run("2025-03-03T00:00:00+00:00", 1), run("2025-03-10T00:00:00+00:00", 3)
    runs = with_run(with_run([], first)["runs"], second)["runs"]
    assert run_before(runs, second) == first
    assert run_before(runs, first) is None
    # The same instant, but more is known: that is compared with what it said then.
    restated = run("2025-03-10T00:00:00+00:00", 4)
    before = run_before(runs, restated)
    assert before == second
    assert reopened(before, restated, "v|30").converted == 1
    assert reopened(before, restated, "w|30") is None
    assert len(with_run(runs, second)["runs"]) == 2
