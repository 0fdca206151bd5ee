"""Draws of how far a sum over accounts and as-of times moves by chance; `bands` has the formula."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from intentcast.propensity.margins import Floats
from intentcast.thresholds.evidence import Ints

_Z95 = 1.959963984540054


class Span(NamedTuple):
    """The past that was seen and the future that is asked about, in as-of times.

    Attributes:
        n_now: Seen.
        n_next: To come.
        ahead: From the middle of the first to the middle of the second.
        prior: Standard deviation of the relative change from one to the next.
        block: Drawn together.
    """

    n_now: int
    n_next: int
    ahead: float
    prior: float
    block: int


@dataclass(frozen=True)
class Draws:
    """Draws of one sum over as-of times.

    Attributes:
        total: The sum.
        slope: Σ (s − s̄) x_s / Σ (s − s̄)².
        past: Draws of how far the rate of the past differs from the truth.
        coming: Likewise of the quarter.
        slope_moves: Draws of how far the slope differs from the truth.
        noise: Standard normal draws.
    """

    total: float
    slope: float
    past: Floats
    coming: Floats
    slope_moves: Floats
    noise: Floats


class Resampling:
    """How far rates and slopes differ by chance.

    Args:
        account: Of each hand-off.
        step: Its as-of time.
        span: Of past and future.
    """

    def __init__(self, account: Ints, step: Ints, span: Span) -> None:
        n_now = span.n_now
        _, self._account = np.unique(account, return_inverse=True)
        self._step, self._span = step, span
        self._cell = self._account * n_now + step
        centred = np.arange(n_now) - (n_now - 1) / 2
        # The level's coefficients, and the slope's.
        self._weights = np.column_stack([np.ones(n_now), centred / (centred**2).sum()])

    def draw(self, x: Floats, n_resamples: int, rng: np.random.Generator) -> Draws:
        """Return the draws for what each hand-off adds."""
        n = self._span.n_now
        by_step = _sums(self._step, x, at_least=n)
        total, slope = (by_step @ self._weights).tolist()
        line = total / n + slope * (np.arange(n) - (n - 1) / 2)
        residual = by_step - line
        past, coming = (self._draws(x, residual, n_resamples, rng) for _ in range(2))
        ahead = coming[:, 0] / np.sqrt(n * self._span.n_next)
        noise = rng.standard_normal(n_resamples)
        return Draws(total, slope, past[:, 0] / n, ahead, past[:, 1], noise)

    def _draws(
        self, x: Floats, residual: Floats, n_resamples: int, rng: np.random.Generator
    ) -> Floats:
        """Return draws of δ of level and slope, shape (n_resamples, 2)."""
        by_account = np.column_stack(
            [_sums(self._account, x * self._weights[self._step, i]) for i in range(2)]
        )
        accounts = (rng.poisson(1.0, size=(n_resamples, len(by_account))) - 1.0) @ by_account
        wide = _widening(self._span.n_now / self._span.block)
        times = wide * (residual[self._blocks(n_resamples, rng)] @ self._weights)
        v_account, v_time = float((by_account[:, 0] ** 2).sum()), float(times[:, 0].var())
        both = max(v_account + v_time - float((_sums(self._cell, x) ** 2).sum()), v_account, v_time)
        scale = np.sqrt(both / (v_account + v_time)) if both > 0 else 0.0
        out: Floats = scale * (accounts + times)
        return out

    def _blocks(self, n_resamples: int, rng: np.random.Generator) -> Ints:
        """Return which as-of time's residual stands at each, shape (n_resamples, n_now)."""
        n, block = self._span.n_now, self._span.block
        starts = rng.integers(0, n, size=(n_resamples, -(-n // block)))
        drawn: Ints = (starts[:, :, None] + np.arange(block)).reshape(n_resamples, -1)[:, :n] % n
        return drawn


def _sums(group: Ints, x: Floats, at_least: int = 0) -> Floats:
    return np.asarray(np.bincount(group, weights=x, minlength=at_least), dtype=np.float64)


def _widening(n_blocks: float) -> float:
    from scipy.special import stdtrit

    free = max(n_blocks - 1.0, 1.0)
    return float(stdtrit(free, 0.975) / _Z95 * np.sqrt((free + 1.0) / free))
