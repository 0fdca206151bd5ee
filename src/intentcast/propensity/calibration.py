"""From a margin to a probability that holds: fitted on a later slice, kept only if it helps."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.calibrated import BETA, KNOTS, LINE, Map, calibrated, mapped
from intentcast.propensity.choice import CLEARLY
from intentcast.propensity.intervals import isotonic_band
from intentcast.propensity.isotonic import centred_isotonic
from intentcast.propensity.logit_maps import (
    beta_design,
    drawn_to_one,
    fit_map,
    map_covariance,
    platt_design,
)
from intentcast.propensity.margins import SMALLEST, Floats, level_shift, losses, sigmoid

# The simplest first: a later one has to do clearly better.
Kind = Literal["none", "level", "platt", "beta", "isotonic"]
_Z95 = 1.959963984540054
# Converting accounts from which on a slope is fitted: below, errors clustered by account come out
# too small (`logit_maps.map_covariance`), and chance looks clear.
_FEWEST_ACCOUNTS = 30
# Kept off 0 and 1 by less than the probability itself, which the interval holds.
_LOWEST = 1e-7


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from margin to probability, with the uncertainty of its level.

    Attributes:
        kind: `none`: p = σ(m). `level`: p = σ(intercept + m). `platt`: p =
            σ(intercept + slope · m). `beta`: p = σ(intercept + slope · log q − upper · log(1 − q)),
            q = σ(m). `isotonic`: log-odds linear between stored knots, going on with Platt's slope
            beyond them, so that leads keep their order.
        slope: Of Platt's map, which `isotonic` has too, or of the beta map; 1 for the others.
        intercept: Likewise; 0 for `none`.
        knots: Isotonic margins, rising.
        values: Isotonic log-odds at the knots, rising.
        covariance: Of (intercept, slope) of Platt's map on the slice, robust to dependence inside
            accounts (sandwich), shape (2, 2); of (intercept, slope, upper) of the beta map, (3, 3).
        grid: Margins at which the band of `intervals.isotonic_band` is known; empty where the slice
            was too small for it, or in an earlier bundle: then the covariance serves.
        below: There, how far the band reaches below the map, in log-odds.
        above: Likewise above.
        n: Snapshots in the slice.
        n_converted: Of them, converted.
        shift: Added to every margin first; see `anchored`.
        upper: Of the beta map: how it rises where margins are large; 1 for the others.
        drift: Standard deviation of the level's move from the slice to scoring, in log-odds; see
            `intervals.level_drift`.
    """

    kind: Kind
    slope: float
    intercept: float
    knots: Floats
    values: Floats
    covariance: Floats
    grid: Floats
    below: Floats
    above: Floats
    n: int
    n_converted: int
    shift: float = 0.0
    upper: float = 1.0
    drift: float = 0.0

    @property
    def base_rate(self) -> float:
        """Share converted on the slice."""
        return self.n_converted / self.n if self.n else 0.5

    def probabilities(self, margins: Floats) -> Floats:
        """Return calibrated probabilities, strictly between 0 and 1, shape (n,)."""
        out: Floats = self._calibrated(margins, 1)[0]
        return out

    def interval(self, margins: Floats) -> tuple[Floats, Floats]:
        """Return a 95 % interval for the mean true probability of the leads with this margin.

        At a scoring instant within the quarter after training; see `intervals` for what exactly it
        covers and how. On the log-odds scale the ends are logit(p) − √(below² + d²) and
        logit(p) + √(above² + d²), with d = 1.96 · drift. Where the slice was too small for a
        bootstrap, below = above = 1.96 · √(x C xᵀ), x = (1, m): the delta method for Platt's map,
        which assumes that the map is of that form; likewise for the beta map.

        Returns:
            Low and high, strictly inside (0, 1), with low ≤ p ≤ high; each of shape (n,).
        """
        _, low, high = self.band(margins)
        return low, high

    def band(self, margins: Floats) -> tuple[Floats, Floats, Floats]:
        """Return probabilities and the ends of their intervals, each of shape (n,)."""
        p, low, high = self._calibrated(margins, 3)
        return p, low, high

    @cached_property
    def _map(self) -> Map:
        return Map(
            way={"beta": BETA, "isotonic": KNOTS}.get(self.kind, LINE),
            shift=float(self.shift),
            intercept=float(self.intercept),
            slope=float(self.slope),
            upper=float(self.upper),
            knots=self.knots,
            values=self.values,
            covariance=self.covariance,
            grid=self.grid,
            below=self.below,
            above=self.above,
            after=_Z95 * self.drift,
            smallest=SMALLEST,
            lowest=_LOWEST,
            z=_Z95,
        )

    def _log_odds(self, margins: Floats) -> Floats:
        """Return the map's log-odds of margins that are shifted already, shape (n,)."""
        out = np.empty(len(margins))
        mapped(self._map, np.ascontiguousarray(margins, dtype=np.float64), out)
        return out

    def _calibrated(self, margins: Floats, n_columns: int) -> Floats:
        out = np.empty((n_columns, len(margins)))
        calibrated(self._map, np.ascontiguousarray(margins, dtype=np.float64), out)
        return out

    def anchored(self, margins: Floats, converted: Floats) -> "Calibrator":
        """Return the same map for a learner that was refitted with the slice among its rows.

        The map was fitted on margins of a learner that had not seen the slice. If the base rate
        moved in between, the refitted learner has moved its level already, and the map would move
        it once more. So margins are shifted by the δ for which Σ p(m + δ) = Σ converted over the
        slice, with the refitted learner's m: the map's shape stays, the level counts once.

        Args:
            margins: Of the refitted learner on the slice, shape (n,).
            converted: 0 or 1, both present, shape (n,).
        """
        if self.kind == "none":
            return self
        low, high = -20.0, 20.0
        for _ in range(80):
            middle = (low + high) / 2.0
            moved = replace(self, shift=middle).probabilities(margins).sum()
            low, high = (middle, high) if moved < converted.sum() else (low, middle)
        return replace(self, shift=(low + high) / 2.0)

    def to_json(self) -> dict[str, Any]:
        """Return the calibrator as JSON values."""
        return {
            "kind": self.kind,
            "slope": self.slope,
            "intercept": self.intercept,
            "knots": self.knots.tolist(),
            "values": self.values.tolist(),
            "covariance": self.covariance.tolist(),
            "grid": self.grid.tolist(),
            "below": self.below.tolist(),
            "above": self.above.tolist(),
            "n": self.n,
            "n_converted": self.n_converted,
            "shift": self.shift,
            "upper": self.upper,
            "drift": self.drift,
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "Calibrator":
        """Read what `to_json` wrote."""
        arrays: dict[str, Any] = {
            key: np.array(raw[key], dtype=np.float64)
            for key in ("knots", "values", "covariance", "grid", "below", "above")
        }
        plain: dict[str, Any] = {key: value for key, value in raw.items() if key not in arrays}
        return cls(**plain, **arrays)


def fit_platt(margins: Floats, converted: Floats) -> tuple[float, float]:
    """Return (intercept, slope) of Platt's map; see `logit_maps.fit_map`."""
    a, b = fit_map(platt_design(margins), converted)
    return float(a), float(b)


def platt_covariance(
    margins: Floats, converted: Floats, clusters: NDArray[np.int64], *, a: float, b: float
) -> Floats:
    """Return the covariance of (intercept, slope); see `logit_maps.map_covariance`."""
    return map_covariance(platt_design(margins), converted, clusters, np.array([a, b]))


def fit_calibrator(
    margins: Floats,
    converted: Floats,
    clusters: NDArray[np.int64],
    times: NDArray[np.int64],
    *,
    isotonic_from: int,
    min_converted: int,
    drift: float = 0.0,
    seed: int = 7,
) -> Calibrator:
    """Fit on a later slice; keep the map only if it clearly helps on the slice's later half.

    Candidates, the simplest first: no map, another level for all, from thirty converting accounts
    on Platt's and the beta map, and centred isotonic regression from `isotonic_from` of them on.
    Each is fitted on the slice's earlier as-of times and judged by log loss on its later ones (on
    half of the accounts and judged on the others where there is one as-of time only). The simplest
    whose loss there is within two standard errors of the least, clustered by account, is refitted
    on the whole slice, and slopes of a smooth map are drawn towards 1 (`logit_maps.drawn_to_one`).

    Args:
        margins: Out-of-sample log-odds, shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
        times: As-of times, shape (n,).
        isotonic_from: Converting accounts from which isotonic regression is used.
        min_converted: Fewer conversions, or as few others: no map.
        drift: Of the interval; see `intervals.level_drift`.
        seed: Of the interval's bootstrap.
    """
    n_converted = int(converted.sum())
    n_accounts = len(np.unique(clusters[converted == 1.0]))
    candidates: list[Kind] = ["none", "level"]
    if n_accounts >= _FEWEST_ACCOUNTS:
        candidates += ["platt", "beta"]
    if n_accounts >= isotonic_from:
        candidates.append("isotonic")
    enough = min(n_converted, len(converted) - n_converted) >= min_converted
    # A falling map would turn the learner's order round: no calibration mends that.
    rises = len(margins) > 0 and fit_platt(margins, converted)[1] > 0.0
    kind: Kind = "none"
    if enough and rises:
        kind = _clearly_best(candidates, margins, converted, clusters, times)
    fitted = replace(_drawn(_fitted(kind, margins, converted, clusters), margins), drift=drift)
    return with_band(fitted, margins, converted, clusters, seed=seed)


def _drawn(fitted: Calibrator, margins: Floats) -> Calibrator:
    """Return a smooth map with its slopes drawn towards 1, at the same level on the slice."""
    if fitted.kind not in ("platt", "beta"):
        return fitted
    slopes = [fitted.slope, fitted.upper] if fitted.kind == "beta" else [fitted.slope]
    slopes = drawn_to_one(np.array([fitted.intercept, *slopes]), fitted.covariance).tolist()
    upper = slopes[-1] if fitted.kind == "beta" else 1.0
    moved = replace(fitted, slope=slopes[0], upper=upper, intercept=0.0)
    level = level_shift(moved._log_odds(margins), float(fitted.n_converted))
    return replace(moved, intercept=level)


def with_band(
    calibrator: Calibrator,
    margins: Floats,
    converted: Floats,
    clusters: NDArray[np.int64],
    *,
    seed: int,
) -> Calibrator:
    """Return the map with the band of its slice, where that is large enough for a bootstrap."""
    band = isotonic_band(margins, converted, clusters, seed=seed)
    if band is None:
        return calibrator
    grid, low, high = band
    p = np.clip(sigmoid(calibrator._log_odds(grid)), SMALLEST, 1.0 - SMALLEST)
    centre = np.log(p / (1.0 - p))
    return replace(
        calibrator,
        grid=grid,
        below=np.maximum(centre - low, 0.0),
        above=np.maximum(high - centre, 0.0),
    )


def fit_rising_platt(margins: Floats, converted: Floats, clusters: NDArray[np.int64]) -> Calibrator:
    """Return Platt's map of all rows, flat where the data would have it fall."""
    fitted = _fitted("platt", margins, converted, clusters)
    if fitted.slope > 0.0:
        return fitted
    share = (float(converted.sum()) + 0.5) / (len(converted) + 1.0)
    return replace(fitted, slope=0.0, intercept=float(np.log(share / (1.0 - share))))


def _fitted(
    kind: Kind, margins: Floats, converted: Floats, clusters: NDArray[np.int64]
) -> Calibrator:
    a, b = fit_platt(margins, converted) if len(margins) else (0.0, 1.0)
    none = np.empty(0)
    knots, values = centred_isotonic(margins, converted) if kind == "isotonic" else (none, none)
    fitted = Calibrator(
        kind=kind,
        slope=1.0 if kind in ("none", "level") else b,
        intercept={"none": 0.0, "level": level_shift(margins, float(converted.sum()))}.get(kind, a),
        knots=knots,
        values=values,
        covariance=platt_covariance(margins, converted, clusters, a=a, b=b),
        grid=none,
        below=none,
        above=none,
        n=len(margins),
        n_converted=int(converted.sum()),
    )
    if kind != "beta":
        return fitted
    design = beta_design(margins)
    coefficients = fit_map(design, converted)
    if coefficients[1:].min() < 0.0:
        # It would fall somewhere; Platt's line is the beta map with one slope for both ends.
        return replace(fitted, kind="platt")
    return replace(
        fitted,
        intercept=float(coefficients[0]),
        slope=float(coefficients[1]),
        upper=float(coefficients[2]),
        covariance=map_covariance(design, converted, clusters, coefficients),
    )


def _clearly_best(
    candidates: list[Kind],
    margins: Floats,
    converted: Floats,
    clusters: NDArray[np.int64],
    times: NDArray[np.int64],
) -> Kind:
    """Return the simplest map within two standard errors of the best on the later half."""
    distinct = np.unique(times)
    has_times = len(distinct) > 1
    earlier = times < distinct[len(distinct) // 2] if has_times else clusters % 2 == 0
    if not all(0 < converted[half].sum() < half.sum() for half in (earlier, ~earlier)):
        return "none"
    loss = {}
    for kind in candidates:
        fitted = _fitted(kind, margins[earlier], converted[earlier], clusters[earlier])
        p = fitted.probabilities(margins[~earlier])
        loss[kind] = losses(p, converted[~earlier], smallest=SMALLEST)
    best = min(candidates, key=lambda kind: float(loss[kind].sum()))
    _, group = np.unique(clusters[~earlier], return_inverse=True)
    for kind in candidates:
        gains = np.bincount(group, weights=loss[kind] - loss[best])
        if float(gains.sum()) <= CLEARLY * float(np.sqrt((gains * gains).sum())):
            return kind
    return best
