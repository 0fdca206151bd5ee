"""Penalised logistic fits of one group beside controls, with scores summed by account.

What `half_lives` needs many times over: the same controls and outcomes, another column each time.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats, sigmoid

# On controls only, standardised: many, on few accounts, would otherwise be fitted to chance.
# Of 1, 10, 40 and 150, simulated intervals covered best with 10, and nearly as well with 1.
_RIDGE = 10.0
_ROUNDS = 60
_FRESH = 8  # Newton steps on one Hessian before it is computed again
_CLOSE = 1e-8


@dataclass(frozen=True)
class Fit:
    """A penalised fit.

    Attributes:
        coefficients: Intercept and controls, on the standardised scale, shape (1 + p,).
        weight: Of the group.
        probability: Fitted, shape (n,).
        height: Penalised log-likelihood, in nats.
        gram: Its Hessian in the coefficients, shape (1 + p, 1 + p).
    """

    coefficients: Floats
    weight: float
    probability: Floats
    height: float
    gram: Floats

    @property
    def variance(self) -> Floats:
        """Bernoulli variances p · (1 − p), shape (n,)."""
        return self.probability * (1.0 - self.probability)


@dataclass(frozen=True)
class Background:
    """What stays the same: controls with an intercept, outcomes, and who belongs to which account.

    Attributes:
        design: Intercept and standardised controls, shape (n, 1 + p).
        penalty: Of each coefficient squared, halved; none on the intercept, nor on the group.
        converted: 0 or 1, shape (n,).
        order: Rows by account.
        starts: Where each account begins in that order.
    """

    design: Floats
    penalty: Floats
    converted: Floats
    order: NDArray[np.int64]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, controls: Floats, converted: Floats, clusters: NDArray[np.int64]) -> "Background":
        """Standardise the controls, leaving out constant ones; `clusters` are account numbers."""
        order = np.argsort(clusters, kind="stable")
        by_account = clusters[order]
        starts = np.flatnonzero(np.concatenate([[True], by_account[1:] != by_account[:-1]]))
        spread = controls.std(axis=0)
        kept = spread > 1e-9
        scaled = (controls[:, kept] - controls[:, kept].mean(axis=0)) / spread[kept]
        design = np.column_stack([np.ones(len(converted)), scaled])
        penalty = np.full(design.shape[1], _RIDGE)
        penalty[0] = 0.0
        return cls(design, penalty, converted, order, starts)

    def null_fit(self) -> Fit:
        """Fit without the group."""
        share = self.converted.mean()
        start = np.zeros(len(self.penalty))
        start[0] = np.log(share / (1.0 - share))
        flat = np.full(len(self.converted), share)
        near = Fit(start, 0.0, flat, -np.inf, self._gram(flat))
        return self.fit_with(np.zeros(len(flat)), near=near)

    def fit_with(self, group: Floats, *, near: Fit) -> Fit:
        """Maximise the penalised likelihood by Newton steps, from a fit at another half-life.

        The Hessian of the neighbouring fit serves for some steps: gradients are cheap, it is not.
        """
        beta = np.append(near.coefficients, near.weight)
        penalty = np.append(self.penalty, 0.0)
        hessian = self._bordered(near, group)
        eta, height = self._height(beta, group, penalty)
        for done in range(1, _ROUNDS + 1):
            probability = sigmoid(eta)
            residual = self.converted - probability
            gradient = np.append(self.design.T @ residual, group @ residual) - penalty * beta
            step = np.linalg.solve(hessian, gradient)
            if gradient @ step < _CLOSE:
                break
            for _ in range(30):
                eta_next, height_next = self._height(beta + step, group, penalty)
                if height_next >= height:
                    break
                step = step / 2.0
            else:
                break
            beta, eta, height = beta + step, eta_next, height_next
            if done % _FRESH == 0:
                now = sigmoid(eta)
                fresh = Fit(beta[:-1], beta[-1], now, height, self._gram(now))
                hessian = self._bordered(fresh, group)
        probability = sigmoid(eta)
        gram = self._gram(probability)
        return Fit(beta[:-1], float(beta[-1]), probability, height, gram)

    def scores(self, fit: Fit, groups: Floats) -> Floats:
        """Return each account's score per half-life, controls taken out; (n_accounts, m)."""
        return self._by_account(self._cleaned(fit, groups), fit)

    def information(self, fit: Fit, groups: Floats) -> tuple[Floats, Floats]:
        """Return, controls taken out, the naive information and the clustered covariance, (m, m).

        The covariance has the factor G/(G − 1) for G accounts.
        """
        cleaned = self._cleaned(fit, groups)
        information = (cleaned * fit.variance[:, None]).T @ cleaned
        scores = self._by_account(cleaned, fit)
        n = len(scores)
        return information, scores.T @ scores * (n / max(n - 1, 1))

    def _by_account(self, cleaned: Floats, fit: Fit) -> Floats:
        residual = self.converted - fit.probability
        parts = (cleaned * residual[:, None])[self.order]
        return np.add.reduceat(parts, self.starts, axis=0)

    def _cleaned(self, fit: Fit, groups: Floats) -> Floats:
        """Return the groups less their weighted regression on the controls."""
        cross = self.design.T @ (groups * fit.variance[:, None])
        out: Floats = groups - self.design @ np.linalg.solve(fit.gram, cross)
        return out

    def _gram(self, probability: Floats) -> Floats:
        weighted = self.design * (probability * (1.0 - probability))[:, None]
        gram: Floats = weighted.T @ self.design
        gram[np.diag_indices_from(gram)] += self.penalty
        # Keeps it solvable where a control repeats another or conversion is all but certain.
        gram[np.diag_indices_from(gram)] += 1e-9 * max(float(gram[0, 0]), 1.0)
        return gram

    def _bordered(self, fit: Fit, group: Floats) -> Floats:
        weighted = group * fit.variance
        side = self.design.T @ weighted
        corner = max(float(group @ weighted), 1e-9)
        return np.block([[fit.gram, side[:, None]], [side[None, :], np.array([[corner]])]])

    def _height(self, beta: Floats, group: Floats, penalty: Floats) -> tuple[Floats, float]:
        eta = self.design @ beta[:-1] + group * beta[-1]
        likelihood = (self.converted * eta - np.logaddexp(0.0, eta)).sum()
        return eta, float(likelihood - 0.5 * (penalty * beta * beta).sum())
