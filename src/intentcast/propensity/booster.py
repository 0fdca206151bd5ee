"""LightGBM: one binary model per horizon, as text, never as a pickle."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from intentcast.config import BoosterSettings
from intentcast.propensity.margins import Floats


@dataclass(frozen=True)
class BoosterModel:
    """A fitted LightGBM model, kept as its text; `threads` is for prediction only."""

    text: str
    threads: int = 1

    @cached_property
    def _booster(self) -> Any:
        import lightgbm

        return lightgbm.Booster(model_str=self.text)

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return self._predict(features, raw_score=True)

    def contributions(self, features: Floats) -> Floats:
        """Return each feature's part of the log-odds (TreeSHAP), expected value last."""
        return self._predict(features, pred_contrib=True)

    def _predict(self, features: Floats, **kind: bool) -> Floats:
        out = self._booster.predict(features, num_threads=self.threads, **kind)
        return np.asarray(out, dtype=np.float64)


def fit_booster(
    features: Floats,
    converted: Floats,
    *,
    names: list[str],
    settings: BoosterSettings,
    seed: int,
    threads: int,
) -> BoosterModel:
    """Fit a binary LightGBM; the same text at any number of threads.

    Args:
        features: Shape (n, n_features); NaN for unknown.
        converted: 0 or 1, shape (n,).
        names: Shape (n_features,).
        settings: LightGBM's parameters.
        seed: Of bagging and feature sampling.
        threads: Cores to use.
    """
    import lightgbm

    parameters = {
        "objective": "binary",
        "learning_rate": settings.learning_rate,
        "num_leaves": settings.num_leaves,
        "min_data_in_leaf": settings.min_data_in_leaf,
        "feature_fraction": settings.feature_fraction,
        "bagging_fraction": settings.bagging_fraction,
        "bagging_freq": 1,
        "lambda_l2": settings.lambda_l2,
        "max_bin": settings.max_bin,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "verbosity": -1,
        "num_threads": threads,
    }
    data = lightgbm.Dataset(features, converted, feature_name=names, free_raw_data=True)
    booster = lightgbm.train(parameters, data, settings.rounds)
    # The text ends with the parameters, the thread count among them: an accident of the machine.
    text = booster.model_to_string().replace(f"[num_threads: {threads}]", "[num_threads: 1]")
    return BoosterModel(text)
