"""Smooth maps from log-odds to log-odds: Platt's line and the beta map, with their covariance."""

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats, sigmoid

_INTERCEPT_PRIOR, _SLOPE_PRIOR = 0.01, 0.1


def platt_design(margins: Floats) -> Floats:
    """Return the columns 1 and m: log-odds a + b·m (Platt 1999), shape (n, 2)."""
    return np.column_stack([np.ones_like(margins), margins])


def beta_design(margins: Floats) -> Floats:
    """Return the columns 1, log q and −log(1 − q), with q = σ(m), shape (n, 3).

    Log-odds c + a·log q − b·log(1 − q): the map between two beta distributions (Kull, Silva Filho
    and Flach 2017). With a = b it is Platt's line; else it bends small and large margins apart.
    """
    return np.column_stack(
        [np.ones_like(margins), -np.logaddexp(0.0, -margins), np.logaddexp(0.0, margins)]
    )


def fit_map(design: Floats, converted: Floats) -> Floats:
    """Return coefficients by Newton's method, with a weak prior at the identity.

    Maximises the log-likelihood of σ(D·c) − Σ_j (c_j − 1)² / 2 · 0.1 − c_0² / 2 · 0.01 over the
    slopes j, so that an empty or separable slice gives a finite map near the identity.
    """
    n = design.shape[1]
    centre = np.append(0.0, np.ones(n - 1))
    prior = np.append(_INTERCEPT_PRIOR, np.full(n - 1, _SLOPE_PRIOR))
    c = centre.copy()

    def gradient_at(c: Floats) -> Floats:
        out: Floats = design.T @ (converted - sigmoid(design @ c)) - prior * (c - centre)
        return out

    for _ in range(50):
        p = sigmoid(design @ c)
        w = np.maximum(p * (1.0 - p), 1e-12)
        gradient = gradient_at(c)
        hessian = design.T @ (design * w[:, None]) + np.diag(prior)
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        # Margins that are far too sure make a whole step jump over the summit, to and fro.
        for _ in range(30):
            if float(gradient_at(c + step) @ step) >= -0.5 * float(gradient @ step):
                break
            step = step / 2.0
        c = c + step
        if float(np.abs(step).max()) < 1e-10:
            break
    return c


def drawn_to_one(coefficients: Floats, covariance: Floats) -> Floats:
    """Return a map's slopes, drawn towards 1 by how little they are known, shape (k,).

    1 + w · (b − 1), w = max(0, 1 − k / W), W = (b − 1)ᵀ C⁻¹ (b − 1): the positive-part shrinkage of
    James and Stein (1961) towards the identity. A slope that is one standard error from 1 becomes
    1, one that is four away stays nearly what it is. A learner that is refitted with more data is
    nearer to slope 1 than the one whose margins the map was fitted on, so what chance did to the
    slope must not be carried over to it.

    Args:
        coefficients: Intercept and k slopes.
        covariance: Of them, clustered by account.
    """
    away = coefficients[1:] - 1.0
    k = len(away)
    wald = float(away @ np.linalg.solve(covariance[1:, 1:] + 1e-12 * np.eye(k), away))
    kept = max(0.0, 1.0 - k / wald) if wald > 0.0 else 0.0
    out: Floats = 1.0 + kept * away
    return out


def map_covariance(
    design: Floats, converted: Floats, clusters: NDArray[np.int64], coefficients: Floats
) -> Floats:
    """Return the sandwich covariance of the coefficients, clustered by account.

    C = H⁻¹ (Σ_g s_g s_gᵀ) H⁻¹ · G/(G−1), with s_g the summed scores of account g (Liang and Zeger
    1986). Assumes that accounts are independent; few accounts (under about 30) make it too small.
    """
    n = design.shape[1]
    p = sigmoid(design @ coefficients)
    w = p * (1.0 - p)
    prior = np.append(_INTERCEPT_PRIOR, np.full(n - 1, _SLOPE_PRIOR))
    hessian = design.T @ (design * w[:, None]) + np.diag(prior)
    scores = design * (converted - p)[:, None]
    _, group = np.unique(clusters, return_inverse=True)
    n_groups = int(group.max()) + 1 if len(group) else 0
    summed = np.column_stack(
        [np.bincount(group, weights=scores[:, j], minlength=n_groups) for j in range(n)]
    )
    inverse = np.linalg.inv(hessian)
    correction = n_groups / max(n_groups - 1, 1)
    out: Floats = inverse @ (summed.T @ summed) @ inverse * correction
    return out
