from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from intentcast.evaluation.truth import compare_with_truth
from intentcast.propensity.margins import logit, sigmoid

N = 4000
AS_OF = datetime(2025, 1, 6, tzinfo=UTC)
RNG = np.random.default_rng(0)
P_TRUE = RNG.beta(1.5, 6, N)
CONVERTED = (RNG.random(N) < P_TRUE).astype(float)
IDS = [f"L{i}" for i in range(N)]
KEYS = pl.DataFrame(
    {"lead_id": IDS, "as_of": [AS_OF] * N}, schema_overrides={"as_of": pl.Datetime("us", "UTC")}
)
TRUTH = KEYS.with_columns(horizon_days=pl.lit(90, dtype=pl.Int32), p_true=P_TRUE)


def compared(probability, *, truth=TRUTH, keys=KEYS, converted=CONVERTED, days=90):
    return compare_with_truth(truth, keys, probability=probability, converted=converted, days=days)


def test_the_truth_itself_is_as_near_as_can_be():
    found = compared(P_TRUE)
    assert found.n_snapshots == N
    assert found.auc == found.auc_truth
    assert found.average_precision == found.average_precision_truth
    assert found.mean_absolute_gap == 0
    assert found.mean_predicted == found.mean_true == pytest.approx(P_TRUE.mean())
    assert (found.slope, found.intercept) == pytest.approx((1.0, 0.0), abs=1e-3)


@pytest.mark.parametrize(("slope", "intercept"), [(0.5, 0.3), (1.6, -0.2)])
def test_a_distortion_is_recovered_without_the_noise_of_outcomes(slope, intercept):
    # logit(true) = intercept + slope * logit(predicted)
    predicted = sigmoid((logit(P_TRUE) - intercept) / slope)
    found = compared(predicted)
    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.01)


def test_the_gap_is_the_mean_absolute_distance():
    assert compared(P_TRUE + 0.05).mean_absolute_gap == pytest.approx(0.05)


def test_only_predictions_with_a_known_truth_count():
    found = compared(P_TRUE, truth=TRUTH.head(100))
    assert found.n_snapshots == 100
    assert found.mean_true == pytest.approx(P_TRUE[:100].mean())


def test_the_truth_is_matched_by_lead_and_time_not_by_place():
    shuffled = TRUTH.sample(fraction=1.0, shuffle=True, seed=1)
    assert compared(P_TRUE, truth=shuffled) == compared(P_TRUE)


def test_the_truth_of_another_horizon_or_time_is_none():
    assert compared(P_TRUE, days=30) is None
    later = KEYS.with_columns(as_of=pl.col("as_of").dt.offset_by("7d"))
    assert compared(P_TRUE, keys=later) is None


def test_integers_and_times_of_other_units_will_do():
    other = TRUTH.with_columns(
        pl.col("horizon_days").cast(pl.Int64), pl.col("as_of").dt.cast_time_unit("ns")
    )
    assert compared(P_TRUE, truth=other) == compared(P_TRUE)


def test_outcomes_of_one_class_leave_ranking_undefined():
    found = compared(P_TRUE, converted=np.zeros(N))
    assert np.isnan(found.auc)
    assert np.isnan(found.average_precision_truth)
    assert found.mean_absolute_gap == 0
