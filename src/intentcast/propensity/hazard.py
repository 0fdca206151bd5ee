"""Discrete-time hazard: the chance of converting in an interval, given not before, by LightGBM.

P(convert within h) = 1 − Π_k (1 − hazard_k)^f_k, over the intervals k that begin before h; f_k is
the share of interval k that lies before h. So one model answers every horizon up to the longest,
never falling as the horizon grows, and a snapshot whose horizon is not over still teaches the
intervals that are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from intentcast.config import BoosterSettings, HazardSettings
from intentcast.errors import RefusedError
from intentcast.propensity.booster import BoosterModel, fit_booster
from intentcast.propensity.margins import (
    Floats,
    cumulative_hazard,
    log_odds_of_hazard,
    sigmoid,
)
from intentcast.propensity.periods import Followed, Integers, Periods, expand, sampled

INTERVAL = "hazard.interval.any.number"
# Rows of a matrix that is made for one call of LightGBM: bounds memory, changes no number.
_BLOCK = 8192
_LEAST, _MOST = 1e-9, 30.0
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(12)


@dataclass(frozen=True)
class HazardModel:
    """A fitted hazard model.

    Attributes:
        text: LightGBM's, over the features and, last, the number of the interval.
        edges_days: Of the intervals, from 0, shape (n_intervals + 1,).
        baseline: Log-odds per interval that the trees' are added to, shape (n_intervals,).
    """

    text: str
    edges_days: tuple[int, ...]
    baseline: Floats

    @cached_property
    def _booster(self) -> BoosterModel:
        return BoosterModel(self.text)

    def first(self, rounds: int) -> "HazardModel":
        """Return what it would be after fewer rounds."""
        return replace(self, text=self._booster.first(rounds).text)

    def log_odds(self, features: Floats) -> Floats:
        """Return the log-odds of each interval's hazard, shape (n, n_intervals)."""
        raw = self._booster.interval_margins(features, len(self.baseline))
        out: Floats = raw + self.baseline
        return out

    def cumulative(self, log_odds: Floats, days: float) -> Floats:
        """Return the cumulative hazard −log(1 − P) up to a horizon, shape (n,)."""
        out: Floats = cumulative_hazard(log_odds, self._fractions(days), _LEAST, _MOST)
        return out

    def margins_at(self, log_odds: Floats, days: float) -> Floats:
        """Return the log-odds of converting within a horizon, shape (n,)."""
        out: Floats = log_odds_of_hazard(self.cumulative(log_odds, days))
        return out

    def contributions_at(self, features: Floats, days: float) -> Floats:
        """Return each feature's part of the log-odds at a horizon, shape (n, n_features + 1).

        With m_k the log-odds of interval k and φ_kj feature j's TreeSHAP value in it, the log-odds
        at the horizon are a function g of the m_k. From the average lead's m⁰ to the lead's m they
        change by Σ_k (m_k − m⁰_k) · w_k, w_k = ∫₀¹ ∂g/∂m_k(m⁰ + t·(m − m⁰)) dt (integrated
        gradients; Sundararajan and others 2017), and m_k − m⁰_k = Σ_j φ_kj: so feature j's part is
        Σ_k w_k · φ_kj. The average lead's is last, with what the interval's own number does; rows
        add up to `margins_at`.
        """
        n, fractions = len(self.baseline), self._fractions(days)
        out = np.empty((len(features), features.shape[1] + 1))
        leads = self.log_odds(features)
        margins = self.margins_at(leads, days)
        nodes, weights = ((_NODES + 1.0) / 2.0)[:, None], (_WEIGHTS / 2.0)[:, None]
        for row, lead in enumerate(leads):
            of_features = self._booster.interval_contributions(features[row], n)[:, :-1]
            average = lead - of_features.sum(axis=1)
            slopes = _slopes(average + nodes * (lead - average), fractions)
            found = (weights * slopes).sum(axis=0) @ of_features
            out[row, :-1] = found
            out[row, -1] = margins[row] - found.sum()
        return out

    @cached_property
    def _known_fractions(self) -> dict[float, Floats]:
        return {}

    def _fractions(self, days: float) -> Floats:
        found = self._known_fractions.get(days)
        if found is not None:
            return found
        edges = np.array(self.edges_days, dtype=np.float64)
        if not 0 < days <= edges[-1]:
            raise RefusedError(
                f"a horizon of {days:g} days",
                expected=f"more than 0 and at most {edges[-1]:g}, the longest that was learnt",
                next_step="ask for a shorter one, or train with a longer conversion.horizons_days",
            )
        found = np.clip((days - edges[:-1]) / np.diff(edges), 0.0, 1.0)
        self._known_fractions[days] = found  # at most one for each day up to the longest
        return found

    def to_json(self) -> dict[str, Any]:
        """Return what is not in the text as JSON values."""
        return {"edges_days": list(self.edges_days), "baseline": self.baseline.tolist()}

    @classmethod
    def from_json(cls, raw: dict[str, Any], *, text: str) -> "HazardModel":
        """Read what `to_json` wrote.

        Raises:
            ValueError: If edges do not rise from 0, or are not one more than the baselines.
        """
        edges = tuple(int(edge) for edge in raw["edges_days"])
        baseline = np.array(raw["baseline"], dtype=np.float64)
        if edges[:1] != (0,) or list(edges) != sorted(set(edges)):
            raise ValueError("edges_days do not rise from 0")
        if baseline.shape != (len(edges) - 1,) or not np.isfinite(baseline).all():
            raise ValueError(f"{baseline.shape} baselines for {len(edges) - 1} intervals")
        return cls(text, edges, baseline)


def _with_interval(features: NDArray[Any], row: Integers, interval: Integers) -> NDArray[Any]:
    """Return some rows of the features, each with the number of an interval last.

    Filled in block by block: beside the matrix itself no copy of it is made.
    """
    out = np.empty((len(row), features.shape[1] + 1), dtype=features.dtype)
    for start in range(0, len(row), _BLOCK):
        here = slice(start, start + _BLOCK)
        out[here, :-1] = features[row[here]]
    out[:, -1] = interval
    return out


def _slopes(log_odds: Floats, fractions: Floats) -> Floats:
    """Return ∂ log-odds of P / ∂ log-odds of each hazard: f_k · hazard_k / P, shape kept."""
    cumulative = np.logaddexp(0.0, log_odds) @ fractions
    p = -np.expm1(-np.clip(cumulative, _LEAST, _MOST))
    out: Floats = fractions * sigmoid(log_odds) / p[:, None]
    return out


@dataclass(frozen=True)
class HazardAt:
    """A hazard model asked at one horizon: what a per-horizon learner can be asked."""

    hazard: HazardModel
    days: int

    def margins(self, features: Floats) -> Floats:
        """Return log-odds, shape (n,)."""
        return self.hazard.margins_at(self.hazard.log_odds(features), self.days)

    def contributions(self, features: Floats) -> Floats:
        """Return each feature's part of the log-odds, shape (n, n_features + 1)."""
        return self.hazard.contributions_at(features, self.days)


def fit_hazard(
    followed: Followed, *, booster: BoosterSettings, settings: HazardSettings, seed: int
) -> HazardModel:
    """Fit on the person-periods of the snapshots, in an order of their own.

    The matrix of person-periods is made once, in the features' own type: at most about
    `settings.max_rows` rows of it.

    Args:
        followed: With at least one interval that is over, and a conversion in it.
        booster: LightGBM's parameters but for the rounds.
        settings: Rounds, of which the most are fitted; row weights; the largest number of
            person-periods.
        seed: Of LightGBM and of the lot.
    """
    followed = followed.where(followed.n_over > 0)
    followed = followed.take(np.lexsort((followed.clusters, followed.leads, followed.times)))
    periods = expand(followed, lead_weight=settings.lead_weight)
    periods = sampled(periods, followed, max_rows=settings.max_rows, seed=seed)
    start = _baseline(periods, followed.edges_days)
    matrix = _with_interval(followed.features, periods.row, periods.interval)
    model = fit_booster(
        matrix,
        periods.converted,
        names=[*followed.names, INTERVAL],
        settings=booster.model_copy(update={"rounds": settings.rounds[-1]}),
        seed=seed,
        weight=periods.weight if settings.lead_weight else None,
        start=start[periods.interval],
    )
    return HazardModel(model.text, followed.edges_days, start + np.log(periods.kept))


def _baseline(periods: Periods, edges_days: Sequence[int]) -> Floats:
    """Return the log-odds of each interval's hazard among the rows, half a conversion added.

    An interval that nobody has reached yet goes on at the daily hazard of the one before.
    """
    n_intervals = len(edges_days) - 1
    total = np.bincount(periods.interval, weights=periods.weight, minlength=n_intervals)
    hits = np.bincount(
        periods.interval, weights=periods.weight * periods.converted, minlength=n_intervals
    )
    hazard = (hits + 0.5) / (total + 1.0)
    days = np.diff(np.array(edges_days, dtype=np.float64))
    for k in range(1, n_intervals):
        if total[k] == 0.0:
            daily = np.log1p(-hazard[k - 1]) / days[k - 1]
            hazard[k] = -np.expm1(daily * days[k])
    out: Floats = np.log(hazard / (1.0 - hazard))
    return out
