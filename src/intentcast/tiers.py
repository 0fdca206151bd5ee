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
    """Set `hot` so that capacity's worth of leads reach it, and `warm` for four times as many.

    A lead is handed over once, when it first reaches the threshold; so over a slice of w weeks the
    threshold is the (capacity · w)-th largest of the leads' greatest probabilities. Where there
    are fewer leads than that, every one is hot.

    Args:
        probabilities: Out of sample, of past as-of times, shape (n,).
        leads: The lead of each, shape (n,).
        times: Its as-of time, shape (n,).
        handoffs_per_week: Leads that sales can take on in a week.
        every_days: Days between as-of times.
        horizon_days: Of the probabilities.
    """
    _, number = np.unique(np.asarray(leads), return_inverse=True)
    greatest = np.full(int(number.max()) + 1 if len(number) else 0, -np.inf)
    np.maximum.at(greatest, number, probabilities)
    falling = np.sort(greatest)[::-1]
    n_weeks = len(np.unique(times)) * every_days / _DAYS_PER_WEEK

    def threshold(per_week: float) -> float:
        k = max(1, round(per_week * n_weeks))
        return float(falling[min(k, len(falling)) - 1]) if len(falling) else 1.0

    return TierPolicy(
        horizon_days=horizon_days,
        hot=threshold(handoffs_per_week),
        warm=threshold(handoffs_per_week * WARM_MULTIPLE),
        handoffs_per_week=handoffs_per_week,
        n_leads=len(falling),
        n_weeks=n_weeks,
    )
