"""Points as whole thousandths, so that every sum is exact.

Files state points with up to three decimals. Inside the package all points are integers of one
thousandth; only the edge turns them into numbers again: a `Decimal` in a ledger (exact), a
`Float64` in a frame (the nearest double to that decimal).
"""

from decimal import Decimal

import polars as pl
from numba import njit

THOUSANDTHS = 1000


def to_thousandths(points: Decimal) -> int:
    """Return 7.5 points as 7500. `points` has at most three decimals."""
    return int(points * THOUSANDTHS)


def from_thousandths(thousandths: int) -> Decimal:
    """Return 7500 as 7.5: exactly, and without trailing zeros."""
    whole, rest = divmod(thousandths, THOUSANDTHS)
    return Decimal(whole) if rest == 0 else (Decimal(thousandths) / THOUSANDTHS).normalize()


def as_points(thousandths: pl.Series) -> pl.Series:
    """Turn whole thousandths into points, Float64: the double nearest to the exact decimal."""
    # NumPy divides; polars multiplies by 0.001, which is off by one in the last place for some.
    return pl.Series(thousandths.name, thousandths.to_numpy() / THOUSANDTHS, dtype=pl.Float64)


@njit(cache=True, nogil=True)
def scaled(thousandths: int, factor: int) -> int:
    """Multiply points by a factor in thousandths, rounded half up to a whole thousandth.

    `floor((points · factor + 500) / 1000)`: rises with both where points are not negative, so a
    factor that falls never raises them. Stays within 64 bits up to 9·10¹² points.
    """
    return (thousandths * factor + THOUSANDTHS // 2) // THOUSANDTHS
