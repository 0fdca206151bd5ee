"""Centred isotonic regression on the log-odds scale."""

import numpy as np
from numba import njit

from intentcast.propensity.margins import Floats, logit


def centred_isotonic(margins: Floats, converted: Floats) -> tuple[Floats, Floats]:
    """Return knots of centred isotonic regression (Oron and Flournoy 2017), values as log-odds.

    Each level of isotonic regression becomes one knot at its mean margin, so that the map rises
    strictly between levels; a level's share is pulled towards one half by one observation, so that
    it is never 0 or 1.

    Args:
        margins: Shape (n,).
        converted: 0 or 1, shape (n,).
    """
    distinct, place, n = np.unique(margins, return_inverse=True, return_counts=True)
    n_won = np.bincount(place, weights=converted, minlength=len(distinct))
    knots, size, won = rising_blocks(distinct, n.astype(np.float64), n_won)
    share = np.clip((won + 0.5) / (size + 1.0), 0.5 / (len(margins) + 1.0), None)
    values = np.maximum.accumulate(logit(share))
    return knots, values + 1e-9 * np.arange(len(values))


@njit(cache=True)
def rising_blocks(margins: Floats, n: Floats, n_converted: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the blocks of isotonic regression: mean margin, size and conversions, shapes (k,).

    Pool adjacent violators (Ayer and others 1955): neighbours are merged until shares rise.

    Args:
        margins: Rising, shape (m,).
        n: How many rows are there, 0 allowed, shape (m,).
        n_converted: Of them, converted, shape (m,).
    """
    total, size, won = np.empty(len(n)), np.empty(len(n)), np.empty(len(n))
    last = -1
    for i in range(len(n)):
        if n[i] == 0.0:
            continue
        last += 1
        total[last], size[last], won[last] = n[i] * margins[i], n[i], n_converted[i]
        while last > 0 and won[last - 1] * size[last] >= won[last] * size[last - 1]:
            last -= 1
            total[last] += total[last + 1]
            size[last] += size[last + 1]
            won[last] += won[last + 1]
    kept = last + 1
    return total[:kept] / size[:kept], size[:kept], won[:kept]
