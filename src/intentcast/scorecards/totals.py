"""From points of attributes and behaviours to score, class and grade."""

from decimal import Decimal
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from intentcast.scorecards.card import Scorecard, Tier
from intentcast.scorecards.fit import FitPoints
from intentcast.scorecards.kernel import NEVER, Flags, Ints, Walked
from intentcast.scorecards.points import scaled, to_thousandths

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


def total_up(card: Scorecard, fit: FitPoints, walked: Walked, now: Ints) -> Totals:
    """Return score and class of each snapshot; a class that sticks is not looked at.

    Args:
        card: Its caps, decay and classes.
        fit: Attribute points.
        walked: Behaviour points.
        now: Microseconds.
    """
    is_known = walked.last_activity != NEVER
    silence = np.where(is_known, now - walked.last_activity, 0)
    factor = card.decay.factor(silence)
    capped = up_to(card.behaviours_cap, walked.grouped)
    behaviours = scaled(capped, factor)
    total_raw = fit.capped + behaviours
    total = up_to(card.total_cap, total_raw)
    return Totals(
        behaviours_capped=capped,
        factor=factor,
        behaviours=behaviours,
        total_raw=total_raw,
        total=total,
        tier=_tiers(card, total, fit.capped, walked, is_awake=factor > 0),
    )


def up_to(cap: Decimal | None, points: Ints) -> Ints:
    """Return points, at most the cap."""
    return points if cap is None else np.minimum(points, to_thousandths(cap))


def _tiers(
    card: Scorecard, total: Ints, attributes: Ints, walked: Walked, *, is_awake: Flags
) -> NDArray[np.int8]:
    classes = card.classes
    tier = np.full(total.shape, COLD, dtype=np.int8)
    if classes.warm is not None:
        tier[total >= to_thousandths(classes.warm)] = WARM
    fits = attributes >= to_thousandths(classes.hot_needs_attributes)
    tier[(total >= to_thousandths(classes.hot)) & fits] = HOT
    tier[walked.is_immediate & is_awake] = HOT
    tier[walked.is_out] = OUT
    return tier


def grade_of(card: Scorecard, attributes: int) -> str | None:
    """Return the letter for attribute points in thousandths; None where none is reached."""
    for letter, needed in card.grades.items():
        if attributes >= to_thousandths(needed):
            return letter
    return None
