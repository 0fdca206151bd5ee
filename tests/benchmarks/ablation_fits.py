"""Fit logistic regression and LightGBM on some columns of a window, once per seed, and rank.

The two learners of one horizon, without the hazard model: columns are asked for what they add to
the simplest.
"""

import functools
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, Self
from unittest import mock

import numpy as np
from ablation_windows import Window
from numpy.typing import NDArray

from intentcast.config import LearnerConfig
from intentcast.propensity import judging, rows
from intentcast.propensity.ladder import _calibrate
from intentcast.propensity.rows import OutOfSample, TrainingRows

Floats = NDArray[np.float64]
STEPS = ("logistic", "lightgbm")


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
    known, test = window.rows(columns), window.test_rows(columns)
    found = []
    # The logistic step knows no seed: the same fit need not be made five times.
    with mock.patch.object(judging, "fit_logistic", _once(judging.fit_logistic)):
        for seed in seeds:
            found.append(_climbed(known, config.model_copy(update={"seed": seed}), test))
    return Fits(
        probabilities=np.array([one.probabilities for one in found]),
        champion=np.array([one.champion for one in found]),
        log_loss=np.array([one.losses for one in found]),
        inner_margins=np.array([one.margins for one in found]),
        inner_rows=found[0].rows,
        penalty=found[0].penalty,
        n_columns=int(columns.sum()),
    )


class _Climbed(NamedTuple):
    """Both learners fitted with one seed, and the one of less log loss on the latest slice."""

    probabilities: list[Floats]
    champion: int
    losses: list[float]
    margins: Floats
    rows: NDArray[np.int64]
    penalty: float


def _climbed(known: TrainingRows, config: LearnerConfig, test: Floats) -> _Climbed:
    settings = config.calibration.model_copy(update={"folds": 1})
    judged = judging.Judged(known, None, rows.inner_windows(known, settings))
    tried = []
    for penalty in config.logistic.inverse_penalties:
        fit_one = functools.partial(judging.regress, penalty=penalty)
        margins = judged.out_of_sample(fit_one)
        tried.append((judged.log_loss(margins), penalty, margins))
    _, penalty, regressed = min(tried, key=lambda item: item[:2])
    both = {
        "logistic": (functools.partial(judging.regress, penalty=penalty), regressed),
        "lightgbm": (functools.partial(judging.boost, config=config), None),
    }
    p, losses, inner = [], [], []
    for fit_one, known_margins in both.values():
        margins = judged.out_of_sample(fit_one) if known_margins is None else known_margins
        learner = fit_one(known)
        sample = OutOfSample(judged.positions, margins, judged.scheme)
        refitted = functools.partial(learner.margins, known.features[sample.rows])
        calibrator = _calibrate(known, sample, refitted, config)
        p.append(calibrator.probabilities(learner.margins(test)))
        losses.append(judged.log_loss(margins))
        inner.append(margins)
    champion = int(np.argmin(losses))
    return _Climbed(p, champion, losses, inner[champion], judged.positions, penalty)


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
