"""Predictions against the true probability, where a simulated world knows it."""

from typing import NamedTuple

import numpy as np
import polars as pl

from intentcast.evaluation.metrics import Floats, auc, average_precision
from intentcast.propensity.calibration import fit_platt
from intentcast.propensity.margins import logit


class TruthComparison(NamedTuple):
    """How near a contender comes to what could be known at best.

    Attributes:
        n_snapshots: Snapshots with a known true probability.
        auc: Of the contender, against what happened.
        auc_truth: Of the true probability: nobody can expect more.
        average_precision: Of the contender.
        average_precision_truth: Of the true probability.
        slope: Of the true log-odds on the predicted, ideal 1.
        intercept: Ideal 0.
        mean_absolute_gap: Mean of |predicted − true|.
        mean_predicted: Mean predicted probability.
        mean_true: Mean true probability.
    """

    n_snapshots: int
    auc: float
    auc_truth: float
    average_precision: float
    average_precision_truth: float
    slope: float
    intercept: float
    mean_absolute_gap: float
    mean_predicted: float
    mean_true: float


def compare_with_truth(
    truth: pl.DataFrame, keys: pl.DataFrame, *, probability: Floats, converted: Floats, days: int
) -> TruthComparison | None:
    """Compare predictions with the true P(convert within `days` | state of the world).

    The slope is that of a logistic regression whose outcome is the true probability itself, so
    that chance in what happened does not enter.

    Args:
        truth: `lead_id`, `as_of`, `horizon_days`, `p_true`.
        keys: `lead_id` and `as_of` of each prediction.
        probability: Shape (n,).
        converted: 0 or 1, shape (n,).
        days: The horizon.

    Returns:
        None where no prediction has a true probability.
    """
    of_horizon = truth.filter(pl.col("horizon_days").cast(pl.Int32) == days).select(
        "lead_id", pl.col("as_of").cast(keys.schema["as_of"]), pl.col("p_true").cast(pl.Float64)
    )
    joined = keys.select("lead_id", "as_of").join(
        of_horizon, on=["lead_id", "as_of"], how="left", maintain_order="left"
    )["p_true"]
    known = joined.is_not_null().to_numpy()
    if not known.any():
        return None
    p, p_true, y = probability[known], joined.drop_nulls().to_numpy(), converted[known]
    intercept, slope = fit_platt(logit(p), p_true)
    return TruthComparison(
        n_snapshots=len(p),
        auc=auc(y, p),
        auc_truth=auc(y, p_true),
        average_precision=average_precision(y, p),
        average_precision_truth=average_precision(y, p_true),
        slope=slope,
        intercept=intercept,
        mean_absolute_gap=float(np.abs(p - p_true).mean()),
        mean_predicted=float(p.mean()),
        mean_true=float(p_true.mean()),
    )
