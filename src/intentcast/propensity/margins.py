"""Log-odds and probabilities, row by row, the same bits for a row in any batch."""

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SMALLEST = 1e-6


@njit(cache=True)
def stacked_dots(
    matrix: Floats,
    never: Any,
    mean: Any,
    scale: Any,
    weights: Any,
    start: Any,
    never_days: float,
    most: float,
) -> Floats:
    """Return `start + Σ_j standardised[i, j] · weights[j]` for several models, shape (n, n_models).

    Summed in the order of columns: a matrix product may sum in another order for another number of
    rows; this never does. Each logarithm is taken once for all models. See `standardised` for the
    arguments, which are tuples here, an entry per model.
    """
    out = np.empty((matrix.shape[0], len(mean)))
    of_never = _squashed(never_days)
    for row in range(matrix.shape[0]):
        for k in range(len(mean)):
            out[row, k] = start[k]
        for j in range(matrix.shape[1]):
            is_unknown = np.isnan(matrix[row, j])
            squashed = of_never if is_unknown else _squashed(matrix[row, j])
            for k in range(len(mean)):
                x = _scaled(squashed, mean[k][j], scale[k][j], most)
                if is_unknown and not never[k][j]:
                    x = 0.0
                out[row, k] += x * weights[k][j]
    return out


@njit(cache=True)
def standardised(
    matrix: Floats, never: Any, mean: Floats, scale: Floats, never_days: float, most: float
) -> Floats:
    """Return `clip((sign(x)·log(1 + |x|) − mean) / scale, ±most)`, column by column.

    Args:
        matrix: Shape (n, n_columns); NaN is `never_days` where it means "never", else the mean.
        never: Whether it does, shape (n_columns,).
        mean: Shape (n_columns,).
        scale: Shape (n_columns,).
        never_days: See `matrix`.
        most: See above.
    """
    out = np.empty(matrix.shape)
    for row in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            x = never_days if never[j] and np.isnan(matrix[row, j]) else matrix[row, j]
            out[row, j] = _standardised(x, mean[j], scale[j], most)
    return out


@njit(cache=True, inline="always")
def _standardised(x: float, mean: float, scale: float, most: float) -> float:
    if np.isnan(x):
        return 0.0
    return float(_scaled(_squashed(x), mean, scale, most))


@njit(cache=True, inline="always")
def _squashed(x: float) -> float:
    return float(math.copysign(math.log1p(abs(x)), x))


@njit(cache=True, inline="always")
def _scaled(squashed: float, mean: float, scale: float, most: float) -> float:
    return float(min(max((squashed - mean) / scale, -most), most))


@njit(cache=True)
def cumulative_hazard(log_odds: Floats, fractions: Floats, least: float, most: float) -> Floats:
    """Return −log Π_k (1 − hazard_k)^f_k by row, kept from `least` to `most`, shape (n,).

    Args:
        log_odds: Of the hazards, shape (n, n_intervals).
        fractions: f_k, shape (n_intervals,).
        least: See above.
        most: See above.
    """
    out = np.empty(log_odds.shape[0])
    for row in range(log_odds.shape[0]):
        total = 0.0
        for k in range(log_odds.shape[1]):
            # −log(1 − σ(m)) = log(1 + exp(m)), added up in the order of intervals.
            m = log_odds[row, k]
            total += fractions[k] * (max(m, 0.0) + math.log1p(math.exp(-abs(m))))
        out[row] = min(max(total, least), most)
    return out


@njit(cache=True)
def log_odds_of_hazard(cumulative: Floats) -> Floats:
    """Return the log-odds of P = 1 − exp(−Λ), shape (n,)."""
    out = np.empty(len(cumulative))
    for row in range(len(cumulative)):
        out[row] = cumulative[row] + math.log(-math.expm1(-cumulative[row]))
    return out


def sigmoid(margin: Floats) -> Floats:
    """Return 1 / (1 + exp(−margin)), shape kept, without overflow."""
    out: Floats = 1.0 / (1.0 + np.exp(-np.clip(margin, -700.0, 700.0)))
    return out


def logit(probability: Floats) -> Floats:
    """Return log(p / (1 − p)), with p kept at least 1e-6 away from 0 and 1."""
    p = np.clip(probability, SMALLEST, 1.0 - SMALLEST)
    out: Floats = np.log(p / (1.0 - p))
    return out


def level_shift(margins: Floats, total: float) -> float:
    """Return the δ within ±20 for which Σ σ(m + δ) is `total`, by bisection."""
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if sigmoid(margins + middle).sum() < total else (low, middle)
    return (low + high) / 2.0


def losses(p: Floats, y: Floats, *, smallest: float) -> Floats:
    """Return each row's log loss −(y·log p + (1 − y)·log(1 − p)), in nats, shape (n,).

    Args:
        p: Probabilities, shape (n,); kept at least `smallest` away from 0 and 1.
        y: 0 or 1, shape (n,).
        smallest: See `p`.
    """
    q = np.clip(p, smallest, 1.0 - smallest)
    out: Floats = -(y * np.log(q) + (1.0 - y) * np.log(1.0 - q))
    return out


def margin_losses(m: Floats, y: Floats) -> Floats:
    """Return each row's log loss log(1 + exp(m)) − y·m of log-odds m, in nats, shape (n,)."""
    out: Floats = np.logaddexp(0.0, m) - y * m
    return out
