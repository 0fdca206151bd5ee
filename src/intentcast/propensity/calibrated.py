"""A calibrator's arithmetic, row by row: the same bits for a row in any batch, quick for one."""

import math
from typing import NamedTuple

from numba import njit

from intentcast.propensity.margins import Floats

LINE, BETA, KNOTS = range(3)


class Map(NamedTuple):
    """A calibrator as numbers; see `calibration.Calibrator`.

    Attributes:
        way: `LINE`: intercept + slope · m, `BETA` or `KNOTS`.
        after: Half-width of the interval that the level's drift adds, in log-odds.
        smallest: Probabilities are kept so far from 0 and 1.
        lowest: Ends of intervals are.
        z: Of the interval where it comes from a covariance.
    """

    way: int
    shift: float
    intercept: float
    slope: float
    upper: float
    knots: Floats
    values: Floats
    covariance: Floats
    grid: Floats
    below: Floats
    above: Floats
    after: float
    smallest: float
    lowest: float
    z: float


@njit(cache=True, inline="always")
def _sigmoid(m: float) -> float:
    return 1.0 / (1.0 + math.exp(-min(max(m, -700.0), 700.0)))


@njit(cache=True, inline="always")
def _softplus(m: float) -> float:
    return max(m, 0.0) + math.log1p(math.exp(-abs(m)))


@njit(cache=True)
def _between(x: float, at: Floats, values: Floats) -> float:
    """Return the value at x: linear between places that rise, the end's beyond them."""
    last = len(at) - 1
    if x >= at[last]:
        return float(values[last])
    if x <= at[0]:
        return float(values[0])
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        if at[middle] <= x:
            low = middle
        else:
            high = middle
    slope = (values[high] - values[low]) / (at[high] - at[low])
    return float(slope * (x - at[low]) + values[low])


@njit(cache=True)
def _log_odds(way: Map, m: float) -> float:
    if way.way == BETA:
        return float(way.intercept + way.slope * -_softplus(-m) + way.upper * _softplus(m))
    if way.way == KNOTS:
        inside = _between(m, way.knots, way.values)
        last = len(way.knots) - 1
        beyond = min(m - way.knots[0], 0.0) + max(m - way.knots[last], 0.0)
        return float(inside + beyond * way.slope)
    return float(way.intercept + way.slope * m)


@njit(cache=True)
def mapped(way: Map, margins: Floats, out: Floats) -> None:
    """Write the map's log-odds of margins that are shifted already, shape (n,)."""
    for row in range(len(margins)):
        out[row] = _log_odds(way, margins[row])


@njit(cache=True)
def calibrated(way: Map, margins: Floats, out: Floats) -> None:
    """Write each margin's probability and, where there is room, its interval's ends.

    Args:
        way: The map.
        margins: Log-odds, shape (n,).
        out: Shape (1, n): probabilities; or (3, n): low and high too.
    """
    for row in range(len(margins)):
        m = margins[row] + way.shift
        p = _sigmoid(_log_odds(way, m))
        p = min(max(p, way.smallest), 1.0 - way.smallest)
        out[0, row] = p
        if len(out) == 1:
            continue
        if len(way.grid):
            below, above = _between(m, way.grid, way.below), _between(m, way.grid, way.above)
        else:
            second, third = m, 0.0
            if way.way == BETA:
                second, third = -_softplus(-m), _softplus(m)
            variance = 0.0
            for i in range(len(way.covariance)):
                for j in range(len(way.covariance)):
                    left = 1.0 if i == 0 else second if i == 1 else third
                    right = 1.0 if j == 0 else second if j == 1 else third
                    variance += way.covariance[i, j] * left * right
            below = above = way.z * math.sqrt(max(variance, 0.0))
        centre = math.log(p / (1.0 - p))
        low = _sigmoid(centre - math.sqrt(below * below + way.after * way.after))
        high = _sigmoid(centre + math.sqrt(above * above + way.after * way.after))
        out[1, row] = min(max(low, way.lowest), p)
        out[2, row] = max(min(high, 1.0 - way.lowest), p)
