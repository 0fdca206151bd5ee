"""Hot, warm and cold from a calibrated probability, by what sales can take on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats

Tier = Literal["cold", "warm", "hot"]
WARM_MULTIPLE = 4
_DAYS_PER_WEEK = 7


@dataclass(frozen=True)
class TierPolicy:
    """Where the tiers begin, on the calibrated probability of the primary horizon.

    Attributes:
        horizon_days: Of the probability.
        hot: `p >= hot` is hot.
        warm: `warm <= p < hot` is warm.
        handoffs_per_week: The capacity that `hot` was set for.
        n_leads: Leads that the thresholds were set on.
        n_weeks: Weeks that they were observed for.
    """

    horizon_days: int
    hot: float
    warm: float
    handoffs_per_week: int
    n_leads: int
    n_weeks: float

    def tiers(self, probabilities: Floats) -> list[Tier]:
        """Return each probability's tier."""
        return [
            "hot" if p >= self.hot else "warm" if p >= self.warm else "cold" for p in probabilities
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON values."""
        return {"policy": "capacity", **asdict(self)}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "TierPolicy":
        """Read what `to_json` wrote."""
        return cls(**{key: value for key, value in raw.items() if key != "policy"})


def policy_from_capacity(
    probabilities: Floats,
    leads: Sequence[Any] | NDArray[np.generic],
    times: NDArray[np.int64],
    *,
    handoffs_per_week: int,
    every_days: int,
    horizon_days: int,
) -> TierPolicy:
    """Set `hot` so that capacity's worth of leads newly reach it, and `warm` for four times more.

    A lead is handed over once, when it first reaches the threshold. The first half of the slice's
    as-of times shows who had reached it before; over the w weeks of the second half, the threshold
    is the highest that capacity · w leads reach for the first time. Where fewer would reach any,
    the one that most do. A slice of one as-of time has no before: its best leads fill the week.

    Args:
        probabilities: Out of sample, of past as-of times, shape (n,).
        leads: The lead of each, shape (n,).
        times: Its as-of time, shape (n,).
        handoffs_per_week: Leads that sales can take on in a week.
        every_days: Days between as-of times.
        horizon_days: Of the probabilities.
    """
    _, number = np.unique(np.asarray(leads), return_inverse=True)
    n_leads = int(number.max()) + 1 if len(number) else 0
    distinct = np.unique(times)
    is_before = times < distinct[len(distinct) // 2] if len(distinct) else np.empty(0, dtype=bool)
    greatest_before = _greatest(probabilities, number, n_leads, is_before)
    greatest_after = _greatest(probabilities, number, n_leads, ~is_before)
    n_weeks = (len(distinct) - len(distinct) // 2) * every_days / _DAYS_PER_WEEK
    # At threshold t a lead is new if its greatest before is below t and its greatest after is not.
    falling = np.unique(greatest_after[np.isfinite(greatest_after)])[::-1]
    reached = _at_least(greatest_after, falling)
    n_new = reached - _at_least(np.minimum(greatest_before, greatest_after), falling)

    def threshold(per_week: float) -> float:
        if len(falling) == 0:
            return 1.0
        enough = np.flatnonzero(n_new >= max(1, round(per_week * n_weeks)))
        return float(falling[enough[0] if len(enough) else int(np.argmax(n_new))])

    hot = threshold(handoffs_per_week)
    return TierPolicy(
        horizon_days=horizon_days,
        hot=hot,
        warm=min(hot, threshold(handoffs_per_week * WARM_MULTIPLE)),
        handoffs_per_week=handoffs_per_week,
        n_leads=n_leads,
        n_weeks=n_weeks,
    )


def _greatest(
    probabilities: Floats, number: NDArray[np.int64], n_leads: int, mask: NDArray[np.bool_]
) -> Floats:
    """Return each lead's greatest probability among the masked rows; −inf where it has none."""
    greatest = np.full(n_leads, -np.inf)
    np.maximum.at(greatest, number[mask], probabilities[mask])
    return greatest


def _at_least(values: Floats, thresholds: Floats) -> NDArray[np.int64]:
    """Return how many values reach each threshold."""
    rising = np.sort(values)
    out: NDArray[np.int64] = len(rising) - np.searchsorted(rising, thresholds, side="left")
    return out
