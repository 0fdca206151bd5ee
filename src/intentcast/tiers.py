"""Hot, warm and cold from a calibrated probability, by what sales can take on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from intentcast.propensity.margins import Floats

Tier = Literal["deprioritised", "cold", "warm", "hot"]
# Rising: a lead's level is how many thresholds it has reached, one more where no list is kept.
TIERS: tuple[Tier, ...] = ("deprioritised", "cold", "warm", "hot")
WARM_MULTIPLE = 4
_DAYS_PER_WEEK = 7
_OPTIONAL = ("hot_leave", "warm_leave", "deprioritise", "deprioritise_leave")


@dataclass(frozen=True)
class TierPolicy:
    """Where the tiers begin and end, on the calibrated probability of the primary horizon.

    A lead enters a tier at its threshold and, where there is a `leave` threshold, keeps it until
    its probability is below that. What has no previous tier is judged by the thresholds alone.

    Attributes:
        horizon_days: Of the probability.
        hot: `p >= hot` is hot.
        warm: `warm <= p < hot` is warm.
        handoffs_per_week: The capacity that `hot` was set for, or the volume that it gave.
        n_leads: Leads that the thresholds were set on.
        n_weeks: Weeks that they were observed for.
        hot_leave: A hot lead stays hot while `p >= hot_leave`; None: as `hot`.
        warm_leave: Likewise for warm.
        deprioritise: `p < deprioritise` is deprioritised; None: nobody is.
        deprioritise_leave: What is not deprioritised stays so while `p >= deprioritise_leave`.
        policy: How the thresholds were set.
    """

    horizon_days: int
    hot: float
    warm: float
    handoffs_per_week: int
    n_leads: int
    n_weeks: float
    hot_leave: float | None = None
    warm_leave: float | None = None
    deprioritise: float | None = None
    deprioritise_leave: float | None = None
    policy: str = "capacity"

    @property
    def enter(self) -> tuple[float, float, float]:
        """From which probability on a lead is cold, warm and hot."""
        lowest = 0.0 if self.deprioritise is None else self.deprioritise
        return lowest, self.warm, self.hot

    @property
    def leave(self) -> tuple[float, float, float]:
        """Below which probability a lead that was cold, warm or hot is so no longer."""
        kept = (self.deprioritise_leave, self.warm_leave, self.hot_leave)
        lowest, warm, hot = (
            enter if leave is None else min(leave, enter)
            for enter, leave in zip(self.enter, kept, strict=True)
        )
        return lowest, warm, hot

    def tiers(
        self, probabilities: Floats, previous: Sequence[str | None] | None = None
    ) -> list[Tier]:
        """Return each probability's tier.

        Args:
            probabilities: Shape (n,).
            previous: The tier that each lead had; None, or a name that is no tier, where it had
                none. Without it `leave` thresholds play no part.
        """
        level = np.searchsorted(np.array(self.enter), probabilities, side="right")
        if previous is not None:
            was = np.array([_LEVEL.get(tier or "", 0) for tier in previous], dtype=np.int64)
            kept = np.searchsorted(np.array(self.leave), probabilities, side="right")
            level = np.maximum(level, np.minimum(was, kept))
        return [TIERS[i] for i in level.tolist()]

    def to_json(self) -> dict[str, Any]:
        """Return the policy as JSON values; optional thresholds that it does not have are left out.

        So what was readable before there were any still is.
        """
        values = asdict(self)
        absent = {name for name in _OPTIONAL if values[name] is None}
        return {
            "policy": self.policy,
            **{k: v for k, v in values.items() if k not in absent | {"policy"}},
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> "TierPolicy":
        """Read what `to_json` wrote, now or before there were optional thresholds."""
        return cls(**raw)


_LEVEL: dict[str, int] = {tier: level for level, tier in enumerate(TIERS)}


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
    reached = at_least(greatest_after, falling)
    n_new = reached - at_least(np.minimum(greatest_before, greatest_after), falling)
    hot = highest_with(falling, n_new, handoffs_per_week * n_weeks)
    warm = highest_with(falling, n_new, handoffs_per_week * WARM_MULTIPLE * n_weeks)
    return TierPolicy(
        horizon_days=horizon_days,
        hot=hot,
        warm=min(hot, warm),
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


def highest_with(falling: Floats, counts: NDArray[np.int64], wanted: float) -> float:
    """Return the highest threshold that so many reach; where none does, the one that most do.

    Args:
        falling: Thresholds, from the highest to the lowest, shape (n,).
        counts: How many reach each, shape (n,).
        wanted: How many; rounded, and at least 1.

    Returns:
        The threshold; 1 where there is none to choose from.
    """
    if len(falling) == 0:
        return 1.0
    enough = np.flatnonzero(counts >= max(1, round(wanted)))
    return float(falling[enough[0] if len(enough) else int(np.argmax(counts))])


def at_least(values: Floats, thresholds: Floats) -> NDArray[np.int64]:
    """Return how many values reach each threshold."""
    rising = np.sort(values)
    out: NDArray[np.int64] = len(rising) - np.searchsorted(rising, thresholds, side="left")
    return out
