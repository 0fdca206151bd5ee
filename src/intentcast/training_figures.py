"""What a training says of itself, as numbers: `metrics.json` of a bundle."""

import math
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.evaluation.metrics import auc, average_precision, brier, brier_skill
from intentcast.labels import label_snapshots, was_at_risk
from intentcast.sources import Dataset
from intentcast.training import TrainedModel

Floats = NDArray[np.float64]


def training_figures(model: TrainedModel, dataset: Dataset) -> dict[str, Any]:
    """Return step, reason, counts, tiers and, per horizon, what held out of sample.

    `log_loss` is of the step, on all inner windows, each window's level set right. `auc`,
    `average_precision`, `brier` and `brier_skill` (against the slice's base rate) are of the most
    recent window (`judged_on`), by a learner that had not seen it; the calibration was fitted on
    that window, so the two last flatter a little. Null where the data do not define a figure.
    """
    primary = model.fitted[model.tiers.horizon_days]
    return {
        "step": primary.champion,
        "reason": primary.reason[:1].upper() + primary.reason[1:],
        "n_snapshots": model.n_snapshots,
        "n_converted": model.n_converted,
        "n_features": len(model.featurizer.spec.names),
        "tiers": model.tiers.to_json(),
        "horizons": {str(days): _of_horizon(model, dataset, days) for days in sorted(model.fitted)},
    }


def _of_horizon(model: TrainedModel, dataset: Dataset, days: int) -> dict[str, Any]:
    fit = model.fitted[days]
    used = model.champion[days]
    y, p = _held_out(model, dataset, days)
    base = np.full(len(y), y.mean())
    judged = {
        "auc": auc(y, p),
        "average_precision": average_precision(y, p),
        "brier": brier(y, p),
        "brier_skill": brier_skill(y, p, reference=base),
    }
    return {
        "log_loss": fit.log_loss[used.step],
        "base_rate": used.calibrator.base_rate,
        "calibration": used.calibrator.kind,
        "n_slice": used.calibrator.n,
        "n_slice_converted": used.calibrator.n_converted,
        "judged_on": fit.out_of_sample.scheme,
        **{name: value if math.isfinite(value) else None for name, value in judged.items()},
    }


def _held_out(model: TrainedModel, dataset: Dataset, days: int) -> tuple[Floats, Floats]:
    """Return outcomes and probabilities of the rows that the step had not seen."""
    known_by = model.known_by
    at_risk = was_at_risk(model.snapshots, dataset, known_by=known_by)
    label = label_snapshots(model.snapshots, dataset, horizon_days=days, known_by=known_by)
    converted = label.filter(at_risk).drop_nulls().cast(pl.Float64).to_numpy()
    fit = model.fitted[days]
    return converted[fit.out_of_sample.rows], fit.out_of_sample_probabilities
