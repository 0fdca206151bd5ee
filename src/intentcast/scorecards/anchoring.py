"""Points on the table's own scale: as many leads as before reach its thresholds.

Multipliers fix the points but for one factor. It is set so that as many leads reach the score for
hot as with the present points; `warm` and the fit gate, which no factor can serve as well, move to
where as many leads pass them as before. Caps, decay and conditions stay as they are. A table that
is to stand in for a model has `hot` and `warm` moved to where as many leads reach them as by the
model: moved, because points scaled down to meet a rarer class would round to the same few numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import polars as pl

from intentcast.errors import RefusedError
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.hits import Floats, rules_of, with_points

FEWEST_LEADS = 20
_LARGEST = Decimal(100_000)
_NEARBY = np.linspace(-0.15, 0.15, 13)
_BISECTIONS = 24

Scores = Callable[[Scorecard], pl.DataFrame]


@dataclass(frozen=True)
class Anchor:
    """What was held equal.

    Attributes:
        threshold: `hot`, `warm` or `mean score`.
        n_old: Leads that reached it with the present points (or that mean).
        n_new: With the new ones.
    """

    threshold: str
    n_old: float
    n_new: float


def unit_of(card: Scorecard) -> Decimal:
    """Return the step that points are rounded to: 1, or the finest decimal that the table uses."""
    finest = min(
        (0, *(int(r.points.normalize().as_tuple().exponent) for r in rules_of(card) if r.points))
    )
    return Decimal(1).scaleb(finest)


def limits_of(card: Scorecard) -> list[Decimal]:
    """Return the most that each rule's points can do under the table's own caps."""
    fit = _least(card.attributes_cap, card.total_cap)
    behaviour = _least(card.behaviours_cap, card.total_cap)
    axes = [_least(fit, card.axis_caps.get(rule.axis)) for rule in card.attributes]
    groups = [_least(behaviour, card.group_caps.get(rule.group or "")) for rule in card.behaviours]
    return [*axes, *groups]


def _least(*caps: Decimal | None) -> Decimal:
    return min((cap for cap in caps if cap is not None), default=_LARGEST)


def rounded(points: Floats, unit: Decimal, limits: list[Decimal]) -> tuple[Decimal, ...]:
    """Return points as multiples of the unit, halves up, and within the limits."""
    whole = [
        (Decimal(repr(float(p))) / unit).quantize(Decimal(1), ROUND_HALF_UP) * unit for p in points
    ]
    return tuple(max(-limit, min(limit, p)) for p, limit in zip(whole, limits, strict=True))


def anchor(
    card: Scorecard, relative: Floats, scores: Scores, volumes: Mapping[str, int] | None = None
) -> tuple[Scorecard, Anchor, float]:
    """Return the table with points proportional to `relative`, what was held equal, the factor.

    Args:
        card: The present table.
        relative: Points but for a factor, at least one above 0, shape (n_rules,).
        scores: Scores the anchoring snapshots with a table: `lead_id`, `score`,
            `attribute_points`.
        volumes: Leads that are to reach `hot` and `warm`; without them, as many as now.

    Raises:
        RefusedError: If nothing of the present points can be held equal, or no factor holds it.
    """
    present = scores(card)
    name, reach = _measure(card, present)
    wanted = reach(present)
    limits = limits_of(card)

    def repriced(factor: float, unit: Decimal) -> Scorecard:
        return with_points(card, rounded(factor * relative, unit, limits))

    def reached(factor: float, unit: Decimal) -> float:
        return reach(scores(repriced(factor, unit)))

    thousandth = Decimal("0.001")
    largest = float(relative.max())
    if not largest > 0:
        raise _unreached(name, wanted, "no rule gives points above 0")
    low, high = 0.0, max(float(max(r.points for r in rules_of(card))), 0.0) / largest or 1.0
    while (found_there := reached(high, thousandth)) < wanted:
        if high * largest >= float(_LARGEST):
            raise _unreached(name, wanted, f"{found_there:.6g} with as many points as there can be")
        low, high = high, 2.0 * high
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if reached(middle, thousandth) < wanted else (low, middle)
        if high - low < 1e-4 * high:
            break
    unit = unit_of(card)
    nearby = [high * (1.0 + float(step)) for step in _NEARBY]
    found = [reached(factor, unit) for factor in nearby]
    best = min(range(len(nearby)), key=lambda i: (abs(found[i] - wanted), abs(_NEARBY[i])))
    new = repriced(nearby[best], unit)
    return (
        _same_classes(card, present, new, scores(new), volumes or {}),
        Anchor(name, wanted, found[best]),
        nearby[best],
    )


def _measure(card: Scorecard, present: pl.DataFrame) -> tuple[str, Callable[[pl.DataFrame], float]]:
    for name in ("hot", "warm"):
        threshold = getattr(card.classes, name)
        if threshold is None:
            continue
        edge = float(threshold)
        if _n_reaching(present, "score", edge) >= FEWEST_LEADS:
            return name, lambda scored, edge=edge: _n_reaching(scored, "score", edge)
    mean = _mean(present)
    if mean <= 0:
        raise RefusedError(
            f"fewer than {FEWEST_LEADS} leads reach hot or warm, and the mean score is {mean:.4g}",
            expected="a table that gives more points than it takes, as its scale is held equal",
            next_step="lower the thresholds of the table, or take fewer points away",
        )
    return "mean score", _mean


def _mean(scored: pl.DataFrame) -> float:
    return float(scored["score"].sum()) / max(len(scored), 1)


def _unreached(name: str, wanted: float, found: str) -> RefusedError:
    return RefusedError(
        f"no scale of the refitted points keeps {name} at {wanted:.6g}: {found}",
        expected="points above 0 for what leads did, and caps that leave them room",
        next_step="keep the table, or raise its caps, or add rules for what converters do",
    )


def _n_reaching(scored: pl.DataFrame, column: str, threshold: float) -> float:
    return float(scored.filter(pl.col(column) >= threshold)["lead_id"].n_unique())


def _same_classes(
    old: Scorecard,
    before: pl.DataFrame,
    new: Scorecard,
    after: pl.DataFrame,
    volumes: Mapping[str, int],
) -> Scorecard:
    """Move `warm` and the fit gate to the whole points that as many leads pass as before.

    With volumes, `hot` and `warm` move to where as many leads as they say pass them. `before` and
    `after` are the scores with the old and the new table.
    """
    moved = {}
    hot = old.classes.hot
    if volumes.get("hot", 0) >= FEWEST_LEADS:
        most = int(float(after["score"].max() or 0.0))  # type: ignore[arg-type]
        hot = moved["hot"] = _nearest(after, "score", volumes["hot"], range(2, max(most, 2) + 1))
    if old.classes.warm is not None:
        now = _n_reaching(before, "score", float(old.classes.warm))
        wanted = float(volumes.get("warm", now))
        top = int(hot) - 1 if hot > 1 else 0
        if wanted >= FEWEST_LEADS and top > 0:
            moved["warm"] = _nearest(after, "score", wanted, range(1, top + 1))
    gate = old.classes.hot_needs_attributes
    if gate > 0:
        wanted = _n_reaching(before, "attribute_points", float(gate))
        highest = int(float(after["attribute_points"].max() or 0.0))  # type: ignore[arg-type]
        moved["hot_needs_attributes"] = _nearest(
            after, "attribute_points", wanted, range(highest + 1)
        )
    return new.model_copy(update={"classes": new.classes.model_copy(update=moved)})


def _nearest(scored: pl.DataFrame, column: str, wanted: float, candidates: range) -> Decimal:
    best = pl.Series(scored.group_by("lead_id").agg(pl.col(column).max())[column]).sort()
    reach = [len(best) - int(best.search_sorted(float(edge), side="left")) for edge in candidates]
    found = min(range(len(reach)), key=lambda i: (abs(reach[i] - wanted), -candidates[i]))
    return Decimal(candidates[found])
