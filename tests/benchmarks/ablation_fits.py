"""Fit the ladder on some columns of a window, once per seed, and say how it ranked."""

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from unittest import mock

import numpy as np
from ablation_windows import Window
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.propensity import STEPS, ladder

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Fits:
    """One window, one set of columns, every seed.

    Attributes:
        probabilities: Of the test snapshots, shape (n_seeds, n_steps, n_test).
        champion: Number of the step chosen, shape (n_seeds,).
        log_loss: Out of sample inside training time, shape (n_seeds, n_steps).
        inner_margins: The champion's, out of sample inside training time, (n_seeds, n_inner).
        inner_rows: Which training rows those are, shape (n_inner,).
        penalty: The logistic step's inverse penalty.
        n_columns: Features.
    """

    probabilities: Floats
    champion: NDArray[np.int64]
    log_loss: Floats
    inner_margins: Floats
    inner_rows: NDArray[np.int64]
    penalty: float
    n_columns: int

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".part.npz")
        np.savez(partial, **{field.name: getattr(self, field.name) for field in fields(self)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        with np.load(path, allow_pickle=False) as found:
            arrays = {field.name: found[field.name] for field in fields(cls)}
        numbers = {"penalty": float(arrays["penalty"]), "n_columns": int(arrays["n_columns"])}
        return cls(**{**arrays, **numbers})


def fit(
    window: Window, columns: NDArray[np.bool_], config: LearnerConfig, seeds: Sequence[int]
) -> Fits:
    """Fit as training does, for each seed of the learner."""
    rows, test = window.rows(columns), window.test_rows(columns)
    found = []
    # The logistic step knows no seed: the same fit need not be made five times.
    with mock.patch.object(ladder, "fit_logistic", _once(ladder.fit_logistic)):
        for seed in seeds:
            fitted = ladder.fit_ladder(rows, config.model_copy(update={"seed": seed}))
            p = [fitted.models[step].probabilities(test) for step in STEPS]
            found.append((fitted, np.array(p)))
    first = found[0][0]
    return Fits(
        probabilities=np.array([p for _, p in found]),
        champion=np.array([STEPS.index(fitted.champion) for fitted, _ in found]),
        log_loss=np.array([[fitted.log_loss[step] for step in STEPS] for fitted, _ in found]),
        inner_margins=np.array([fitted.out_of_sample.margins for fitted, _ in found]),
        inner_rows=first.out_of_sample.rows,
        penalty=first.penalty,
        n_columns=int(columns.sum()),
    )


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[tuple[Any, ...], Any] = {}

    def remembered(features: Floats, converted: Floats, **rest: Any) -> Any:
        at = (features.shape, zlib.crc32(features), zlib.crc32(converted), rest["inverse_penalty"])
        if at not in known:
            known[at] = function(features, converted, **rest)
        return known[at]

    return remembered


def weighted_average_precision(converted: Floats, score: Floats, weights: Floats) -> Floats:
    """Return average precision under each row of weights, shape (n_replicates,).

    Equal scores enter together. With weights of one it is `metrics.average_precision`.

    Args:
        converted: 0 or 1, shape (n,).
        score: Shape (n,).
        weights: Shape (n_replicates, n), not negative.
    """
    order = np.argsort(-score, kind="stable")
    is_last = np.append(np.diff(score[order]) != 0, True)
    y = converted[order]
    out = np.empty(len(weights))
    for i, weight in enumerate(weights):
        w = weight[order]
        taken, hits = np.cumsum(w)[is_last], np.cumsum(w * y)[is_last]
        gained = np.diff(hits, prepend=0.0)
        some = gained > 0
        out[i] = np.sum(gained[some] * hits[some] / taken[some]) / hits[-1]
    return out


def cluster_weights(clusters: NDArray[np.int64], *, n: int, seed: int) -> Floats:
    """Return how often each row's account is drawn in `n` bootstrap samples of accounts."""
    accounts, place = np.unique(clusters, return_inverse=True)
    rng = np.random.default_rng(seed)
    share = np.full(len(accounts), 1 / len(accounts))
    drawn = rng.multinomial(len(accounts), share, size=n)
    return np.asarray(drawn[:, place], dtype=np.float64)
