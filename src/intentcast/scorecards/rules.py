"""One rule of a scorecard file: points for what a lead is, or for what it did."""

from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from intentcast.scorecards.conditions import Condition, Part, Pattern, as_tuple
from intentcast.scorecards.decay import Days, EventDecay
from intentcast.scorecards.points import THOUSANDTHS

MOST_POINTS = 100_000
Points = Annotated[Decimal, Field(ge=0, le=MOST_POINTS, decimal_places=3)]
SignedPoints = Annotated[Decimal, Field(ge=-MOST_POINTS, le=MOST_POINTS, decimal_places=3)]
Weight = Annotated[Decimal, Field(ge=0, le=100, decimal_places=3)]
Name = Annotated[str, Field(min_length=1)]
Names = Annotated[tuple[Name, ...], BeforeValidator(as_tuple), Field(min_length=1)]
Conditions = dict[Name, Condition]


class _Worth(Part):
    axis: str = Field(min_length=1)
    item: str = Field(min_length=1)
    column: str = Field(min_length=1)
    points: SignedPoints


# The later base gives the first fields: files and exports state the condition last.
class AttributeRule(Condition, _Worth):
    """Points for one band of an axis; of an axis, the first band that matches wins.

    Exactly one condition, see `Condition`. An unknown value matches none. Points may be negative.
    """


class Band(Part):
    """Points while at least `at_least` matches are at most `within_days` old."""

    within_days: Days
    at_least: Annotated[int, Field(ge=1)] = 1
    points: SignedPoints


class BehaviourRule(Part):
    """Points for something a lead did. Machine events never count.

    An event matches if its type is one of `event_type`, its content and channel fit where the rule
    names them, and every condition of `where`, by column of events, is met. Of the rules that share
    a `group`, an event counts for the first it matches. With `lead`, conditions by column of leads
    or accounts, the rule is there only for leads that meet all of them at the as-of time.

    A match earns the points, by default, every time (`per = "event"`). With `per = "content"` or
    `"lead"` it earns them once for each content, or once; with `nth`, at the n-th match there
    (`nth` alone means the n-th match of the lead). `at_least = n` says the same as `nth = n`: with
    `window_days`, that there are n matches in the window. Counting starts anew when the decay
    resets.

    Two rules look beyond one event, once per content. `distinct_people = n`: the lead and at least
    n - 1 others of its account did it with the same content; each of them earns the points, from
    the time that the n-th became known. `until = [types]`: earned until the same lead does one of
    these with the same content, and again if it comes back later.

    With `window_days`, only matches that are at most so old count (a colleague's count however
    old). A match fades with its own age; what is earned once with the age of the match that earned
    it, in a window with that of the latest match.

    `bands` earn once, by recency and frequency: the first band in the file that is met says the
    points, and nothing fades. `weight` multiplies all points of the rule. `decay` is the rule's
    own, in place of the card's.
    """

    item: str = Field(min_length=1)
    event_type: Names
    points: SignedPoints
    content: Pattern | None = None
    channel: Names | None = None
    where: Conditions = Field(default_factory=dict)
    lead: Conditions = Field(default_factory=dict)
    group: str | None = None
    per: Literal["event", "content", "lead"] = "event"
    nth: Annotated[int, Field(ge=1)] = 1
    distinct_people: Annotated[int, Field(ge=2)] | None = None
    until: Names | None = None
    bands: tuple[Band, ...] = ()
    weight: Weight = Decimal(1)
    window_days: Days | None = None
    decay: EventDecay | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        raw = dict(raw)
        if "at_least" in raw:
            if "nth" in raw:
                raise ValueError("nth and at_least given, they say the same")
            raw["nth"] = raw.pop("at_least")
        if raw.get("bands") and "points" not in raw:
            # Of the first band, which is the best of most tables: what the rule is worth at once.
            first = raw["bands"][0]
            raw["points"] = first.get("points", 0) if isinstance(first, dict) else 0
        if "per" not in raw:
            if raw.get("distinct_people") is not None or raw.get("until") is not None:
                raw["per"] = "content"
            elif raw.get("bands") or "nth" in raw:
                raw["per"] = "lead"
        return raw

    @model_validator(mode="after")
    def _one_way_to_count(self) -> "BehaviourRule":
        ways = {
            "nth": self.nth > 1,
            "distinct_people": self.distinct_people is not None,
            "until": self.until is not None,
            "bands": bool(self.bands),
        }
        given = [name for name, is_given in ways.items() if is_given]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} given, at most one of them is possible")
        if given == ["nth"] and self.per == "event":
            raise ValueError('per = "event" with nth, "lead" or "content" needed')
        if given in (["distinct_people"], ["until"]) and self.per != "content":
            raise ValueError(f'per = "{self.per}" with {given[0]}, "content" needed')
        if given == ["bands"]:
            self._check_bands()
        if abs(self.points) * self.weight > MOST_POINTS:
            raise ValueError(f"points times weight above {MOST_POINTS}")
        return self

    def _check_bands(self) -> None:
        if self.per != "lead":
            raise ValueError(f'per = "{self.per}" with bands, "lead" needed')
        if self.points != self.bands[0].points:
            raise ValueError("points and bands given, at most one of them is possible")
        if self.decay is not None:
            raise ValueError("decay and bands given, at most one of them is possible")
        for earlier, later in pairwise(self.bands):
            if later.within_days < earlier.within_days:
                raise ValueError(
                    f"bands: {later.within_days} days come after {earlier.within_days}; "
                    "the latest first"
                )
            if later.within_days == earlier.within_days and later.at_least >= earlier.at_least:
                raise ValueError(
                    f"bands: at_least = {later.at_least} within {later.within_days} days is never "
                    f"looked at after at_least = {earlier.at_least}"
                )

    @property
    def thousandths(self) -> int:
        """Points times weight."""
        return self.weighted(self.points)

    def weighted(self, points: Decimal) -> int:
        """Return points times the rule's weight in thousandths, halves rounded away from 0."""
        return int((points * self.weight * THOUSANDTHS).to_integral_value(ROUND_HALF_UP))
