"""Log-odds and probabilities, row by row, the same bits for a row in any batch."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SMALLEST = 1e-6


@njit(cache=True)
def row_dots(matrix: Floats, weights: Floats, start: float) -> Floats:
    """Return `start + Σ_j matrix[i, j] · weights[j]`, summed in the order of columns.

    A matrix product may sum in another order for another number of rows; this never does.
    """
    out = np.empty(matrix.shape[0])
    for row in range(matrix.shape[0]):
        total = start
        for column in range(matrix.shape[1]):
            total += matrix[row, column] * weights[column]
        out[row] = total
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
