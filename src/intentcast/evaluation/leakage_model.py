"""What the columns tell together, and what is lost without one: a quick ridge regression."""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from intentcast.evaluation.metrics import average_precision
from intentcast.propensity.margins import logit, sigmoid

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RIDGE = 10.0
_STEPS = 12
_STEPS_FROM_NEAR = 4
_FOLDS = 2


def together(rates: Floats, converted: Floats, clusters: Ints) -> float:
    """Return the average precision of all columns, out of account folds; NaN with one class.

    Args:
        rates: Each column's cross-fitted conversion rate, shape (n_columns, n).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
    """
    with threadpool_limits(limits=1):
        margins = np.empty(len(converted))
        for train, test in _folds(clusters):
            design, _ = _design(rates, train)
            beta = _newton(design[train], converted[train], np.zeros(design.shape[1]), _STEPS)
            margins[test] = design[test] @ beta
    return average_precision(converted, margins)


def lost_without(rates: Floats, converted: Floats, clusters: Ints) -> tuple[Floats, float]:
    """Return the average precision that removing each column costs, and that of all, `together`.

    A logistic regression on the columns' log-odds, ridge 10 on the standardised scale, is fitted on
    half of the accounts and judged on the other, both ways; then again without each column. What a
    column shares with others is not lost with it, so a small loss does not clear it.

    Returns:
        Losses of shape (n_columns,); the average precision of all columns.
    """
    n_columns = len(rates)
    margins = np.empty((n_columns + 1, len(converted)))
    with threadpool_limits(limits=1):
        for train, test in _folds(clusters):
            design, kept = _design(rates, train)
            learnt, judged, y = design[train], design[test], converted[train]
            beta = _newton(learnt, y, np.zeros(design.shape[1]), _STEPS)
            margins[:, test] = judged @ beta
            for place, column in enumerate(kept, 1):
                rest = np.delete(np.arange(len(beta)), place)
                less = _newton(learnt[:, rest], y, beta[rest], _STEPS_FROM_NEAR)
                margins[column, test] = judged[:, rest] @ less
    whole = average_precision(converted, margins[-1])
    losses = np.array([whole - average_precision(converted, m) for m in margins[:-1]])
    return losses, whole


def _folds(clusters: Ints) -> list[tuple[NDArray[np.bool_], NDArray[np.bool_]]]:
    # Not the folds of the rates, which are the remainder by five.
    fold = clusters // 5 % _FOLDS
    return [(fold != k, fold == k) for k in range(_FOLDS)]


def _design(rates: Floats, train: NDArray[np.bool_]) -> tuple[Floats, Ints]:
    """Return an intercept and the columns that vary, standardised, and which those are."""
    odds = logit(rates)
    mean, spread = odds[:, train].mean(axis=1), odds[:, train].std(axis=1)
    kept = np.flatnonzero(spread > 1e-9)
    scaled = (odds[kept] - mean[kept, None]) / spread[kept, None]
    return np.column_stack([np.ones(rates.shape[1]), scaled.T]), kept


def _newton(design: Floats, converted: Floats, start: Floats, steps: int) -> Floats:
    beta = start.copy()
    if not 0 < converted.sum() < len(converted):
        return beta
    penalty = np.full(design.shape[1], _RIDGE)
    penalty[0] = 1e-6
    for _ in range(steps):
        p = sigmoid(design @ beta)
        gradient = design.T @ (converted - p) - penalty * beta
        hessian = (design * (p * (1.0 - p))[:, None]).T @ design + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        # A full step may overshoot where conversion is rare; a bounded one cannot run away.
        beta += step * min(1.0, 4.0 / max(float(np.abs(step).max()), 1e-12))
    return beta
