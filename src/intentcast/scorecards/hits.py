"""What each rule of a points table adds to the score of each lead.

The only place where repricing depends on how a table is run, and it asks the engine itself: the
table with one rule at a time, the points of all others set to 0. So whatever the engine does with
an award (decay, windows, caps of its own) is in the answer.
"""

from dataclasses import dataclass
from decimal import Decimal
from statistics import median

import numpy as np
import polars as pl
from numpy.typing import NDArray

from intentcast.scorecards.card import AttributeRule, BehaviourRule, Scorecard
from intentcast.scorecards.scoring import score_snapshots
from intentcast.sources import Dataset

Floats = NDArray[np.float64]
Rule = AttributeRule | BehaviourRule
_THOUSANDTH = Decimal("0.001")


@dataclass(frozen=True)
class RuleHits:
    """Hits of every rule, attributes first, in the order of the file.

    Attributes:
        alone: Points of a lead if the rule were the only one that gives any, divided by the rule's
            points: its hits after decay and caps, shape (n_snapshots, n_rules).
        weights: The same, less the share that the caps take from all rules together: the sum over
            rules of weight · points is the present score, but for rounding. Same shape.
    """

    alone: Floats
    weights: Floats

    def at(self, keep: NDArray[np.bool_]) -> "RuleHits":
        """Return some of the rows."""
        return RuleHits(self.alone[keep], self.weights[keep])


def rules_of(card: Scorecard) -> tuple[Rule, ...]:
    """Return every rule in the order of the columns of `RuleHits`."""
    return (*card.attributes, *card.behaviours)


def steps_of(card: Scorecard) -> tuple[Decimal, ...]:
    """Return each rule's points; where it has none, the median of those that have, or 1."""
    points = [rule.points for rule in rules_of(card)]
    given = [abs(p) for p in points if p]
    usual = median(given).quantize(_THOUSANDTH) if given else Decimal(1)
    return tuple(p or usual for p in points)


def with_points(card: Scorecard, points: tuple[Decimal, ...]) -> Scorecard:
    """Return the table with other points, attributes first; bands of a rule keep their ratios."""
    n = len(card.attributes)
    attributes = [
        rule.model_copy(update={"points": p})
        for rule, p in zip(card.attributes, points[:n], strict=True)
    ]
    behaviours = [_priced(rule, p) for rule, p in zip(card.behaviours, points[n:], strict=True)]
    return card.model_copy(
        update={"attributes": tuple(attributes), "behaviours": tuple(behaviours)}
    )


def _priced(rule: BehaviourRule, points: Decimal) -> BehaviourRule:
    ratio = points / rule.points if rule.points else Decimal(0)
    bands = [
        band.model_copy(update={"points": (band.points * ratio).quantize(_THOUSANDTH)})
        for band in rule.bands
    ]
    if bands:
        # The first is what the rule is worth at once: the same number, exactly.
        bands[0] = bands[0].model_copy(update={"points": points})
    return rule.model_copy(
        update={"points": points, "bands": tuple(bands)} if bands else {"points": points}
    )


def rule_hits(card: Scorecard, dataset: Dataset, snapshots: pl.DataFrame) -> RuleHits:
    """Return each rule's hits by what was known strictly before each as-of time.

    A cap on several rules takes the same share of each one's points.

    Args:
        card: The points table.
        dataset: See `score_snapshots`.
        snapshots: `lead_id`, `as_of`, `account_id`; one row per lead and as-of time.
    """
    steps = steps_of(card)
    nothing = [Decimal(0)] * len(steps)
    alone = np.zeros((len(snapshots), len(steps)))
    for position, step in enumerate(steps):
        # Above 0 whatever the rule's sign: points below 0 alone could not be seen in a score.
        points = (*nothing[:position], abs(step), *nothing[position + 1 :])
        scored = score_snapshots(with_points(card, points), dataset, snapshots)
        alone[:, position] = scored["score"].to_numpy() / float(abs(step))
    present = score_snapshots(card, dataset, snapshots)
    given = alone * np.array([float(rule.points) for rule in rules_of(card)])
    n = len(card.attributes)
    fit, behaviour = present["attribute_points"].to_numpy(), present["behaviour_points"].to_numpy()
    whole = _share(present["score"].to_numpy(), fit + behaviour)
    shares = np.empty_like(alone)
    shares[:, :n] = (_share(fit, given[:, :n].sum(axis=1)) * whole)[:, None]
    shares[:, n:] = (_share(behaviour, given[:, n:].sum(axis=1)) * whole)[:, None]
    return RuleHits(alone=alone, weights=alone * shares)


def _share(left: Floats, whole: Floats) -> Floats:
    """Return left/whole between 0 and 1, and 1 where there was nothing."""
    out: Floats = np.where(whole > 0, np.clip(left / np.where(whole > 0, whole, 1.0), 0, 1), 1.0)
    return out
