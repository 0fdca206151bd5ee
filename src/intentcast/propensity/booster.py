"""LightGBM: trained on one thread, kept as text, never as a pickle."""

import sys
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.config import BoosterSettings
from intentcast.propensity.forest import Forest, read_forest
from intentcast.propensity.margins import Floats
from intentcast.propensity.walks import walk_margins, walk_parts

_IMPORTING = Lock()


@dataclass(frozen=True)
class BoosterModel:
    """A fitted LightGBM model, kept as its text; predictions walk its trees without LightGBM."""

    text: str

    @cached_property
    def forest(self) -> Forest:
        """The trees as arrays."""
        return read_forest(self.text)

    def first(self, rounds: int) -> "BoosterModel":
        """Return the model of its first trees: what fewer rounds would have fitted."""
        if rounds >= len(self.forest.first_node) - 1:
            return self
        whole = load_lightgbm().Booster(model_str=self.text)
        return BoosterModel(whole.model_to_string(num_iteration=rounds))

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return self.interval_margins(features, 0)[:, 0]

    def interval_margins(self, features: Floats, n_intervals: int) -> Floats:
        """Return log-odds by interval, shape (n, n_intervals): the trees' last feature is it."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        out = np.empty((len(rows), max(n_intervals, 1)))
        walk_margins(self.forest, rows, n_intervals, out)
        return out

    def contributions(self, features: Floats) -> Floats:
        """Return each feature's part of the log-odds (TreeSHAP), expected value last."""
        rows = np.ascontiguousarray(features, dtype=np.float64)
        out = np.zeros((len(rows), rows.shape[1] + 1))
        for row, parts in zip(rows, out, strict=True):
            walk_parts(self.forest, row, 0, parts[None, :-1])
        out[:, -1] = self.forest.expected
        return out

    def interval_contributions(self, row: Floats, n_intervals: int) -> Floats:
        """Return one row's parts by interval, shape (n_intervals, n_features + 1).

        Args:
            row: Features, shape (n_features,).
            n_intervals: How many the trees tell apart; what the interval itself does is last.
        """
        out = np.zeros((n_intervals, len(row) + 1))
        walk_parts(self.forest, np.ascontiguousarray(row, dtype=np.float64), n_intervals, out)
        return out


def load_lightgbm() -> Any:
    """Import LightGBM without the pandas and scikit-learn that it would import where they are.

    It needs neither for arrays, and beside them its import takes several times as long.
    """
    # One thread at a time: another would find a module that is only half there.
    with _IMPORTING:
        hidden = []
        if "lightgbm" not in sys.modules:
            hidden = [name for name in ("pandas", "sklearn", "dask") if name not in sys.modules]
        for name in hidden:
            sys.modules[name] = None  # type: ignore[assignment]
        try:
            import lightgbm
        finally:
            for name in hidden:
                del sys.modules[name]
    return lightgbm


def fit_booster(
    features: NDArray[np.floating],
    converted: Floats,
    *,
    names: list[str],
    settings: BoosterSettings,
    seed: int,
    weight: Floats | None = None,
    start: Floats | None = None,
) -> BoosterModel:
    """Fit a binary LightGBM on one thread: several are fitted side by side instead.

    On matrices of this size two threads of LightGBM are no faster than one, and slower on a busy
    machine (`tests/benchmarks/threads.py`).

    Args:
        features: Shape (n, n_features); NaN for unknown.
        converted: 0 or 1, shape (n,).
        names: Shape (n_features,).
        settings: LightGBM's parameters.
        seed: Of bagging and feature sampling.
        weight: How much each row counts, shape (n,).
        start: Log-odds that boosting starts from, shape (n,); they are not part of the model.
    """
    lightgbm = load_lightgbm()
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
        "num_threads": 1,
    }
    data = lightgbm.Dataset(
        features,
        converted,
        weight=weight,
        init_score=start,
        feature_name=names,
        free_raw_data=True,
    )
    booster = lightgbm.train(parameters, data, settings.rounds)
    return BoosterModel(booster.model_to_string())
