"""The lowest step: a scorecard's points, read as a probability."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from intentcast.propensity.margins import Floats
from intentcast.scorecards import Scorecard, score_snapshots
from intentcast.sources import Dataset


@dataclass(frozen=True)
class PointsModel:
    """Points on a standard scale: (points − mean) / scale; Platt's map turns them into log-odds.

    Its features are one column, the points. It gives no reasons: the scorecard's ledger does.
    """

    card: Scorecard
    mean: float
    scale: float

    def margins(self, features: Floats) -> Floats:
        """Return standardised points, shape (n,), of features of shape (n, 1)."""
        out: Floats = (features[:, 0] - self.mean) / self.scale
        return out

    def contributions(self, features: Floats) -> Floats:
        """Return the points' part and the mean's, shape (n, 2)."""
        parts = self.margins(features)
        return np.column_stack([parts, np.zeros(len(parts))])

    def to_json(self) -> dict[str, Any]:
        """Return the scale as JSON values; the card is a file of its own."""
        return {"mean": self.mean, "scale": self.scale}

    @classmethod
    def from_json(cls, raw: dict[str, Any], *, card: Scorecard) -> "PointsModel":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If a number is not finite, or the scale not above 0.
        """
        mean, scale = float(raw["mean"]), float(raw["scale"])
        if not (np.isfinite(mean) and np.isfinite(scale) and scale > 0.0):
            raise ValueError("points have no finite mean and scale")
        return cls(card, mean, scale)


def fit_points(points: Floats, card: Scorecard) -> PointsModel:
    """Learn mean and spread; points that never vary have spread 1."""
    scale = float(points.std())
    return PointsModel(card, float(points.mean()), scale if scale > 1e-9 else 1.0)


def points_of(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> Floats:
    """Return each snapshot's score, shape (n, 1)."""
    return score_snapshots(card, dataset, snapshots)["score"].cast(pl.Float64).to_numpy()[:, None]


def learner_inputs(
    learner: object, features: Floats, table: Callable[[], tuple[Dataset, pl.DataFrame]]
) -> Floats:
    """Return what a learner looks at: the features, or for the rules the points.

    Args:
        learner: Of any step.
        features: Of the snapshots, shape (n, n_features).
        table: Gives the data set and the snapshots, where the points are needed.
    """
    return points_of(learner.card, *table()) if isinstance(learner, PointsModel) else features
