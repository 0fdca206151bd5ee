"""From a margin to a probability that holds: fitted on a later slice, kept only if it helps."""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.isotonic import between_knots, centred_isotonic, isotonic_widths
from intentcast.propensity.margins import Floats, sigmoid

Kind = Literal["none", "platt", "isotonic"]
_Z95 = 1.959963984540054


@dataclass(frozen=True)
class Calibrator:
    """A monotone map from margin to probability, with the uncertainty of its level.

    Attributes:
        kind: `none`: p = σ(m). `platt`: p = σ(intercept + slope · m). `isotonic`: log-odds linear
            between stored knots, going on with Platt's slope beyond them, so that leads keep
            their order.
        slope: Of Platt's map, which `isotonic` has too; 1 for `none`.
        intercept: Likewise; 0 for `none`.
        knots: Isotonic margins, rising.
        values: Isotonic log-odds at the knots, rising.
        covariance: Of (intercept, slope) of Platt's map on the slice, robust to dependence inside
            accounts (sandwich); shape (2, 2).
        grid: Margins at which the isotonic map's uncertainty is known; empty for the other kinds.
        below: There, how far the interval reaches below the map, in log-odds.
        above: Likewise above.
        n: Snapshots in the slice.
        n_converted: Of them, converted.
        shift: Added to every margin first; see `anchored`.
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

    @property
    def base_rate(self) -> float:
        """Share converted on the slice."""
        return self.n_converted / self.n if self.n else 0.5

    def probabilities(self, margins: Floats) -> Floats:
        """Return calibrated probabilities, strictly between 0 and 1, shape (n,)."""
        margins = margins + self.shift
        if self.kind == "isotonic":
            log_odds = between_knots(margins, self.knots, self.values, self.slope)
        else:
            log_odds = self.intercept + self.slope * margins
        return np.clip(sigmoid(log_odds), 1e-6, 1.0 - 1e-6)

    def interval(self, margins: Floats) -> tuple[Floats, Floats]:
        """Return a 95 % interval for the share that converts among leads with this margin.

        On the log-odds scale: logit(p) ± 1.96 · sqrt(v), v = (1, m) C (1, m)ᵀ, the delta method for
        Platt's map, which assumes that the map is of that form; for an isotonic map the
        percentiles of its bootstrap over accounts. It says how well the level is known, not how
        one lead will act.
        """
        p = self.probabilities(margins)
        margins = margins + self.shift
        centre = np.log(p / (1.0 - p))
        if self.kind == "isotonic":
            below = np.interp(margins, self.grid, self.below)
            above = np.interp(margins, self.grid, self.above)
        else:
            c = self.covariance
            variance = c[0, 0] + 2.0 * margins * c[0, 1] + margins * margins * c[1, 1]
            below = above = _Z95 * np.sqrt(np.maximum(variance, 0.0))
        return np.minimum(sigmoid(centre - below), p), np.maximum(sigmoid(centre + above), p)

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
    """Return (intercept, slope) of Platt's map by Newton's method, with a weak prior.

    Maximises the log-likelihood of σ(a + b·m) − (b − 1)² / 2 · 0.1 − a² / 2 · 0.01, so that an
    empty or separable slice gives a finite map near the identity.
    """
    a, b = 0.0, 1.0
    for _ in range(50):
        p = sigmoid(a + b * margins)
        w = np.maximum(p * (1.0 - p), 1e-12)
        gradient = np.array(
            [
                np.sum(converted - p) - 0.01 * a,
                np.sum((converted - p) * margins) - 0.1 * (b - 1.0),
            ]
        )
        hessian = np.array(
            [
                [np.sum(w) + 0.01, np.sum(w * margins)],
                [np.sum(w * margins), np.sum(w * margins * margins) + 0.1],
            ]
        )
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        a, b = a + float(step[0]), b + float(step[1])
        if float(np.abs(step).max()) < 1e-10:
            break
    return a, b


def platt_covariance(
    margins: Floats, converted: Floats, clusters: NDArray[np.int64], *, a: float, b: float
) -> Floats:
    """Return the sandwich covariance of (intercept, slope), clustered by account.

    C = H⁻¹ (Σ_g s_g s_gᵀ) H⁻¹ · G/(G−1), with s_g the summed scores of account g (Liang and Zeger
    1986). Assumes that accounts are independent; few accounts (under about 30) make it too small.
    """
    p = sigmoid(a + b * margins)
    w = p * (1.0 - p)
    design = np.column_stack([np.ones_like(margins), margins])
    hessian = design.T @ (design * w[:, None]) + np.diag([0.01, 0.1])
    scores = design * (converted - p)[:, None]
    _, group = np.unique(clusters, return_inverse=True)
    n_groups = int(group.max()) + 1 if len(group) else 0
    summed = np.column_stack(
        [np.bincount(group, weights=scores[:, j], minlength=n_groups) for j in range(2)]
    )
    inverse = np.linalg.inv(hessian)
    correction = n_groups / max(n_groups - 1, 1)
    out: Floats = inverse @ (summed.T @ summed) @ inverse * correction
    return out


def fit_calibrator(
    margins: Floats,
    converted: Floats,
    clusters: NDArray[np.int64],
    times: NDArray[np.int64],
    *,
    isotonic_from: int,
    min_converted: int,
    seed: int = 7,
) -> Calibrator:
    """Fit on a later slice; keep the map only if it clearly helps on the slice's later half.

    Platt's map below `isotonic_from` converting accounts, centred isotonic regression from there
    on. The map is fitted on the slice's earlier as-of times and judged on its later ones (on half
    of the accounts and judged on the others where there is one as-of time only): it is kept if it
    lowers log loss there by more than one standard error, clustered by account. What is kept is
    refitted on the whole slice.

    Args:
        margins: Out-of-sample log-odds, shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
        times: As-of times, shape (n,).
        isotonic_from: Converting accounts from which isotonic regression is used.
        min_converted: Fewer conversions, or as few others: no map.
        seed: Of the isotonic map's bootstrap.
    """
    n_converted = int(converted.sum())
    n_accounts = len(np.unique(clusters[converted == 1.0]))
    kind: Kind = "isotonic" if n_accounts >= isotonic_from else "platt"
    enough = min(n_converted, len(converted) - n_converted) >= min_converted
    # A falling map would turn the learner's order round: no calibration mends that.
    rises = len(margins) > 0 and fit_platt(margins, converted)[1] > 0.0
    if not (enough and rises and _helps(kind, margins, converted, clusters, times)):
        kind = "none"
    fitted = _fitted(kind, margins, converted, clusters)
    if kind != "isotonic":
        return fitted
    grid, below, above = isotonic_widths(margins, converted, clusters, seed=seed)
    return replace(fitted, grid=grid, below=below, above=above)


def _fitted(
    kind: Kind, margins: Floats, converted: Floats, clusters: NDArray[np.int64]
) -> Calibrator:
    a, b = fit_platt(margins, converted) if len(margins) else (0.0, 1.0)
    none = np.empty(0)
    knots, values = centred_isotonic(margins, converted) if kind == "isotonic" else (none, none)
    return Calibrator(
        kind=kind,
        slope=1.0 if kind == "none" else b,
        intercept=0.0 if kind == "none" else a,
        knots=knots,
        values=values,
        covariance=platt_covariance(margins, converted, clusters, a=a, b=b),
        grid=none,
        below=none,
        above=none,
        n=len(margins),
        n_converted=int(converted.sum()),
    )


def _helps(
    kind: Kind,
    margins: Floats,
    converted: Floats,
    clusters: NDArray[np.int64],
    times: NDArray[np.int64],
) -> bool:
    distinct = np.unique(times)
    has_times = len(distinct) > 1
    earlier = times < distinct[len(distinct) // 2] if has_times else clusters % 2 == 0
    if not all(0 < converted[half].sum() < half.sum() for half in (earlier, ~earlier)):
        return False
    fitted = _fitted(kind, margins[earlier], converted[earlier], clusters[earlier])
    before = _losses(sigmoid(margins[~earlier]), converted[~earlier])
    after = _losses(fitted.probabilities(margins[~earlier]), converted[~earlier])
    _, group = np.unique(clusters[~earlier], return_inverse=True)
    gains = np.bincount(group, weights=before - after)
    return float(gains.sum()) > float(np.sqrt((gains * gains).sum()))


def _losses(p: Floats, converted: Floats) -> Floats:
    q = np.clip(p, 1e-6, 1.0 - 1e-6)
    out: Floats = -(converted * np.log(q) + (1.0 - converted) * np.log(1.0 - q))
    return out
