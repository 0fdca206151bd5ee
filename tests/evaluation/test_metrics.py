import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from intentcast.evaluation.metrics import (
    auc,
    average_precision,
    brier,
    brier_skill,
    calibration_line,
    expected_calibration_error,
    log_loss,
    reliability,
    wilson,
)
from intentcast.propensity.margins import logit, sigmoid

OUTCOMES = st.lists(st.integers(0, 1), min_size=2, max_size=40)
EVERY = (auc, average_precision, brier, log_loss, expected_calibration_error)


@st.composite
def labelled(draw):
    """Outcomes of both classes and probabilities with many ties."""
    converted = draw(OUTCOMES.filter(lambda y: 0 < sum(y) < len(y)))
    grid = st.sampled_from([0.05, 0.1, 0.25, 0.5, 0.75, 0.9])
    p = draw(st.lists(grid, min_size=len(converted), max_size=len(converted)))
    return np.array(converted, float), np.array(p)


def random_data(seed, n=400):
    """Outcomes drawn from probabilities that are rounded, so that ties are many."""
    rng = np.random.default_rng(seed)
    p = np.clip(np.round(rng.beta(1.2, 4, n), 2), 0.01, 0.99)
    return (rng.random(n) < p).astype(float), p


# By hand.


def test_auc_is_the_share_of_pairs_in_the_right_order_with_a_tie_as_half():
    # Pairs (converter, other): (3,1) right, (3,2) right, (2,1) right, (2,2) a tie: 3.5 of 4.
    assert auc([1, 1, 0, 0], [3, 2, 2, 1]) == 0.875


def test_average_precision_takes_tied_leads_together():
    # Above 3: 1 of 1, half of the recall. At 2, two more leads: 2 of 3, the other half.
    assert average_precision([1, 1, 0, 0], [3, 2, 2, 1]) == pytest.approx(0.5 * 1 + 0.5 * 2 / 3)


def test_brier_is_the_mean_squared_distance():
    assert brier([1, 0], [0.8, 0.4]) == pytest.approx((0.04 + 0.16) / 2)


def test_brier_skill_is_one_minus_the_ratio_to_the_reference():
    skill = brier_skill([1, 0], [0.8, 0.4], reference=[0.5, 0.5])
    assert skill == pytest.approx(1 - 0.1 / 0.25)


def test_log_loss_is_in_nats():
    assert log_loss([1, 0], [0.8, 0.4]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_log_loss_of_a_certain_miss_is_large_and_finite():
    assert 30 < log_loss([1.0], [0.0]) < 40


def test_calibration_error_is_the_mean_gap_over_bins():
    y, p = [0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9]
    # Two bins: |0.15 - 0| and |0.75 - 1|.
    assert expected_calibration_error(y, p, n_bins=2) == pytest.approx((0.15 + 0.25) / 2)


def test_reliability_bins_hold_equally_many_leads_by_rising_probability():
    bins = reliability([0, 0, 1, 1], [0.9, 0.1, 0.6, 0.2], n_bins=2)
    assert [b.n_leads for b in bins] == [2, 2]
    assert [b.mean_probability for b in bins] == pytest.approx([0.15, 0.75])
    assert [b.n_converted for b in bins] == [1, 1]
    assert [b.share_converted for b in bins] == [0.5, 0.5]


def test_wilsons_interval_has_its_textbook_value():
    # Newcombe (1998), table I: 81 of 263 and 1 of 29.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(1, 29) == pytest.approx((0.0061, 0.1718), abs=5e-5)


def test_wilsons_interval_stays_inside_zero_and_one():
    assert wilson(0, 20)[0] == 0.0
    assert wilson(20, 20)[1] == 1.0


# Undefined is NaN.


@pytest.mark.parametrize("converted", [[0, 0, 0], [1, 1, 1]])
def test_auc_of_one_class_is_undefined(converted):
    assert math.isnan(auc(converted, [0.1, 0.2, 0.3]))


def test_average_precision_without_a_converter_is_undefined():
    assert math.isnan(average_precision([0, 0], [0.1, 0.2]))


@pytest.mark.parametrize("converted", [[0, 0, 0], [1, 1, 1]])
def test_the_calibration_line_of_one_class_is_undefined(converted):
    assert all(map(math.isnan, calibration_line(converted, [0.1, 0.2, 0.3])))


@pytest.mark.parametrize("metric", EVERY)
def test_a_metric_of_no_leads_is_undefined(metric):
    assert math.isnan(metric([], []))


def test_the_interval_of_no_leads_is_undefined():
    assert all(map(math.isnan, wilson(0, 0)))


def test_skill_over_a_perfect_reference_is_undefined():
    assert math.isnan(brier_skill([1, 0], [0.8, 0.4], reference=[1.0, 0.0]))


def test_there_are_no_bins_of_no_leads():
    assert reliability([], []) == []


@pytest.mark.parametrize("metric", EVERY)
def test_arrays_of_unequal_length_are_refused(metric):
    with pytest.raises(ValueError, match="must be 1-D and equal"):
        metric([1, 0], [0.5])


# Equal to scikit-learn, ties and all.


@pytest.mark.parametrize("seed", range(5))
def test_ranking_metrics_equal_scikit_learns(seed):
    y, p = random_data(seed)
    assert auc(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert average_precision(y, p) == pytest.approx(sk.average_precision_score(y, p), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_proper_scores_equal_scikit_learns(seed):
    y, p = random_data(seed)
    assert brier(y, p) == pytest.approx(sk.brier_score_loss(y, p), abs=1e-12)
    assert log_loss(y, p) == pytest.approx(sk.log_loss(y, p), abs=1e-12)


@given(labelled())
def test_every_metric_equals_scikit_learns_on_any_small_data(data):
    y, p = data
    assert auc(y, p) == pytest.approx(sk.roc_auc_score(y, p), abs=1e-12)
    assert average_precision(y, p) == pytest.approx(sk.average_precision_score(y, p), abs=1e-12)
    assert brier(y, p) == pytest.approx(sk.brier_score_loss(y, p), abs=1e-12)
    assert log_loss(y, p) == pytest.approx(sk.log_loss(y, p), abs=1e-12)


# Properties.


@given(labelled(), st.randoms(use_true_random=False))
def test_the_order_of_rows_never_matters(data, random):
    y, p = data
    order = list(range(len(y)))
    random.shuffle(order)
    for metric in EVERY:
        assert metric(y[order], p[order]) == pytest.approx(metric(y, p), abs=1e-12)
    assert calibration_line(y[order], p[order]) == pytest.approx(calibration_line(y, p), abs=1e-6)
    for one, other in zip(reliability(y[order], p[order]), reliability(y, p), strict=True):
        assert one == pytest.approx(other, abs=1e-12)


@given(labelled())
def test_auc_of_the_opposite_ranking_is_the_rest(data):
    y, p = data
    assert auc(y, -p) == pytest.approx(1 - auc(y, p))


@given(labelled())
def test_ranking_metrics_depend_on_order_alone(data):
    y, p = data
    assert auc(y, np.exp(5 * p)) == auc(y, p)
    assert average_precision(y, np.exp(5 * p)) == average_precision(y, p)


@given(labelled())
def test_bins_hold_every_lead_once_and_never_split_equal_probabilities(data):
    y, p = data
    bins = reliability(y, p, n_bins=4)
    assert sum(b.n_leads for b in bins) == len(y)
    assert sum(b.n_converted for b in bins) == y.sum()
    assert all(b.low <= b.share_converted <= b.high for b in bins)
    means = [b.mean_probability for b in bins]
    assert means == sorted(set(means))
    assert len(bins) <= min(4, len(np.unique(p)))


@given(st.integers(1, 200).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilsons_interval_holds_the_share_and_mirrors_it(counts):
    k, n = counts
    low, high = wilson(k, n)
    assert 0 <= low <= k / n <= high <= 1
    assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low))


def test_one_probability_for_all_is_as_wrong_as_its_distance_from_the_base_rate():
    y = np.array([1.0] * 10 + [0.0] * 90)
    assert expected_calibration_error(y, np.full(100, 0.1)) == pytest.approx(0.0)
    assert expected_calibration_error(y, np.full(100, 0.3)) == pytest.approx(0.2)


# Truth.


@pytest.mark.parametrize("score", [brier, log_loss])
def test_the_true_probability_wins_a_proper_score(score):
    rng = np.random.default_rng(1)
    p = rng.beta(1, 5, 60_000)
    y = (rng.random(len(p)) < p).astype(float)
    best = score(y, p)
    others = {
        "overconfident": sigmoid(1.3 * logit(p)),
        "timid": sigmoid(0.8 * logit(p)),
        "too high": sigmoid(logit(p) + 0.2),
        "too low": sigmoid(logit(p) - 0.2),
        "noisy": sigmoid(logit(p) + rng.normal(0, 0.3, len(p))),
        "constant": np.full(len(p), p.mean()),
    }
    assert {name for name, other in others.items() if score(y, other) <= best} == set()


@pytest.mark.parametrize(("slope", "intercept"), [(1.0, 0.0), (0.6, 0.4), (1.5, -0.7)])
def test_the_calibration_line_recovers_a_known_distortion(slope, intercept):
    rng = np.random.default_rng(2)
    predicted = rng.beta(1.5, 4, 40_000)
    truth = sigmoid(intercept + slope * logit(predicted))
    y = (rng.random(len(predicted)) < truth).astype(float)
    assert calibration_line(y, predicted) == pytest.approx((slope, intercept), abs=0.06)


def test_the_truth_has_little_calibration_error_and_a_distortion_much():
    rng = np.random.default_rng(3)
    p = rng.beta(1, 4, 20_000)
    y = (rng.random(len(p)) < p).astype(float)
    assert expected_calibration_error(y, p) < 0.01
    assert expected_calibration_error(y, p**2) > 0.08


def test_wilsons_interval_covers_the_true_share_in_about_95_of_100():
    rng = np.random.default_rng(4)
    drawn = rng.binomial(80, 0.1, 2000)
    covered = [low <= 0.1 <= high for low, high in (wilson(int(k), 80) for k in drawn)]
    assert 0.93 <= np.mean(covered) <= 0.98
