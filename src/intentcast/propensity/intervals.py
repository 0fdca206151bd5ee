"""How well a calibration map is known: a band for the share that converts at a margin.

**What it covers.** π(m): the mean true probability, within the horizon, of the leads that a learner
gives the margin m, at a scoring instant in the quarter after training. Not what one lead will do,
nor the truth of one lead: two leads of one margin differ in what no feature tells.

**How.** Two parts, added as variances on the log-odds scale, on each side of the map:

1. What the slice leaves open. Accounts are drawn with replacement, centred isotonic regression is
   fitted to each draw, and its 2.5 and 97.5 percentiles are taken, whichever map is kept: the form
   of a map (a line on the log-odds scale, or none) is an assumption that the band must not share.
   Where no account converted, percentiles of the shares themselves reach 0, and those of shares
   with half an observation added stay above it: the wider of the two is taken on each side.
2. What comes after the slice. The level moves, by a standard deviation that grows with the time
   from the middle of the slice to half a quarter after training (`level_drift`).

Chosen by coverage in simulated worlds, see `docs/probabilities.md`.
"""

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.isotonic import rising_blocks
from intentcast.propensity.margins import Floats, logit

_N_RESAMPLES = 200
_N_GRID = 41
_FEWEST_ACCOUNTS = 10
_HALF_QUARTER_DAYS = 45.0
_YEAR_DAYS = 365.25
_PERCENTILES = (2.5, 97.5)


def level_drift(per_year: float, *, days_since_slice: float) -> float:
    """Return the standard deviation of the level's move, in log-odds, until half a quarter on.

    The level goes on rising or falling, so it grows with time itself, not with its root.

    Args:
        per_year: Standard deviation after one year; log(2)/2 has a doubling or halving of the odds
            within a year as two standard deviations.
        days_since_slice: From the middle of the slice to the end of training.
    """
    return per_year * (days_since_slice + _HALF_QUARTER_DAYS) / _YEAR_DAYS


def isotonic_band(
    margins: Floats, converted: Floats, clusters: NDArray[np.int64], *, seed: int
) -> tuple[Floats, Floats, Floats] | None:
    """Return a grid of margins with the log-odds between which π lies there at 95 %.

    Accounts are taken as independent, the share that converts as rising with the margin. Where the
    true share has a jump, the percentiles are too narrow near it.

    Args:
        margins: Shape (n,).
        converted: 0 or 1, shape (n,).
        clusters: Account numbers, shape (n,).
        seed: Of the draws.

    Returns:
        Three arrays of up to 41 values; None with fewer than 10 accounts that converted, or as few
        others: a bootstrap of a handful says nothing.
    """
    distinct, place = np.unique(margins, return_inverse=True)
    accounts, group = np.unique(clusters, return_inverse=True)
    n_accounts = len(accounts)
    n_converted = len(np.unique(group[converted == 1.0]))
    if min(n_converted, len(np.unique(group[converted == 0.0]))) < _FEWEST_ACCOUNTS:
        return None
    grid = np.unique(np.quantile(margins, np.linspace(0.0, 1.0, _N_GRID)))
    plain, pulled = (np.empty((_N_RESAMPLES, len(grid))) for _ in range(2))
    rng = np.random.default_rng(seed)
    for i in range(_N_RESAMPLES):
        drawn = np.bincount(rng.integers(0, n_accounts, n_accounts), minlength=n_accounts)
        times = drawn[group].astype(np.float64)
        n = np.bincount(place, weights=times, minlength=len(distinct))
        n_won = np.bincount(place, weights=times * converted, minlength=len(distinct))
        knots, size, won = rising_blocks(distinct, n, n_won)
        plain[i] = np.interp(grid, knots, won / size)
        pulled[i] = np.interp(grid, knots, logit((won + 0.5) / (size + 1.0)))
    (low, high), (low_pulled, high_pulled) = (
        np.percentile(part, _PERCENTILES, axis=0) for part in (plain, pulled)
    )
    return grid, np.minimum(logit(low), low_pulled), np.maximum(logit(high), high_pulled)
