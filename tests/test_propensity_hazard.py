"""The hazard model: what it learns, what it answers at any horizon, and why."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intentcast.config import BoosterSettings, HazardSettings
from intentcast.errors import RefusedError
from intentcast.propensity.blend import BlendModel
from intentcast.propensity.hazard import HazardAt, HazardModel, fit_hazard
from intentcast.propensity.logistic import fit_logistic
from intentcast.propensity.margins import sigmoid
from intentcast.propensity.periods import Followed
from intentcast.propensity.rows import DAY_US

EDGES = (0, 15, 30, 60)
NAMES = ["a.count.any.7d", "b.count.any.7d"]
BOOSTER = BoosterSettings(min_data_in_leaf=20, feature_fraction=1, learning_rate=0.1)
DAYS = np.array(EDGES)


def drawn(n=6000, *, seed=1, censored=False):
    """Return snapshots whose hazard is σ(base_k + 0.8·a), and that hazard, shape (n, 3)."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, 2)).astype(np.float32)
    hazard = sigmoid(np.array([-2.5, -3.0, -2.0]) + 0.8 * features[:, :1].astype(float))
    hits = rng.random((n, 3)) < hazard
    first = np.where(hits.any(axis=1), hits.argmax(axis=1), 3)
    n_over = rng.integers(0, 4, n) if censored else np.full(n, 3)
    return (
        Followed(
            features=features,
            names=NAMES,
            n_over=n_over.astype(np.int64),
            converted_in=np.where(first < n_over, first, 3).astype(np.int64),
            times=rng.integers(0, 20, n) * 7 * DAY_US,
            leads=np.arange(n, dtype=np.int64),
            clusters=np.arange(n, dtype=np.int64) // 2,
            edges_days=EDGES,
        ),
        hazard,
    )


def fit(followed, *, rounds=60, **changes):
    return fit_hazard(
        followed, booster=BOOSTER, settings=HazardSettings(rounds=rounds, **changes), seed=7
    )


@pytest.fixture(scope="module")
def model():
    return fit(drawn()[0])


def probability(model, features, days):
    return sigmoid(HazardAt(model, days).margins(features))


X = np.random.default_rng(9).normal(size=(40, 2))
X[3, 0] = np.nan


def test_it_finds_the_share_that_converts_by_each_edge(model):
    followed, hazard = drawn(seed=2)
    features = followed.features.astype(float)
    for k, days in enumerate(EDGES[1:]):
        truth = 1.0 - np.prod(1.0 - hazard[:, : k + 1], axis=1)
        found = probability(model, features, days)
        assert found.mean() == pytest.approx(truth.mean(), abs=0.015)
        assert np.corrcoef(found, truth)[0, 1] > 0.95


def test_censored_snapshots_teach_without_bias():
    model = fit(drawn(12_000, seed=3, censored=True)[0])
    followed, hazard = drawn(seed=2)
    truth = 1.0 - np.prod(1.0 - hazard, axis=1)
    found = probability(model, followed.features.astype(float), 60)
    assert found.mean() == pytest.approx(truth.mean(), abs=0.02)


def test_sampling_leaves_the_level_where_it_was():
    followed, hazard = drawn(20_000, seed=4)
    features = followed.features.astype(float)
    quarter = fit(followed, max_rows=15_000)
    truth = 1.0 - np.prod(1.0 - hazard, axis=1)
    assert probability(quarter, features, 60).mean() == pytest.approx(truth.mean(), abs=0.015)


def test_with_one_leaf_the_sampled_hazards_are_the_shares_that_converted():
    """Trees that cannot split leave the baseline, corrected for what the lot left out."""
    followed, _ = drawn(20_000, seed=4)
    flat = BOOSTER.model_copy(update={"min_data_in_leaf": 10**6})
    found = fit_hazard(
        followed, booster=flat, settings=HazardSettings(rounds=1, max_rows=15_000), seed=7
    )
    at_risk = np.array([(followed.converted_in >= k).sum() for k in range(3)])
    hits = np.array([(followed.converted_in == k).sum() for k in range(3)])
    np.testing.assert_allclose(sigmoid(found.baseline), hits / at_risk, rtol=0.01)


def test_at_an_edge_it_is_one_minus_the_product_of_survivals(model):
    hazard = sigmoid(model.log_odds(X))
    for k, days in enumerate(EDGES[1:]):
        expected = 1.0 - np.prod(1.0 - hazard[:, : k + 1], axis=1)
        np.testing.assert_allclose(probability(model, X, days), expected, rtol=1e-12)


def test_inside_an_interval_the_hazard_is_constant(model):
    hazard = sigmoid(model.log_odds(X))
    expected = 1.0 - (1.0 - hazard[:, 0]) * (1.0 - hazard[:, 1]) ** (5 / 15)
    np.testing.assert_allclose(probability(model, X, 20), expected, rtol=1e-12)


@settings(deadline=None)
@given(st.lists(st.integers(1, 60), min_size=2, max_size=8))
def test_it_never_falls_as_the_horizon_grows(days):
    learnt = HazardModel(_fitted().text, EDGES, _fitted().baseline)
    p = np.column_stack([probability(learnt, X, d) for d in sorted(days)])
    assert (np.diff(p, axis=1) >= 0).all()
    assert ((p > 0) & (p < 1)).all()


def _fitted(_kept=[]):  # noqa: B006
    if not _kept:
        _kept.append(fit(drawn()[0]))
    return _kept[0]


@pytest.mark.parametrize("days", [0, -1, 61])
def test_beyond_what_was_learnt_it_refuses(model, days):
    with pytest.raises(RefusedError, match=r"at most 60, the longest"):
        HazardAt(model, days).margins(X)


@pytest.mark.parametrize("baseline", [-800.0, 800.0])
def test_however_extreme_no_probability_is_0_or_1(model, baseline):
    extreme = replace(model, baseline=np.full(3, baseline))
    margins = HazardAt(extreme, 60).margins(X)
    assert np.isfinite(margins).all()
    assert ((sigmoid(margins) > 0) & (sigmoid(margins) < 1)).all()


# Reasons


@pytest.mark.parametrize("days", [7, 15, 30, 45, 60])
def test_contributions_add_up_to_the_log_odds(model, days):
    at = HazardAt(model, days)
    parts = at.contributions(X)
    assert parts.shape == (40, 3)
    np.testing.assert_allclose(parts.sum(axis=1), at.margins(X), atol=1e-10)


def test_the_average_lead_is_nearly_the_same_for_every_lead(model):
    """What is left over after the features is the average lead, not a place for errors."""
    last = HazardAt(model, 60).contributions(X)[:, -1]
    assert last.std() < 0.15
    truth = drawn(seed=2)[1]
    average = 1.0 - np.prod(1.0 - truth, axis=1).mean()
    assert sigmoid(last).mean() == pytest.approx(average, abs=0.05)


def test_the_feature_that_matters_gets_the_contribution(model):
    parts = HazardAt(model, 60).contributions(X)
    assert np.abs(parts[:, 0]).mean() > 5 * np.abs(parts[:, 1]).mean()


def test_a_blend_is_half_of_each_in_log_odds_and_in_reasons(model):
    followed, _ = drawn()
    converted = (followed.converted_in < 3).astype(float)
    logistic = fit_logistic(
        followed.features.astype(float), converted, names=NAMES, inverse_penalty=0.1
    )
    at = HazardAt(model, 60)
    blend = BlendModel(logistic, at)
    expected = (logistic.margins(X) + at.margins(X)) / 2
    np.testing.assert_allclose(blend.margins(X), expected, rtol=1e-12)
    np.testing.assert_allclose(blend.contributions(X).sum(axis=1), expected, atol=1e-10)


# The same bits


def test_rows_in_any_order_give_the_same_text():
    followed, _ = drawn(2000)
    order = np.random.default_rng(5).permutation(len(followed))
    one, other = fit(followed), fit(followed.take(order))
    assert one.text == other.text
    assert one.to_json() == other.to_json()


def test_a_row_has_the_same_bits_alone_and_in_a_batch(model):
    many = np.random.default_rng(3).normal(size=(6000, 2))
    at = HazardAt(model, 30)
    margins = at.margins(many)
    for i in (0, 17, 2729, 2730, 5999):
        assert at.margins(many[i : i + 1])[0] == margins[i]


def test_a_trip_through_json_changes_no_bit(model):
    again = HazardModel.from_json(model.to_json(), text=model.text)
    assert (again.log_odds(X) == model.log_odds(X)).all()
    assert again.edges_days == model.edges_days


@pytest.mark.parametrize(
    "raw",
    [
        {"edges_days": [0, 30, 15], "baseline": [0.0, 0.0]},
        {"edges_days": [1, 15], "baseline": [0.0]},
        {"edges_days": [0, 15], "baseline": [0.0, 0.0]},
        {"edges_days": [0, 15], "baseline": [float("nan")]},
        {"edges_days": [], "baseline": []},
    ],
)
def test_damaged_intervals_are_refused(raw):
    with pytest.raises(ValueError, match=r"edges_days|baselines"):
        HazardModel.from_json(raw, text="")


def test_an_interval_that_nobody_reached_goes_on_at_the_daily_hazard_before():
    followed, _ = drawn(3000)
    young = replace(
        followed,
        n_over=np.full(3000, 2),
        converted_in=np.where(followed.converted_in < 2, followed.converted_in, 3),
    )
    baseline = sigmoid(fit(young).baseline)
    daily = np.log1p(-baseline[1]) / 15
    assert baseline[2] == pytest.approx(1 - np.exp(30 * daily))


def test_what_was_censored_away_changes_nothing():
    """Conversions after the instant, and snapshots from then on, do not reach the fit."""
    followed, _ = drawn(4000)
    instant = 12 * 7 * DAY_US
    known = followed.censored_at(instant)
    ends = followed.times[:, None] + DAYS[None, 1:] * DAY_US
    is_future = (
        np.take_along_axis(
            np.column_stack([ends, np.full(4000, 2**62)]), followed.converted_in[:, None], axis=1
        )[:, 0]
        > instant
    )
    other = replace(
        followed, converted_in=np.where(is_future, 3, followed.converted_in)
    ).censored_at(instant)
    assert fit(known).text == fit(other).text
