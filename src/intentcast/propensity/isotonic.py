"""Centred isotonic regression on the log-odds scale, and how well its level is known."""

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats, logit

_N_RESAMPLES = 200
_N_GRID = 41


def centred_isotonic(
    margins: Floats, converted: Floats, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return knots of centred isotonic regression (Oron and Flournoy 2017), values as log-odds.

    Each level of isotonic regression becomes one knot at its mean margin, so that the map rises
    strictly between levels; a level's share is pulled towards one half by one observation, so that
    it is never 0 or 1.

    Args:
        margins: Shape (n,).
        converted: 0 or 1, shape (n,).
        weights: How often each row counts, above 0; once without them.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.lexsort((converted, margins))
    m, y = margins[order], converted[order]
    w = np.ones(len(m)) if weights is None else weights[order]
    fitted = IsotonicRegression().fit_transform(m, y, sample_weight=w)
    _, block = np.unique(np.asarray(fitted, dtype=np.float64), return_inverse=True)
    size = np.bincount(block, weights=w)
    knots = np.bincount(block, weights=w * m) / size
    share = (np.bincount(block, weights=w * y) + 0.5) / (size + 1.0)
    values = np.maximum.accumulate(logit(np.clip(share, 0.5 / (float(w.sum()) + 1.0), None)))
    return knots, values + 1e-9 * np.arange(len(values))


def between_knots(margins: Floats, knots: Floats, values: Floats, slope: float) -> Floats:
    """Return log-odds: linear between knots, going on with `slope` beyond them."""
    inside = np.interp(margins, knots, values)
    below = np.minimum(margins - knots[0], 0.0) * slope
    above = np.maximum(margins - knots[-1], 0.0) * slope
    out: Floats = inside + below + above
    return out


def isotonic_widths(
    margins: Floats, converted: Floats, clusters: NDArray[np.int64], *, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Return a grid of margins, and how far the map's 95 % interval reaches below and above there.

    Accounts are drawn with replacement, the map is fitted anew, and the 2.5 and 97.5 percentiles
    of its log-odds are taken against the map itself. Assumes independent accounts; where the true
    map has a jump, the percentiles are too narrow near it.

    Args:
        margins: Shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
        seed: Of the draws.
    """
    rng = np.random.default_rng(seed)
    grid = np.unique(np.quantile(margins, np.linspace(0.0, 1.0, _N_GRID)))
    centre = np.interp(grid, *centred_isotonic(margins, converted))
    _, group = np.unique(clusters, return_inverse=True)
    n_accounts = int(group.max()) + 1
    maps = np.empty((_N_RESAMPLES, len(grid)))
    for i in range(_N_RESAMPLES):
        drawn = np.bincount(rng.integers(0, n_accounts, n_accounts), minlength=n_accounts)
        w = drawn[group].astype(np.float64)
        here = w > 0
        maps[i] = np.interp(grid, *centred_isotonic(margins[here], converted[here], w[here]))
    low, high = np.percentile(maps, [2.5, 97.5], axis=0)
    return grid, np.maximum(centre - low, 0.0), np.maximum(high - centre, 0.0)
