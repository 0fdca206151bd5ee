"""Ridge-penalised logistic regression on signed logarithms of the features."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats, stacked_dots, standardised

# "Never" as a number of days, for days since a thing that never happened.
NEVER_DAYS = 1000.0
_CLIP = 4.0


@dataclass(frozen=True)
class LogisticModel:
    """A fitted logistic regression.

    `margin = intercept + Σ weight_j · clip((s(x_j) − mean_j) / scale_j, ±4)` with
    `s(x) = sign(x) · log(1 + |x|)`; an unknown x is `NEVER_DAYS` for days since, else the mean.

    Attributes:
        never: Whether NaN means "never", per feature.
        mean: Of s(x) in training.
        scale: Its standard deviation; 1 where it did not vary.
        weights: Per feature, on the standardised scale.
        intercept: Log-odds at the mean.
    """

    never: NDArray[np.bool_]
    mean: Floats
    scale: Floats
    weights: Floats
    intercept: float

    def standardised(self, features: Floats) -> Floats:
        """Return the transformed features, shape (n, n_features)."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        out: Floats = standardised(rows, self.never, self.mean, self.scale, NEVER_DAYS, _CLIP)
        return out

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        out: Floats = stacked_margins([self], features)[:, 0]
        return out

    def contributions(self, features: Floats) -> Floats:
        """Return each feature's part of the log-odds, shape (n, n_features + 1), intercept last."""
        parts = self.standardised(features) * self.weights
        return np.hstack([parts, np.full((len(parts), 1), self.intercept)])

    def to_json(self) -> dict[str, Any]:
        """Return the model as JSON values."""
        return {
            "never": self.never.tolist(),
            "mean": self.mean.tolist(),
            "scale": self.scale.tolist(),
            "weights": self.weights.tolist(),
            "intercept": self.intercept,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "LogisticModel":
        """Read what `to_json` wrote."""
        arrays = {key: np.array(raw[key], dtype=np.float64) for key in ("mean", "scale", "weights")}
        never = np.array(raw["never"], dtype=np.bool_)
        return cls(never=never, intercept=float(raw["intercept"]), **arrays)


def _squashed(features: Floats, never: NDArray[np.bool_]) -> Floats:
    filled = np.where(np.isnan(features) & never, NEVER_DAYS, features)
    squashed: Floats = np.sign(filled) * np.log1p(np.abs(filled))
    return squashed


def stacked_margins(models: Sequence[LogisticModel], features: Floats) -> Floats:
    """Return the log-odds of several models, shape (n, n_models): the same bits as of one alone."""
    parts = ((m.never, m.mean, m.scale, m.weights, m.intercept) for m in models)
    rows = np.ascontiguousarray(features, dtype=np.float64)
    out: Floats = stacked_dots(rows, *zip(*parts, strict=True), NEVER_DAYS, _CLIP)
    return out


def fit_logistic(
    features: Floats, converted: Floats, *, names: Sequence[str], inverse_penalty: float
) -> LogisticModel:
    """Fit by maximum penalised likelihood: Σ log-likelihood − ‖weights‖² / (2 · inverse_penalty).

    Args:
        features: Shape (n, n_features); NaN for unknown.
        converted: 0 or 1, shape (n,); both must occur.
        names: Feature names; a unit of `days` makes NaN mean "never".
        inverse_penalty: Larger is freer. The penalty does not grow with n, so that more data
            count for more.
    """
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    never = np.array([name.endswith(".days") for name in names], dtype=np.bool_)
    squashed = _squashed(features, never)
    known = ~np.isnan(squashed)
    n_known = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, squashed, 0.0).sum(axis=0) / n_known
    spread = np.where(known, squashed - mean, 0.0)
    scale = np.sqrt((spread * spread).sum(axis=0) / n_known)
    scale = np.where(scale > 1e-12, scale, 1.0)
    inputs = np.clip((np.where(known, squashed, mean) - mean) / scale, -_CLIP, _CLIP)
    # One thread: the same sums in the same order on any machine.
    with threadpool_limits(limits=1):
        fitted = LogisticRegression(C=inverse_penalty, solver="newton-cholesky", max_iter=100).fit(
            inputs, converted
        )
    return LogisticModel(
        never=never,
        mean=mean,
        scale=scale,
        weights=np.asarray(fitted.coef_[0], dtype=np.float64),
        intercept=float(fitted.intercept_[0]),
    )
