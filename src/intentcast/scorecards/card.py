"""The scorecard file as a frozen model: a points table that a team can read and edit."""

from decimal import Decimal
from itertools import pairwise
from typing import Literal

from pydantic import Field, model_validator

from intentcast.scorecards.conditions import Condition, Part
from intentcast.scorecards.decay import Days, Decay, NoDecay
from intentcast.scorecards.rules import AttributeRule, Band, BehaviourRule, Points, SignedPoints

__all__ = [
    "AttributeRule",
    "Band",
    "BehaviourRule",
    "Classes",
    "Condition",
    "Points",
    "Scorecard",
    "Tier",
]

Tier = Literal["cold", "warm", "hot", "out"]


class Classes(Part):
    """From which score on a lead is warm or hot, and what the team calls its classes.

    Below `warm` (or, without it, below `hot`) a lead is cold. A lead with the score for hot but
    fewer attribute points than `hot_needs_attributes` is warm. With `sticky`, a lead that was hot
    once stays hot, until it opts out; without, the class follows the score.
    """

    warm: Points | None = None
    hot: Points
    hot_needs_attributes: Points = Decimal(0)
    sticky: bool = False
    labels: dict[Tier, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _warm_below_hot(self) -> "Classes":
        if self.warm is not None and self.warm >= self.hot:
            raise ValueError(f"warm = {self.warm} is not below hot = {self.hot}")
        return self


class Scorecard(Part):
    """A points table. `score = min(total_cap, attributes + behaviours)`.

    `attributes` is the sum over axes, each up to its cap in `axis_caps`, up to `attributes_cap`.

    `behaviours` is computed in this order: the points of each match; of rules that earn every
    time, at most `daily_cap` for each event type and day of occurrence (UTC), or what `daily_caps`
    says for the type, the first to become known first; the decay of each match; the sum of each
    group up to its cap in `group_caps`; the sum of all, up to `behaviours_cap`; times the factor of
    a decay by silence. `window_days` is for all rules that do not have their own.

    An event type in `immediate` makes a lead hot at once, whatever its points, until the decay
    resets its behaviour; one in `opt_out` puts it out for good. An opting-out event is no activity:
    it does not end a silence. `grades` are letters by attribute points: of those reached, the one
    that needs most.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    description: str = ""
    attributes_cap: Points | None = None
    behaviours_cap: Points | None = None
    total_cap: Points | None = None
    axis_caps: dict[str, Points] = Field(default_factory=dict)
    group_caps: dict[str, Points] = Field(default_factory=dict)
    daily_cap: Points | None = None
    daily_caps: dict[str, Points] = Field(default_factory=dict)
    window_days: Days | None = None
    immediate: tuple[str, ...] = ()
    opt_out: tuple[str, ...] = ()
    grades: dict[str, SignedPoints] = Field(default_factory=dict)
    attributes: tuple[AttributeRule, ...] = ()
    behaviours: tuple[BehaviourRule, ...] = ()
    decay: Decay = NoDecay()
    classes: Classes

    @model_validator(mode="after")
    def _rules_fit_together(self) -> "Scorecard":
        if not self.attributes and not self.behaviours:
            raise ValueError("no rule under [[attributes]] or [[behaviours]]")
        items = [rule.item for rule in self.attributes]
        items += [rule.item for rule in self.behaviours]
        if repeated := sorted({item for item in items if items.count(item) > 1}):
            raise ValueError(f"item {', '.join(map(repr, repeated))} is used by two rules")
        for key, what, known in (
            ("axis_caps", "axis", self.axes),
            ("group_caps", "group", self.groups),
            ("daily_caps", "event type", self.event_types),
        ):
            if unknown := sorted(set(getattr(self, key)) - set(known)):
                raise ValueError(f"{key}: no rule has {what} {', '.join(map(repr, unknown))}")
        if both := sorted(set(self.immediate) & set(self.opt_out)):
            raise ValueError(f"{', '.join(both)} cannot be both immediate and opt_out")
        for (better, more), (worse, less) in pairwise(self.grades.items()):
            if less >= more:
                raise ValueError(f"grades: {worse} = {less} is not below {better} = {more}")
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the attribute axes, in the order of the file."""
        return tuple(dict.fromkeys(rule.axis for rule in self.attributes))

    @property
    def groups(self) -> tuple[str, ...]:
        """Names of the groups of behaviour rules, in the order of the file."""
        return tuple(dict.fromkeys(rule.group for rule in self.behaviours if rule.group))

    @property
    def event_types(self) -> tuple[str, ...]:
        """Event types that earn points, in the order of the file."""
        named = (name for rule in self.behaviours for name in rule.event_type)
        return tuple(dict.fromkeys(named))

    def label(self, tier: Tier) -> str:
        """Return the team's own word for a tier."""
        return self.classes.labels.get(tier, tier)
