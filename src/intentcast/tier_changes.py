"""Why a lead's tier changed between two as-of times: time, news, another model, other thresholds.

The probability is computed again, each time with one more thing as it is later, in this order,
which decides what is said where two causes act together:

1. `time`: only the clock moves on;
2. `news`: what became known since then (events, outcomes, attributes);
3. `model`: another model answers;
4. `threshold`: the same probability is held against other thresholds.

Differences are exact fractions, so they add up to the difference of the probabilities exactly.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any, Literal, Protocol

import numpy as np
import polars as pl

from intentcast.bundle import Bundle
from intentcast.contracts import INSTANT
from intentcast.propensity.margins import Floats
from intentcast.scoring import predict_primary
from intentcast.snapshots import known_dataset
from intentcast.sources import Dataset

Cause = Literal["time", "news", "model", "threshold"]
CAUSES: tuple[Cause, ...] = ("time", "news", "model", "threshold")


class Policy(Protocol):
    """Where tiers begin."""

    def tiers(self, probabilities: Floats, /) -> Sequence[str]:
        """Return each probability's tier."""


@dataclass(frozen=True)
class TierStep:
    """What one cause did; `moved` is exactly the probability after it minus that before."""

    cause: Cause
    moved: Fraction
    tier_before: str
    tier_after: str


@dataclass(frozen=True)
class TierChange:
    """A change of probability and tier, cause by cause, in the order of `CAUSES`."""

    before: float
    after: float
    steps: tuple[TierStep, ...]

    @property
    def causes(self) -> tuple[Cause, ...]:
        """The causes at which the tier changed, perhaps there and back."""
        return tuple(s.cause for s in self.steps if s.tier_before != s.tier_after)


def tier_change(
    *,
    start: float,
    later: float,
    informed: float,
    remodelled: float,
    policy_before: Policy,
    policy_after: Policy,
) -> TierChange:
    """Attribute a change of tier.

    Args:
        start: Probability then, by the model of then.
        later: The same with the clock moved on and nothing new known.
        informed: The same with all that became known.
        remodelled: Probability now, by the model of now.
        policy_before: The thresholds of then.
        policy_after: Those of now.
    """
    path = [start, later, informed, remodelled]
    tiers = [str(tier) for tier in policy_before.tiers(np.array(path))]
    path.append(remodelled)
    tiers.append(str(policy_after.tiers(np.array([remodelled]))[0]))
    steps = tuple(
        TierStep(cause, Fraction(path[i + 1]) - Fraction(path[i]), tiers[i], tiers[i + 1])
        for i, cause in enumerate(CAUSES)
    )
    return TierChange(start, remodelled, steps)


def explain_tier_change(
    before: Bundle, after: Bundle, dataset: Dataset, lead: pl.DataFrame, *, since: datetime
) -> TierChange:
    """Compute the four probabilities of one lead, and attribute the change of its tier.

    Args:
        before: The bundle in use at `since`.
        after: The one in use now.
        dataset: Holds the lead.
        lead: Its snapshot now: one row of `lead_id`, `account_id`, `as_of`.
        since: The earlier time.
    """
    then = lead.with_columns(as_of=pl.lit(since).cast(INSTANT))
    known = known_dataset(dataset, since)

    def probability(bundle: Bundle, told: Dataset, snapshot: pl.DataFrame) -> float:
        return float(predict_primary(bundle, told, snapshot)[0])

    return tier_change(
        start=probability(before, dataset, then),
        later=probability(before, known, lead),
        informed=probability(before, dataset, lead),
        remodelled=probability(after, dataset, lead),
        policy_before=before.tiers,
        policy_after=after.tiers,
    )


def as_json(change: TierChange) -> dict[str, Any]:
    """Return a change as JSON values."""
    return {
        "probability_before": change.before,
        "probability_after": change.after,
        "tier_before": change.steps[0].tier_before,
        "tier_after": change.steps[-1].tier_after,
        "steps": [
            {
                "cause": step.cause,
                "moved": float(step.moved),
                "tier_before": step.tier_before,
                "tier_after": step.tier_after,
            }
            for step in change.steps
        ],
    }
