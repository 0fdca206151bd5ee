"""Calibration: a rising map, kept only where it helps, with an interval that holds."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from intentcast.propensity import Calibrator
from intentcast.propensity.calibration import (
    _fitted,
    fit_calibrator,
    fit_platt,
    fit_rising_platt,
    platt_covariance,
    with_band,
)
from intentcast.propensity.intervals import isotonic_band, level_drift
from intentcast.propensity.logit_maps import (
    beta_design,
    drawn_to_one,
    fit_map,
    map_covariance,
    platt_design,
)
from intentcast.propensity.margins import logit, sigmoid


def drawn(seed, n, *, a=0.0, b=1.0, per_account=1, shape=None):
    """Return margins, outcomes of true log-odds a + b·m (or of `shape`), accounts and times."""
    rng = np.random.default_rng(seed)
    margins = rng.normal(-1.0, 1.5, n)
    truth = sigmoid(a + b * margins) if shape is None else shape(margins)
    accounts = np.arange(n, dtype=np.int64) // per_account
    # Rows of an account share their luck half of the time; each row's own truth still holds.
    own, shared = rng.random(n), rng.random(n)[accounts]
    luck = np.where(rng.random(n)[accounts] < 0.5, shared, own)
    times = np.sort(rng.integers(0, 12, n))
    order = rng.permutation(n)
    converted = (luck < truth).astype(np.float64)
    return margins[order], converted[order], accounts[order], times


def fit(seed, n, *, isotonic_from=10**9, min_converted=30, **truth):
    return fit_calibrator(
        *drawn(seed, n, **truth), isotonic_from=isotonic_from, min_converted=min_converted
    )


def log_loss(p, converted):
    return float(-np.mean(converted * np.log(p) + (1 - converted) * np.log(1 - p)))


# Platt's map


def test_platt_recovers_a_known_map():
    margins, converted, *_ = drawn(1, 40_000, a=-0.7, b=0.6)
    assert fit_platt(margins, converted) == pytest.approx((-0.7, 0.6), abs=0.05)


@pytest.mark.parametrize("converted", [0.0, 1.0])
def test_a_slice_of_one_class_gives_a_finite_rising_map(converted):
    margins = np.linspace(-2, 2, 50)
    a, b = fit_platt(margins, np.full(50, converted))
    assert np.isfinite(a)
    assert b > 0


def test_a_separable_slice_gives_a_finite_map():
    margins = np.linspace(-2, 2, 50)
    a, b = fit_platt(margins, (margins > 0).astype(float))
    assert np.isfinite([a, b]).all()


def test_a_map_that_would_fall_is_told_as_it_is_and_not_kept():
    rng = np.random.default_rng(1)
    margins = rng.normal(size=2000)
    converted = (rng.random(2000) < sigmoid(-margins)).astype(float)
    assert fit_platt(margins, converted)[1] == pytest.approx(-1.0, abs=0.15)
    kept = fit_calibrator(
        margins,
        converted,
        np.arange(2000),
        rng.integers(0, 6, 2000),
        isotonic_from=10**9,
        min_converted=30,
    )
    assert kept.kind == "none"


def test_an_empty_slice_leaves_the_identity():
    assert fit_platt(np.empty(0), np.empty(0)) == pytest.approx((0.0, 1.0))


# A slope that is hardly known is drawn to 1


@pytest.mark.parametrize(("slope", "kept"), [(0.9, 0.0), (1.1, 0.0), (0.8, 0.75), (0.6, 0.9375)])
def test_a_slope_within_one_standard_error_of_one_becomes_one_and_a_far_one_stays(slope, kept):
    found = drawn_to_one(np.array([0.3, slope]), np.diag([0.2, 0.01]))
    assert found == pytest.approx([1 + kept * (slope - 1)], abs=1e-6)


def test_both_slopes_of_a_beta_map_are_drawn_alike():
    covariance = np.diag([0.1, 0.01, 0.04])
    found = drawn_to_one(np.array([0.0, 1.3, 0.6]), covariance)
    wald = 0.3**2 / 0.01 + 0.4**2 / 0.04
    np.testing.assert_allclose(found - 1.0, (1 - 2 / wald) * np.array([0.3, -0.4]), rtol=1e-6)


def test_a_drawn_map_keeps_the_level_of_its_slice():
    margins, converted, accounts, times = drawn(21, 1500, a=-0.8, b=0.75)
    fitted = fit_calibrator(
        margins, converted, accounts, times, isotonic_from=10**9, min_converted=30
    )
    assert fitted.kind in ("platt", "beta")
    assert fit_platt(margins, converted)[1] < fitted.slope < 1.0
    assert fitted.probabilities(margins).mean() == pytest.approx(converted.mean(), abs=1e-6)


# Kept only if it helps


def test_what_is_calibrated_already_is_left_alone():
    kinds = [fit(seed, 1500).kind for seed in range(30)]
    assert kinds.count("none") >= 24
    assert fit(next(i for i, kind in enumerate(kinds) if kind == "none"), 1500).slope == 1.0


@pytest.mark.parametrize(("a", "b"), [(-1.5, 1.0), (0.0, 0.4), (1.0, 2.0)])
def test_what_is_not_is_mapped_and_does_better_on_new_leads(a, b):
    for seed in range(5):
        calibrator = fit(seed, 2500, a=a, b=b)
        assert calibrator.kind in (("level", "platt", "beta") if b == 1.0 else ("platt", "beta"))
        if calibrator.kind == "platt":
            assert (calibrator.intercept, calibrator.slope) == pytest.approx((a, b), abs=0.35)
        margins, converted, *_ = drawn(1000 + seed, 20_000, a=a, b=b)
        after = log_loss(calibrator.probabilities(margins), converted)
        assert after < log_loss(sigmoid(margins), converted)


def test_many_converting_accounts_allow_a_map_of_any_rising_shape():
    def plateau(margins):
        return 0.05 + 0.6 * sigmoid(8 * (margins + 0.5))

    calibrator = fit(3, 8000, shape=plateau, isotonic_from=500)
    assert calibrator.kind == "isotonic"
    margins, converted, *_ = drawn(99, 20_000, shape=plateau)
    platt = fit(3, 8000, shape=plateau)
    assert log_loss(calibrator.probabilities(margins), converted) < log_loss(
        platt.probabilities(margins), converted
    )
    assert np.abs(calibrator.probabilities(margins) - plateau(margins)).mean() < 0.03


def test_rows_of_one_account_do_not_make_many_accounts():
    def plateau(margins):
        return 0.05 + 0.6 * sigmoid(8 * (margins + 0.5))

    many = fit(3, 8000, shape=plateau, isotonic_from=500)
    few = fit(3, 8000, shape=plateau, isotonic_from=500, per_account=40)
    assert many.kind == "isotonic"
    assert few.kind in ("platt", "beta")


def bent(margins):
    return sigmoid(beta_design(margins) @ [0.5, 0.3, 2.5])


def test_what_bends_one_end_only_gets_the_beta_map():
    """Small probabilities are nearly right, large ones far from it: one slope cannot say that."""
    kinds = [fit(seed, 6000, shape=bent).kind for seed in range(8)]
    assert kinds.count("beta") >= 6
    calibrator = fit(kinds.index("beta"), 6000, shape=bent)
    assert calibrator.covariance.shape == (3, 3)
    margins, converted, *_ = drawn(77, 20_000, shape=bent)
    platt = sigmoid(np.array(fit_platt(margins, converted)) @ [np.ones_like(margins), margins])
    assert log_loss(calibrator.probabilities(margins), converted) < log_loss(platt, converted)


def test_a_beta_map_with_one_slope_for_both_ends_is_platts():
    margins = np.linspace(-6, 6, 41)
    design = beta_design(margins)
    np.testing.assert_allclose(design @ [-0.4, 0.7, 0.7], -0.4 + 0.7 * margins, atol=1e-12)


def test_the_coefficients_of_a_beta_map_are_recovered():
    rng = np.random.default_rng(5)
    margins = rng.normal(0, 2.5, 200_000)
    truth = np.array([0.3, 1.4, 0.5])
    converted = (rng.random(len(margins)) < sigmoid(beta_design(margins) @ truth)).astype(float)
    found = fit_map(beta_design(margins), converted)
    np.testing.assert_allclose(found, truth, atol=0.06)
    covariance = map_covariance(beta_design(margins), converted, np.arange(len(margins)), found)
    assert (np.abs(found - truth) < 4 * np.sqrt(np.diag(covariance))).all()


def test_a_flat_line_takes_the_place_of_one_that_would_fall():
    rng = np.random.default_rng(2)
    margins = rng.normal(size=400)
    converted = (rng.random(400) < sigmoid(-2.0 * margins)).astype(float)
    flat = fit_rising_platt(margins, converted, np.arange(400))
    assert flat.slope == 0.0
    share = (converted.sum() + 0.5) / 401
    np.testing.assert_allclose(flat.probabilities(margins), share)


def test_too_few_conversions_or_others_give_no_map():
    for a in (-9.0, 9.0):
        calibrator = fit(1, 2000, a=a, b=0.3)
        assert calibrator.kind == "none"
        assert min(calibrator.n_converted, calibrator.n - calibrator.n_converted) < 30


def test_one_as_of_time_is_judged_across_accounts():
    margins, converted, accounts, times = drawn(4, 3000, a=-1.5)
    one_time = fit_calibrator(
        margins, converted, accounts, np.zeros_like(times), isotonic_from=10**9, min_converted=30
    )
    assert one_time.kind in ("level", "platt", "beta")


def test_the_slice_is_counted():
    margins, converted, accounts, times = drawn(4, 500)
    calibrator = fit_calibrator(
        margins, converted, accounts, times, isotonic_from=10**9, min_converted=30
    )
    assert (calibrator.n, calibrator.n_converted) == (500, int(converted.sum()))


# The map's form


def some_calibrators():
    return {
        "none": fit(next(i for i in range(30) if fit(i, 800).kind == "none"), 800),
        "platt": fit(1, 2000, a=-1.5, b=0.5),
        "isotonic": fit(
            3, 8000, shape=lambda m: 0.05 + 0.6 * sigmoid(8 * (m + 0.5)), isotonic_from=500
        ),
        "beta": fit(1, 6000, shape=bent),
        "steps": fit(3, 8000, shape=lambda m: 0.05 + 0.6 * (m > 0), isotonic_from=500),
    }


CALIBRATORS = some_calibrators()
kinds = st.sampled_from(sorted(CALIBRATORS))
margins_drawn = st.lists(st.floats(-40, 40), min_size=2, max_size=30)


def test_every_kind_is_tried():
    assert {c.kind for c in CALIBRATORS.values()} == {"none", "platt", "beta", "isotonic"}


@given(kinds, margins_drawn)
def test_a_greater_margin_gives_a_greater_probability(kind, drawn_margins):
    margins = np.unique(np.round(drawn_margins, 3))
    p = CALIBRATORS[kind].probabilities(margins)
    assert ((p > 0) & (p < 1)).all()
    assert (np.diff(p) >= 0).all()
    # Beyond one in a million all are alike.
    inside = (p > 1e-6) & (p < 1 - 1e-6)
    assert (np.diff(p[inside]) > 0).all()


@given(kinds, margins_drawn)
def test_a_row_has_the_same_bits_in_any_batch(kind, drawn_margins):
    margins = np.array(drawn_margins)
    calibrator = CALIBRATORS[kind]
    alone = np.concatenate(
        [calibrator.probabilities(margins[i : i + 1]) for i in range(len(margins))]
    )
    assert alone.tobytes() == calibrator.probabilities(margins).tobytes()


@given(kinds, margins_drawn)
def test_the_interval_contains_the_probability(kind, drawn_margins):
    margins = np.array(drawn_margins)
    low, high = CALIBRATORS[kind].interval(margins)
    p = CALIBRATORS[kind].probabilities(margins)
    assert (low <= p).all()
    assert (p <= high).all()
    assert (low > 0).all()
    assert (high < 1).all()


@pytest.mark.parametrize("kind", sorted(CALIBRATORS))
def test_a_trip_through_json_changes_no_bit(kind):
    calibrator = CALIBRATORS[kind]
    again = Calibrator.from_json(json.loads(json.dumps(calibrator.to_json())))
    margins = np.linspace(-20, 20, 1001)
    assert again.probabilities(margins).tobytes() == calibrator.probabilities(margins).tobytes()
    for one, other in zip(again.interval(margins), calibrator.interval(margins), strict=True):
        assert one.tobytes() == other.tobytes()
    assert again.to_json() == calibrator.to_json()


def test_isotonic_knots_rise_strictly():
    for kind in ("isotonic", "steps"):
        calibrator = CALIBRATORS[kind]
        assert (np.diff(calibrator.knots) > 0).all()
        assert (np.diff(calibrator.values) > 0).all()


# The interval


def test_the_interval_shrinks_with_the_slice():
    at = np.linspace(-3.0, 1.5, 10)
    widths = []
    for n in (1000, 4000, 16_000):
        low, high = fit(2, n, a=-1.0, b=0.7).interval(at)
        widths.append(np.mean(logit(high) - logit(low)))
    # Of a map of any rising form: as the third root of n, not as the second.
    for wide, narrow in pairwise(widths):
        assert wide / narrow == pytest.approx(4 ** (1 / 3), rel=0.25)


def test_telling_the_same_twice_does_not_make_the_level_better_known():
    margins, converted, accounts, _ = drawn(5, 2000, a=-0.5)
    a, b = fit_platt(margins, converted)
    once = platt_covariance(margins, converted, accounts, a=a, b=b)
    thrice = platt_covariance(
        *(np.tile(part, 3) for part in (margins, converted, accounts)), a=a, b=b
    )
    np.testing.assert_allclose(thrice, once, rtol=0.01)
    apart = platt_covariance(np.tile(margins, 3), np.tile(converted, 3), np.arange(6000), a=a, b=b)
    np.testing.assert_allclose(np.diag(apart), np.diag(once) / 3, rtol=0.05)


def test_the_interval_holds_the_truth_about_as_often_as_it_says():
    at = np.array([-3.0, -1.0, 1.0])
    truth = sigmoid(-1.5 + 0.6 * at)
    held = []
    for seed in range(300):
        calibrator = fit(10_000 + seed, 1800, a=-1.5, b=0.6, per_account=3)
        assert calibrator.kind != "none"
        low, high = calibrator.interval(at)
        held.append((low <= truth) & (truth <= high))
    coverage = np.mean(held, axis=0)
    assert (coverage >= 0.90).all(), coverage
    assert (coverage <= 0.99).all(), coverage


def isotonic_map(margins, converted, accounts):
    fitted = _fitted("isotonic", margins, converted, accounts)
    return with_band(fitted, margins, converted, accounts, seed=7)


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape",
    [lambda m: sigmoid(-0.5 + 0.7 * m), lambda m: 0.05 + 0.4 * sigmoid(3.0 * m)],
    ids=["of Platt's form", "a plateau"],
)
def test_the_interval_of_an_isotonic_map_covers_the_truth_about_as_often_as_it_says(shape):
    points = np.array([-3.0, -2.0, -1.0, 0.0, 1.0])
    covered, n = np.zeros(len(points)), 60
    for seed in range(n):
        # The map itself, whether or not a simpler one would have been kept.
        fitted = isotonic_map(*drawn(seed, 4000, shape=shape, per_account=2)[:3])
        low, high = fitted.interval(points)
        covered += (low <= shape(points)) & (shape(points) <= high)
    assert (covered / n >= 0.85).all()
    assert 0.90 <= (covered / n).mean() <= 0.995


def test_where_nobody_converted_the_interval_reaches_down_to_nearly_nothing():
    rng = np.random.default_rng(4)
    margins = rng.normal(-1.0, 1.5, 3000)
    # Below -1.5 nobody ever does, whatever the learner says.
    converted = ((rng.random(3000) < sigmoid(margins)) & (margins > -1.5)).astype(float)
    times = rng.integers(0, 12, 3000)
    fitted = fit_calibrator(
        margins, converted, np.arange(3000), times, isotonic_from=10**9, min_converted=30
    )
    low, high = fitted.interval(np.array([-4.0, -3.0]))
    assert (low < 0.001).all()
    assert (low > 0).all()
    assert (high > low).all()


def test_the_level_may_move_after_the_slice():
    margins, converted, accounts, times = drawn(6, 3000)
    at = np.linspace(-4, 2, 30)
    ends = []
    for drift in (0.0, 0.16, 0.5):
        fitted = fit_calibrator(
            margins,
            converted,
            accounts,
            times,
            isotonic_from=10**9,
            min_converted=30,
            drift=drift,
        )
        low, high = fitted.interval(at)
        p = fitted.probabilities(at)
        ends.append((logit(p) - logit(low), logit(high) - logit(p)))
    still, slow, fast = (np.array(end) for end in ends)
    np.testing.assert_allclose(slow**2, still**2 + (1.96 * 0.16) ** 2, rtol=1e-3)
    np.testing.assert_allclose(fast**2, still**2 + (1.96 * 0.5) ** 2, rtol=1e-3)


def test_the_level_moves_more_the_older_the_slice():
    now, later = (level_drift(0.35, days_since_slice=days) for days in (90.0, 455.25))
    assert now == pytest.approx(0.35 * 135 / 365.25)
    assert later - now == pytest.approx(0.35)


def test_a_bundle_from_before_the_band_has_its_interval_still():
    calibrator = fit(2, 2500, a=-1.0, b=0.4)
    raw = calibrator.to_json()
    del raw["drift"]
    old = Calibrator.from_json(raw | {"grid": [], "below": [], "above": []})
    at = np.array([-2.0, 0.0])
    low, high = old.interval(at)
    x = platt_design(at) if old.kind == "platt" else beta_design(at)
    error = np.sqrt(np.einsum("ni,ij,nj->n", x, old.covariance, x))
    np.testing.assert_allclose(logit(high) - logit(low), 2 * 1.959964 * error, rtol=1e-6)


def test_a_handful_of_accounts_has_no_bootstrap_but_an_interval():
    margins, converted, accounts, _ = drawn(8, 600, per_account=100)
    assert isotonic_band(margins, converted, accounts, seed=1) is None
    low, high = fit(8, 600, per_account=100).interval(np.array([-1.0]))
    assert low < high


def test_under_thirty_converting_accounts_no_slope_is_fitted():
    margins, converted, accounts, times = drawn(5, 12_000, a=-1.0, b=0.3, per_account=60)
    few = np.isin(accounts, np.unique(accounts[converted == 1.0])[:29])
    settings = {"isotonic_from": 10**9, "min_converted": 30}
    rows = (margins, converted, accounts, times)
    assert fit_calibrator(*(part[few] for part in rows), **settings).kind in ("none", "level")
    assert fit_calibrator(*rows, **settings).kind in ("platt", "beta")


# The level of a refitted learner


@pytest.mark.parametrize("isotonic_from", [1, 10**9], ids=["isotonic", "platt"])
@pytest.mark.parametrize("moved", [-1.5, 0.0, 1.5])
def test_a_refitted_learner_moves_the_level_once(isotonic_from, moved):
    margins, converted, accounts, times = drawn(11, 6000, a=1.2, b=0.7)
    fitted = fit_calibrator(
        margins, converted, accounts, times, isotonic_from=isotonic_from, min_converted=30
    )
    assert fitted.kind != "none"
    # The refitted learner has seen the slice: its margins are higher by what the level moved.
    anchored = fitted.anchored(margins + moved, converted)
    still = fitted.anchored(margins, converted)
    assert anchored.probabilities(margins + moved).mean() == pytest.approx(converted.mean())
    assert anchored.shift == pytest.approx(still.shift - moved)
    assert abs(still.shift) < 0.05
    pairs = zip(anchored.interval(margins + moved), still.interval(margins), strict=True)
    for end, was in pairs:
        np.testing.assert_allclose(end, was, rtol=1e-6)


def test_where_no_map_is_kept_no_level_is_set():
    margins, converted, *_ = drawn(12, 3000)
    none = fit_calibrator(
        margins[:10],
        converted[:10],
        np.arange(10),
        np.arange(10),
        isotonic_from=10,
        min_converted=99,
    )
    assert none.kind == "none"
    assert none.anchored(margins + 3.0, converted) is none
