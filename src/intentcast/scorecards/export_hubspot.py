"""A points table as a draft for HubSpot's lead scoring tool.

Format: the body of `POST /marketing/lead-scoring/2026-09-beta/scores`, which creates a draft that
a person publishes (https://developers.hubspot.com/docs/api-reference/2026-09-beta/marketing/
lead-scoring/create-lead-score). It is a beta. What its reference documents, and so what is
written: `name`, `objectTypeId`, `allowedGroupTypes`, `maxScore`, and `groupConfigs` with
`groupName`, `groupCategory`, `minValue`, `maxValue` and per rule `enabled`, `minimumValue`,
`maximumValue` and a calculation of type CONSTANT with its value. It documents no field for when a
rule is met, and no values for `groupCategory`: rules come switched off, with their conditions
beside them for a person to set, and the assumption is stated in the file.

Limits: whole points; a score within ±10,000, the widest that the tool offers
(https://knowledge.hubspot.com/scoring/build-lead-scores). The older `hubspotscore` property, which
rules could be set for, stopped updating on 31 August 2025.
"""

from decimal import Decimal
from typing import Any

from intentcast.errors import ConfigError
from intentcast.files import json_bytes
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.export_parts import (
    Exported,
    not_expressed,
    plain,
    refuse_fractions,
    settings_of,
    when_met,
)
from intentcast.scorecards.hits import Rule, rules_of

REQUEST = {
    "method": "POST",
    "url": "https://api.hubapi.com/marketing/lead-scoring/2026-09-beta/scores",
}
HIGHEST = 10_000
_CONTACT = "0-1"
# Keys of the table that the body says, or that a person sets elsewhere in the tool.
_SAID = {"attributes_cap", "behaviours_cap", "total_cap"}
_ELSEWHERE = {
    "classes.warm": "score threshold",
    "classes.hot": "score threshold",
    "immediate": "workflow that routes these events at once",
    "opt_out": "list of contacts that the score leaves out",
    "window_days": "time frame of every event rule",
}
# The tool's own decay: each event's points fall in a straight line, a share of them every month.
_MONTHLY = {"decay.kind", "decay.share"}
# What a rule says that the tool has no condition for.
_UNKNOWN = ("distinct_people", "until", "weight", "bands", "decay", "lead")


def to_hubspot(card: Scorecard) -> Exported:
    """Return the table as a request body with what it cannot say beside it.

    Raises:
        ConfigError: If points or caps are outside the documented limits.
    """
    rules = rules_of(card)
    refuse_fractions(rules, tool="HubSpot's reference documents")
    highest = _highest(card)
    groups = [
        _group(name, category, of_kind, cap, highest)
        for name, category, of_kind, cap in (
            ("Attributes", "fit", card.attributes, card.attributes_cap),
            ("Behaviours", "engagement", card.behaviours, card.behaviours_cap),
        )
        if of_kind
    ]
    settings = settings_of(card)
    by_hand = [f"{rule.item} ({plain(rule.points):+}): {when_met(rule, rules)}" for rule in rules]
    by_hand += [
        f"{what}: {key} = {settings[key]}" for key, what in _ELSEWHERE.items() if key in settings
    ]
    expressed = _SAID | _ELSEWHERE.keys()
    if settings.get("decay.kind") == "monthly":
        by_hand += [f"decay of the group Behaviours: {settings['decay.share']:.0%} every month"]
        expressed |= _MONTHLY
    missing = not_expressed(card, settings, unknown=_UNKNOWN, expressed=expressed)
    content = {
        "request": REQUEST,
        "body": {
            "name": card.name,
            "objectTypeId": _CONTACT,
            "allowedGroupTypes": [],
            "maxScore": highest,
            "groupConfigs": groups,
        },
        "assumed": ["groupCategory is 'fit' or 'engagement': documented as a text, without values"],
        "by_hand": by_hand,
        "not_expressed": missing,
    }
    return Exported(json_bytes(content), by_hand, missing)


def _highest(card: Scorecard) -> int:
    caps = [card.attributes_cap, card.behaviours_cap]
    both = sum(cap for cap in caps if cap is not None) if None not in caps else None
    highest = card.total_cap if card.total_cap is not None else both
    wanted = max(highest or Decimal(0), card.classes.hot, *(abs(r.points) for r in rules_of(card)))
    if wanted > HIGHEST or (highest is not None and highest % 1 != 0):
        raise ConfigError(
            f"a score of up to {wanted.normalize():f}",
            expected=f"whole points within ±{HIGHEST:,}, HubSpot's widest score limit",
            next_step="divide all points, caps and thresholds by the same number first",
        )
    return int(highest) if highest is not None else HIGHEST


def _group(
    name: str, category: str, rules: tuple[Rule, ...], cap: Any, highest: int
) -> dict[str, Any]:
    return {
        "groupName": name,
        "groupCategory": category,
        "minValue": -highest,
        "maxValue": int(cap) if cap is not None else highest,
        "ruleConfigurations": [
            {
                # Without its condition a rule would be met by everyone.
                "enabled": False,
                "minimumValue": min(0, _most(rule, highest)),
                "maximumValue": max(0, _most(rule, highest)),
                "configuration": {"calculation": {"type": "CONSTANT", "value": int(rule.points)}},
            }
            for rule in rules
        ],
    }


def _most(rule: Rule, highest: int) -> int:
    """Return what a rule can add up to: its points once, or as much as the score allows."""
    repeats = getattr(rule, "per", "lead") != "lead"
    points = int(rule.points)
    return points if not repeats else highest if points >= 0 else -highest
