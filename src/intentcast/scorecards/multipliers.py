"""By how much to multiply each rule's points: a logistic regression that trusts the table first.

Model: `logit p = a + Σ_r θ_r · f_r`, where f_r is what rule r adds to the present score, in
standard deviations of that score. With all θ equal, the fit is the present table; points are
refitted as `θ_r / θ̄ · points_r`. Penalised likelihood (MAP under independent normal priors; ridge
of Hoerl and Kennard 1970, https://doi.org/10.1080/00401706.1970.10488634):

    Σ_i [y_i · η_i − log(1 + e^η_i)] − λ/2 · Σ_r (θ_r − b)²,  θ_r ≥ 0

with b the slope of the present score alone. So a rule with little evidence stays near its present
points, and rules that are met together share what they explain.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_ROUNDS = 100
_HALVINGS = 40
_CLOSE = 1e-10
_SWEEPS = 300


@dataclass(frozen=True)
class Multipliers:
    """A penalised fit.

    Attributes:
        intercept: Log-odds of a lead without points.
        theta: Per rule, at least 0, shape (n_rules,).
        centre: b, towards which they were pulled.
        penalty: λ; infinite where every rule keeps its points.
    """

    intercept: float
    theta: Floats
    centre: float
    penalty: float

    def margins(self, parts: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        out: Floats = self.intercept + np.einsum("ij,j->i", parts, self.theta)
        return out


def fit_multipliers(parts: Floats, target: Floats, *, penalty: float) -> Multipliers:
    """Fit by projected Newton steps (Bertsekas 1982, https://doi.org/10.1137/0320018).

    Args:
        parts: f, shape (n, n_rules); finite.
        target: Conversions (0 or 1) or probabilities, shape (n,).
        penalty: λ > 0; infinity keeps the present table.
    """
    whole = np.einsum("ij->i", parts)[:, None]
    start, slope = _maximised(whole, target, centre=0.0, penalty=0.0)
    centre = float(slope[0])
    if np.isinf(penalty):
        return Multipliers(start, np.full(parts.shape[1], centre), centre, penalty)
    intercept, theta = _maximised(parts, target, centre=centre, penalty=penalty)
    return Multipliers(intercept, theta, centre, penalty)


def log_loss(margins: Floats, target: Floats) -> float:
    """Return the mean of log(1 + e^η) − y · η, in nats."""
    return float((np.logaddexp(0.0, margins) - target * margins).mean())


def _maximised(
    parts: Floats, target: Floats, *, centre: float, penalty: float
) -> tuple[float, Floats]:
    """Return intercept and slopes, at least 0, of the greatest penalised likelihood."""
    n_rules = parts.shape[1]
    share = float(np.clip(target.mean(), 1e-6, 1 - 1e-6))
    beta = np.append(np.full(n_rules, centre), np.log(share / (1 - share)))
    design = np.column_stack([parts, np.ones(len(parts))])
    lower = np.append(np.zeros(n_rules), -np.inf)
    pull = np.append(np.full(n_rules, penalty), 0.0)
    target_beta = np.append(np.full(n_rules, centre), 0.0)
    value = _value(design, target, beta, pull, target_beta)
    for _ in range(_ROUNDS):
        gradient, hessian = _slopes(design, target, beta, pull, target_beta)
        free = ~((beta <= lower) & (gradient > 0))
        step = np.zeros(len(beta))
        step[free] = -np.linalg.solve(hessian[np.ix_(free, free)], gradient[free])
        if -(gradient @ step) < _CLOSE * len(parts):
            break
        for halving in range(_HALVINGS):
            ahead = np.maximum(beta + step * 0.5**halving, lower)
            there = _value(design, target, ahead, pull, target_beta)
            if there < value:
                break
        else:
            break
        beta, value = ahead, there
    return float(beta[-1]), beta[:-1]


def _value(design: Floats, target: Floats, beta: Floats, pull: Floats, centre: Floats) -> float:
    margins = np.einsum("ij,j->i", design, beta)
    apart = beta - centre
    return log_loss(margins, target) * len(target) + 0.5 * float((pull * apart * apart).sum())


def _slopes(
    design: Floats, target: Floats, beta: Floats, pull: Floats, centre: Floats
) -> tuple[Floats, Floats]:
    """Return gradient and Hessian of the penalised loss."""
    margins = np.einsum("ij,j->i", design, beta)
    p = 0.5 * (1.0 + np.tanh(0.5 * margins))
    gradient = np.einsum("ij,i->j", design, p - target) + pull * (beta - centre)
    # No BLAS: the same sums in the same order for any number of threads.
    hessian = np.einsum("ij,ik->jk", design * (p * (1.0 - p))[:, None], design)
    hessian[np.diag_indices_from(hessian)] += pull + 1e-9 * max(
        float(hessian.diagonal().max()), 1.0
    )
    return gradient, hessian


def resampled_theta(
    fitted: Multipliers,
    parts: Floats,
    target: Floats,
    accounts: NDArray[np.int64],
    *,
    n_resamples: int,
    seed: int,
) -> Floats:
    """Return the multipliers of resampled accounts and pulls, shape (n_resamples, n_rules).

    A one-step bootstrap (Kline and Santos 2012, https://doi.org/10.1515/2156-6674.1001) that also
    redraws the prior, or a penalised fit would look surer than it is (Bardsley et al. 2014,
    https://doi.org/10.1137/140964023): with s_g the account's sum of (y − p) · (f, 1), H the
    penalised Hessian, m_g how often the account was drawn and ε standard normal,
    `β* = β + H⁻¹ (Σ_g (m_g − 1) · s_g + √λ · ε)`, and then the point with θ ≥ 0 nearest to it in
    the metric H.
    """
    if np.isinf(fitted.penalty):
        return np.tile(fitted.theta, (n_resamples, 1))
    design = np.column_stack([parts, np.ones(len(parts))])
    beta = np.append(fitted.theta, fitted.intercept)
    pull = np.append(np.full(len(fitted.theta), fitted.penalty), 0.0)
    centre = np.append(np.full(len(fitted.theta), fitted.centre), 0.0)
    _, hessian = _slopes(design, target, beta, pull, centre)
    residual = target - 0.5 * (1.0 + np.tanh(0.5 * fitted.margins(parts)))
    _, group = np.unique(accounts, return_inverse=True)
    n = int(group.max()) + 1
    scores = np.stack(
        [np.bincount(group, weights=column * residual, minlength=n) for column in design.T], axis=1
    )
    rng = np.random.default_rng(seed)
    drawn = np.stack([np.bincount(rng.integers(0, n, n), minlength=n) for _ in range(n_resamples)])
    pushed = np.einsum("bg,gj->bj", drawn - 1.0, scores)
    pushed += np.sqrt(pull) * rng.standard_normal(pushed.shape)
    moved = beta + np.linalg.solve(hessian, pushed.T).T
    return _nearest_allowed(moved, hessian)[:, :-1]


def _nearest_allowed(points: Floats, metric: Floats) -> Floats:
    """Return the nearest points whose slopes are at least 0, by coordinate descent."""
    found = points.copy()
    found[:, :-1] = np.maximum(found[:, :-1], 0.0)
    for _ in range(_SWEEPS):
        before = found.copy()
        for j in range(found.shape[1]):
            push = np.einsum("bi,i->b", found - points, metric[j])
            found[:, j] -= push / metric[j, j]
            if j < found.shape[1] - 1:
                found[:, j] = np.maximum(found[:, j], 0.0)
        if float(np.abs(found - before).max()) < 1e-9:
            break
    return found
