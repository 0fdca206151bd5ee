"""From points of attributes and behaviours to score, class and grade."""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from intentcast.scorecards.card import Scorecard, Tier
from intentcast.scorecards.decay import factor_after
from intentcast.scorecards.fit import FitPoints
from intentcast.scorecards.kernel import NEVER, Flags, Ints, Walked
from intentcast.scorecards.points import scaled, to_thousandths
from intentcast.scorecards.rulebook import Limits, Rulebook

TIERS: tuple[Tier, ...] = ("cold", "warm", "hot", "out")
COLD, WARM, HOT, OUT = range(4)


class Totals(NamedTuple):
    """Points in thousandths on their way to the score; arrays of shape (n,).

    Attributes:
        behaviours_capped: Behaviour points after the caps of groups and of all.
        factor: Of the decay by silence, in thousandths.
        behaviours: After that factor.
        total_raw: Attributes and behaviours.
        total: The score.
        tier: Place in `TIERS`.
    """

    behaviours_capped: Ints
    factor: Ints
    behaviours: Ints
    total_raw: Ints
    total: Ints
    tier: NDArray[np.int8]


def total_up(book: Rulebook, fit: FitPoints, walked: Walked, now: Ints) -> Totals:
    """Return score and class of each snapshot; a class that sticks is not looked at.

    Args:
        book: Of the card: its caps, decay and classes.
        fit: Attribute points.
        walked: Behaviour points.
        now: Microseconds.
    """
    points, tier = np.empty((5, len(now)), dtype=np.int64), np.empty(len(now), dtype=np.int8)
    _total(
        book.limits,
        fit.capped,
        walked.grouped,
        walked.last_activity,
        walked.is_immediate,
        walked.is_out,
        now,
        points,
        tier,
    )
    capped, factor, behaviours, raw, total = points
    return Totals(capped, factor, behaviours, raw, total, tier)


@njit(cache=True, nogil=True)
def _total(
    limits: Limits,
    attributes: Ints,
    grouped: Ints,
    last_activity: Ints,
    is_immediate: Flags,
    is_out: Flags,
    now: Ints,
    points: Ints,
    tier: NDArray[np.int8],
) -> None:
    """Write the columns of `Totals`, one row of `points` each."""
    for i in range(len(now)):
        is_known = last_activity[i] != NEVER
        factor = factor_after(limits.falls, now[i] - last_activity[i] if is_known else 0)
        capped = min(limits.behaviours, grouped[i])
        behaviours = scaled(capped, factor)
        raw = attributes[i] + behaviours
        total = min(limits.total, raw)
        points[0, i], points[1, i], points[2, i] = capped, factor, behaviours
        points[3, i], points[4, i] = raw, total
        tier[i] = WARM if total >= limits.warm else COLD
        is_hot = total >= limits.hot and attributes[i] >= limits.hot_needs_attributes
        if is_hot or (is_immediate[i] and factor > 0):
            tier[i] = HOT
        if is_out[i]:
            tier[i] = OUT


def grade_of(card: Scorecard, attributes: int) -> str | None:
    """Return the letter for attribute points in thousandths; None where none is reached."""
    for letter, needed in card.grades.items():
        if attributes >= to_thousandths(needed):
            return letter
    return None
