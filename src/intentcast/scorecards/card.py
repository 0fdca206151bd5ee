"""The scorecard file as a frozen model: a points table that a team can read and edit."""

from decimal import Decimal
from typing import Annotated, Any, Literal

import polars as pl
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    model_validator,
)

from intentcast.scorecards.decay import Decay, NoDecay

Tier = Literal["cold", "warm", "hot", "out"]
Points = Annotated[Decimal, Field(ge=0, le=100_000, decimal_places=3)]


def _checked_pattern(pattern: str) -> str:
    # Checked with the engine that will run it: it has no look-around, Python's has.
    try:
        pl.Series([""]).str.contains(f"(?i){pattern}")
    except pl.exceptions.ComputeError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        reason = next((line for line in lines if line.startswith("error:")), lines[0])
        raise ValueError(
            f"not a regular expression: {reason.removeprefix('error: ')} ('{pattern}')"
        ) from None
    return pattern


def _as_tuple(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


Pattern = Annotated[str, Field(min_length=1), AfterValidator(_checked_pattern)]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
]
Values = Annotated[
    tuple[str | float, ...],
    BeforeValidator(_as_tuple),
    Field(min_length=1),
]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AttributeRule(_Part):
    """Points for one band of an axis; of an axis, the first band that matches wins.

    Exactly one condition: `equals` (a value or a list; text without regard to case), `between`
    (both ends included), `at_least`, `at_most`, `matches` (a regular expression found anywhere,
    without regard to case) or `otherwise = true` (any known value). An unknown value matches none.
    """

    axis: str = Field(min_length=1)
    item: str = Field(min_length=1)
    column: str = Field(min_length=1)
    points: Points
    equals: Values | None = None
    between: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    matches: Pattern | None = None
    otherwise: Literal[True] | None = None

    @model_validator(mode="after")
    def _one_condition(self) -> "AttributeRule":
        names = ("equals", "between", "at_least", "at_most", "matches", "otherwise")
        given = [name for name in names if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(
                f"{' and '.join(given) or 'no condition'} given, one of {', '.join(names)} needed"
            )
        if self.between and self.between[0] > self.between[1]:
            raise ValueError(f"between: {self.between[0]:g} is above {self.between[1]:g}")
        return self


class BehaviourRule(_Part):
    """Points for something a lead did. Machine events never count.

    An event matches if its type is one of `event_type`, and its content and channel fit where the
    rule names them. Of the rules that share a `group`, an event counts for the first it matches.

    A match earns the points, by default, every time (`per = "event"`). With `per = "content"` or
    `"lead"` it earns them once for each content, or once; with `nth`, at the n-th match there
    (`nth` alone means the n-th match of the lead). Counting starts anew when the decay resets.

    Two rules look beyond one event, once per content. `distinct_people = n`: the lead and at least
    n - 1 others of its account did it with the same content; each of them earns the points, from
    the time that the n-th became known. `until = [types]`: earned until the same lead does one of
    these with the same content, and again if it comes back later.
    """

    item: str = Field(min_length=1)
    event_type: Names
    points: Points
    content: Pattern | None = None
    channel: Names | None = None
    group: str | None = None
    per: Literal["event", "content", "lead"] = "event"
    nth: Annotated[int, Field(ge=1)] = 1
    distinct_people: Annotated[int, Field(ge=2)] | None = None
    until: Names | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_scope(cls, raw: Any) -> Any:
        if not isinstance(raw, dict) or "per" in raw:
            return raw
        if "distinct_people" in raw or "until" in raw:
            return {**raw, "per": "content"}
        return {**raw, "per": "lead"} if "nth" in raw else raw

    @model_validator(mode="after")
    def _one_way_to_count(self) -> "BehaviourRule":
        ways = {
            "nth": self.nth > 1,
            "distinct_people": self.distinct_people is not None,
            "until": self.until is not None,
        }
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} given, at most one of them is possible")
        if given == ["nth"] and self.per == "event":
            raise ValueError('per = "event" with nth, "lead" or "content" needed')
        if given in (["distinct_people"], ["until"]) and self.per != "content":
            raise ValueError(f'per = "{self.per}" with {given[0]}, "content" needed')
        return self


class Classes(_Part):
    """From which score on a lead is warm or hot, and what the team calls its classes.

    Below `warm` (or, without it, below `hot`) a lead is cold. A lead with the score for hot but
    fewer attribute points than `hot_needs_attributes` is warm.
    """

    warm: Points | None = None
    hot: Points
    hot_needs_attributes: Points = Decimal(0)
    labels: dict[Tier, str] = {}

    @model_validator(mode="after")
    def _warm_below_hot(self) -> "Classes":
        if self.warm is not None and self.warm >= self.hot:
            raise ValueError(f"warm = {self.warm} is not below hot = {self.hot}")
        return self


class Scorecard(_Part):
    """A points table. `score = min(total_cap, attributes + behaviours)`.

    `attributes` is the sum over axes, capped; `behaviours` the sum over rules, capped and then
    multiplied by the decay's factor. An event type in `immediate` makes a lead hot at once,
    whatever its points, until the decay resets its behaviour; one in `opt_out` puts it out for
    good. An opting-out event is no activity: it does not end a silence.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")
    description: str = ""
    attributes_cap: Points | None = None
    behaviours_cap: Points | None = None
    total_cap: Points | None = None
    axis_caps: dict[str, Points] = {}
    immediate: tuple[str, ...] = ()
    opt_out: tuple[str, ...] = ()
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
        if unknown := sorted(set(self.axis_caps) - set(self.axes)):
            raise ValueError(f"axis_caps: no rule has axis {', '.join(map(repr, unknown))}")
        if both := sorted(set(self.immediate) & set(self.opt_out)):
            raise ValueError(f"{', '.join(both)} cannot be both immediate and opt_out")
        return self

    @property
    def axes(self) -> tuple[str, ...]:
        """Names of the attribute axes, in the order of the file."""
        return tuple(dict.fromkeys(rule.axis for rule in self.attributes))

    @property
    def event_types(self) -> tuple[str, ...]:
        """Event types that earn points, in the order of the file."""
        named = (name for rule in self.behaviours for name in rule.event_type)
        return tuple(dict.fromkeys(named))

    def label(self, tier: Tier) -> str:
        """Return the team's own word for a tier."""
        return self.classes.labels.get(tier, tier)
