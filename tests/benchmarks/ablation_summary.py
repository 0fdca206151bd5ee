"""What ablation fits say: average precision, how it changes, and how sure that is."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from ablation_fits import STEPS, Fits, Floats, cluster_weights, weighted_average_precision
from ablation_windows import Window

from intentcast.evaluation.metrics import average_precision
from intentcast.propensity.margins import sigmoid

REPLICATES = 200
BOOTSTRAP_SEED = 1


@dataclass(frozen=True)
class Ranking:
    """How one set of columns did on one data set, over all its folds.

    Attributes:
        n_columns: Features, in the last fold.
        champion: Average precision on the test windows, pooled, shape (n_seeds,).
        steps: The same of each step, shape (n_steps, n_seeds).
        replicates: The champion's, mean over seeds, in bootstrap samples of accounts.
        inner: The champion's average precision inside training time, mean over folds, (n_seeds,).
        inner_losses: Its log loss per inner row, mean over seeds; the folds one after another.
        inner_clusters: Accounts of those rows.
        n_boosted: Fits in which LightGBM was the champion.
        n_fits: Of so many.
        penalties: The logistic step's inverse penalty per fold.
    """

    n_columns: int
    champion: Floats
    steps: Floats
    replicates: Floats
    inner: Floats
    inner_losses: Floats
    inner_clusters: np.ndarray
    n_boosted: int
    n_fits: int
    penalties: tuple[float, ...]


def rank(windows: Sequence[Window], fits: Sequence[Fits]) -> Ranking:
    """Summarise one variant's fits, one per fold, each on its window."""
    y = np.concatenate([window.test_converted for window in windows])
    weights = cluster_weights(
        np.concatenate([window.test_clusters for window in windows]),
        n=REPLICATES,
        seed=BOOTSTRAP_SEED,
    )
    steps = np.concatenate([fit.probabilities for fit in fits], axis=2)
    seeds = np.arange(len(steps))
    chosen = np.concatenate([fit.probabilities[seeds, fit.champion] for fit in fits], axis=1)
    unique, again = np.unique(chosen, axis=0, return_inverse=True)
    drawn = np.array([weighted_average_precision(y, score, weights) for score in unique])
    inner, losses, clusters = [], [], []
    for window, fit in zip(windows, fits, strict=True):
        outcome = window.converted[fit.inner_rows]
        inner.append([average_precision(outcome, margins) for margins in fit.inner_margins])
        p = np.clip(sigmoid(fit.inner_margins), 1e-6, 1 - 1e-6)
        loss = -(outcome * np.log(p) + (1 - outcome) * np.log(1 - p))
        losses.append(loss.mean(axis=0))
        clusters.append(window.clusters[fit.inner_rows])
    return Ranking(
        n_columns=fits[-1].n_columns,
        champion=np.array([average_precision(y, score) for score in chosen]),
        steps=np.array(
            [[average_precision(y, p[step]) for p in steps] for step in range(len(STEPS))]
        ),
        replicates=drawn[again.ravel()].mean(axis=0),
        inner=np.mean(inner, axis=0),
        inner_losses=np.concatenate(losses),
        inner_clusters=np.concatenate(clusters),
        n_boosted=sum(int((fit.champion == STEPS.index("lightgbm")).sum()) for fit in fits),
        n_fits=sum(len(fit.champion) for fit in fits),
        penalties=tuple(fit.penalty for fit in fits),
    )


@dataclass(frozen=True)
class Gain:
    """What some columns add: with them minus without them; above 0, they help.

    Attributes:
        mean: Of average precision on the test windows, over seeds.
        spread: Standard deviation over seeds.
        error: Standard error of the mean by resampling accounts, both on the same accounts.
        steps: The mean for each step.
        inner: Of average precision inside training time.
        inner_loss: How much lower the log loss inside training time is.
        inner_error: Its standard error, clustered by account.
    """

    mean: float
    spread: float
    error: float
    steps: tuple[float, ...]
    inner: float
    inner_loss: float
    inner_error: float


def gain(of: Ranking, over: Ranking) -> Gain:
    """Return what the columns of `of` add to those of `over`, seed by seed."""
    differences = of.champion - over.champion
    losses = over.inner_losses - of.inner_losses
    _, group = np.unique(over.inner_clusters, return_inverse=True)
    totals = np.bincount(group, losses - losses.mean())
    return Gain(
        mean=float(differences.mean()),
        spread=float(differences.std(ddof=1)) if len(differences) > 1 else float("nan"),
        error=float((of.replicates - over.replicates).std(ddof=1)),
        steps=tuple((of.steps - over.steps).mean(axis=1).tolist()),
        inner=float((of.inner - over.inner).mean()),
        inner_loss=float(losses.mean()),
        inner_error=float(np.sqrt((totals**2).sum()) / len(losses)),
    )
