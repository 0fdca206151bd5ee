"""Logistic regression: what it learns, and the same bits wherever a lead is scored."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from intentcast.propensity import HorizonModel, LogisticModel
from intentcast.propensity.calibration import fit_calibrator
from intentcast.propensity.horizons import predict_horizons
from intentcast.propensity.logistic import NEVER_DAYS, fit_logistic
from intentcast.propensity.margins import logit, sigmoid

NAMES = ["a.count.any.7d", "a.days_since_last.any.days", "fit.value.size.number", "a.b.constant.x"]


def drawn(seed=1, n=1500):
    rng = np.random.default_rng(seed)
    features = np.column_stack(
        [
            rng.poisson(3, n).astype(float),
            np.where(rng.random(n) < 0.3, np.nan, rng.exponential(20, n)),
            np.where(rng.random(n) < 0.2, np.nan, rng.lognormal(4, 1, n)),
            np.full(n, 5.0),
        ]
    )
    days = np.nan_to_num(features[:, 1], nan=NEVER_DAYS)
    truth = sigmoid(-1.0 + 0.5 * features[:, 0] - 0.5 * np.log1p(days))
    return features, (rng.random(n) < truth).astype(float)


def fit(*, inverse_penalty=1.0, seed=1):
    return fit_logistic(*drawn(seed), names=NAMES, inverse_penalty=inverse_penalty)


MODEL = fit()
rows = arrays(
    np.float64,
    st.tuples(st.integers(1, 6), st.just(len(NAMES))),
    elements=st.one_of(st.floats(-1e6, 1e6), st.just(float("nan"))),
)


def test_it_learns_what_raises_and_what_lowers():
    assert MODEL.weights[0] > 0.3
    assert MODEL.weights[1] < -0.3
    assert abs(MODEL.weights[2]) < 0.2


def test_what_never_varies_says_nothing():
    assert MODEL.scale[3] == 1.0
    assert MODEL.weights[3] == pytest.approx(0.0, abs=1e-12)


def test_never_is_longer_ago_than_any_day_and_unknown_is_the_mean():
    base = np.array([[3.0, 900.0, 50.0, 5.0]])
    never, unknown = base.copy(), base.copy()
    never[0, 1] = np.nan
    unknown[0, 2] = np.nan
    assert MODEL.margins(never)[0] < MODEL.margins(base)[0]
    assert MODEL.contributions(unknown)[0, 2] == 0.0


def test_no_feature_counts_for_more_than_four_deviations():
    huge = np.array([[1e300, 1e300, -1e300, 5.0]])
    assert np.abs(MODEL.standardised(huge)).max() <= 4.0
    assert np.isfinite(MODEL.margins(huge)).all()


def test_a_stronger_penalty_gives_smaller_weights():
    norms = [np.linalg.norm(fit(inverse_penalty=penalty).weights) for penalty in (1e-4, 1e-2, 1.0)]
    assert norms == sorted(norms)
    assert norms[0] < norms[2] / 3


def test_mean_prediction_is_the_share_that_converted():
    features, converted = drawn()
    assert sigmoid(MODEL.margins(features)).mean() == pytest.approx(converted.mean(), abs=1e-4)


def test_the_same_rows_give_the_same_bits():
    assert json.dumps(fit().to_json()) == json.dumps(MODEL.to_json())
    assert fit(seed=2).to_json() != MODEL.to_json()


@given(rows)
def test_contributions_add_up_to_the_margin(features):
    parts = MODEL.contributions(features)
    assert parts.shape == (len(features), len(NAMES) + 1)
    np.testing.assert_allclose(parts.sum(axis=1), MODEL.margins(features), rtol=0, atol=1e-9)


@given(rows)
def test_a_lead_has_the_same_bits_alone_and_in_any_batch(features):
    alone = np.concatenate([MODEL.margins(features[i : i + 1]) for i in range(len(features))])
    assert alone.tobytes() == MODEL.margins(features).tobytes()
    backwards = MODEL.margins(np.ascontiguousarray(features[::-1]))[::-1]
    assert backwards.tobytes() == MODEL.margins(features).tobytes()
    by_column = MODEL.margins(np.asfortranarray(features))
    assert by_column.tobytes() == MODEL.margins(features).tobytes()


@given(rows)
def test_a_trip_through_json_changes_no_bit(features):
    again = LogisticModel.from_json(json.loads(json.dumps(MODEL.to_json())))
    assert again.margins(features).tobytes() == MODEL.margins(features).tobytes()


@given(st.floats(-13, 13))
def test_log_odds_and_probability_are_inverse(margin):
    there = sigmoid(np.array([margin]))
    assert logit(there)[0] == pytest.approx(margin, abs=1e-8)


def test_extreme_log_odds_do_not_overflow():
    assert sigmoid(np.array([-1e308, 0.0, 1e308])).tolist() == [
        pytest.approx(0.0),
        0.5,
        1.0,
    ]


@given(rows)
def test_several_together_give_the_same_bits_as_each_alone(features):
    learners = {7: MODEL, 30: replace(fit(seed=2), never=~MODEL.never), 60: MODEL}
    nothing, nobody = np.zeros(0), np.zeros(0, dtype=np.int64)
    none = fit_calibrator(nothing, nothing, nobody, nobody, isotonic_from=100, min_converted=30)
    models = {
        days: HorizonModel("logistic", days, learner, none) for days, learner in learners.items()
    }
    alone = np.column_stack([learner.margins(features) for learner in learners.values()])
    assert predict_horizons(models, features).margins.tobytes() == alone.tobytes()
