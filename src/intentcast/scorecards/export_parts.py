"""What every export of a points table is made of, and what it says of things left behind.

Generic over the format: whatever a rule or the table sets, by any key, comes out somewhere. An
exporter takes the keys that its tool can express; the rest is listed, never dropped.
"""

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from intentcast.errors import ConfigError
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.hits import Rule, rules_of

_NAMES = {"item", "points", "bands", "weight"}
_PARTS = {"name", "description", "attributes", "behaviours"}


@dataclass(frozen=True)
class Exported:
    """A file for another tool.

    Attributes:
        content: The file.
        by_hand: What a person sets up in the tool, as the file says.
        not_expressed: What the tool cannot do, so that its scores will differ.
    """

    content: bytes
    by_hand: list[str] = field(default_factory=list)
    not_expressed: list[str] = field(default_factory=list)


def condition_of(rule: Rule) -> dict[str, Any]:
    """Return when a rule is met, as the keys that its file sets, JSON values."""
    raw = rule.model_dump(exclude_defaults=True, exclude_none=True)
    return {key: plain(value) for key, value in raw.items() if key not in _NAMES}


def in_words(condition: dict[str, Any]) -> str:
    """Return keys and values on one line, as a scorecard file would have them."""
    return "; ".join(
        f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in condition.items()
    )


def settings_of(card: Scorecard) -> dict[str, Any]:
    """Return everything the table sets outside its rules, one dotted key each, JSON values."""
    raw = card.model_dump(exclude_defaults=True, exclude_none=True, exclude=_PARTS)
    return dict(_flat(raw))


def _flat(raw: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in raw.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", plain(value)


def plain(value: Any) -> Any:
    """Return a value as JSON has it: whole numbers without a fraction, tuples as lists."""
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def earlier_in_place(rule: Rule, rules: Iterable[Rule]) -> list[str]:
    """Return the rules that, where they are met, keep this one from being met.

    The earlier bands of an attribute's axis; the earlier rules of a behaviour's group.
    """
    place = getattr(rule, "axis", None) or getattr(rule, "group", None)
    if place is None:
        return []
    found = []
    for other in rules:
        if other is rule:
            break
        if place == (getattr(other, "axis", None) or getattr(other, "group", None)):
            found.append(other.item)
    return found


def when_met(rule: Rule, rules: Iterable[Rule]) -> str:
    """Return when a rule is met, on one line, with the earlier rules that keep it from being met.

    Args:
        rule: One of the rules.
        rules: All of the table, in its order.
    """
    words = in_words(condition_of(rule))
    earlier = earlier_in_place(rule, rules)
    return f"{words}; unless {', or '.join(map(repr, earlier))}" if earlier else words


def not_expressed(
    card: Scorecard,
    settings: dict[str, Any],
    *,
    unknown: Iterable[str],
    expressed: Collection[str],
) -> list[str]:
    """Return what a tool cannot do, one line each: of rules first, then of the table.

    Args:
        card: The table.
        settings: From `settings_of`.
        unknown: Keys of rules that the tool has nothing for.
        expressed: Keys of settings that the tool has something for; labels of classes are names.
    """
    found = []
    for rule in rules_of(card):
        raw = rule.model_dump(exclude_defaults=True, exclude_none=True)
        found += [f"{rule.item}: {key} = {plain(raw[key])}" for key in unknown if raw.get(key)]
    return found + [
        f"{key} = {value}"
        for key, value in settings.items()
        if key not in expressed and not key.startswith("classes.labels")
    ]


def refuse_fractions(rules: Iterable[Rule], *, tool: str) -> None:
    """Refuse points that are not whole.

    Raises:
        ConfigError: Naming every such rule.
    """
    wrong = [f"{r.item!r} ({r.points.normalize():f})" for r in rules if r.points % 1 != 0]
    if wrong:
        raise ConfigError(
            f"points that are not whole: {', '.join(wrong)}",
            expected=f"whole points, the only ones that {tool} has",
            next_step="multiply all points, caps and thresholds by the same number first",
        )
