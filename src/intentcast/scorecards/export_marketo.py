"""A points table as Marketo score tokens, and the smart campaigns that use them.

Format: one form post per token to `POST /rest/asset/v1/folder/{id}/tokens.json`, with `name`,
`type` (`score`), `value` and `folderType`
(https://experienceleague.adobe.com/en/docs/marketo-developer/marketo/rest/assets/tokens). The API
holds values only: a person builds one smart campaign per rule, whose flow step "Change Score" adds
`{{my.NAME}}`, as Marketo's own scoring programs do
(https://experienceleague.adobe.com/docs/marketo/using/product-docs/core-marketo-concepts/programs/
program-library/op-scoring-demographic.html). The file says which.

Limits: a token's name has at most 50 characters; a score token is a signed 32-bit integer. A
longer item is shortened, and the file holds both.
"""

import textwrap
from typing import Any

from intentcast.errors import ConfigError
from intentcast.files import json_bytes
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.export_parts import (
    Exported,
    not_expressed,
    refuse_fractions,
    settings_of,
    when_met,
)
from intentcast.scorecards.hits import Rule, rules_of

NAME_LENGTH = 50
LARGEST = 2**31 - 1
# A person sets these elsewhere: lists, alerts and the lifecycle model.
_ELSEWHERE = ("classes.warm", "classes.hot", "immediate", "opt_out")
_UNKNOWN = ("distinct_people", "until", "weight", "bands", "decay", "window_days")


def to_marketo(card: Scorecard) -> Exported:
    """Return the table as token requests with the campaigns that use them.

    Raises:
        ConfigError: If points are not whole 32-bit numbers, or two names are the same once
            shortened.
    """
    rules = rules_of(card)
    refuse_fractions(rules, tool="a Marketo score token")
    names = _token_names(rules)
    too_large = [r.item for r in rules if abs(r.points) > LARGEST]
    if too_large:
        raise ConfigError(
            f"points above {LARGEST:,}: {', '.join(too_large)}",
            expected="a signed 32-bit integer, as Marketo's score tokens are",
            next_step="divide all points, caps and thresholds by the same number first",
        )
    tokens = [
        {"name": name, "type": "score", "value": f"{int(rule.points):+d}", "folderType": "Program"}
        for name, rule in zip(names, rules, strict=True)
    ]
    campaigns = [_campaign(name, rule, rules) for name, rule in zip(names, rules, strict=True)]
    settings = settings_of(card)
    by_hand = [f"{each['campaign']}: {each['when']}" for each in campaigns]
    by_hand += [f"{key} = {settings[key]}" for key in _ELSEWHERE if key in settings]
    missing = not_expressed(card, settings, unknown=_UNKNOWN, expressed=_ELSEWHERE)
    content = {
        "request": {
            "method": "POST",
            "path": "/rest/asset/v1/folder/{id}/tokens.json",
            "content_type": "application/x-www-form-urlencoded",
        },
        "tokens": tokens,
        "campaigns": campaigns,
        "by_hand": by_hand,
        "not_expressed": missing,
    }
    return Exported(json_bytes(content), by_hand, missing)


def _token_names(rules: tuple[Rule, ...]) -> list[str]:
    names = [textwrap.shorten(rule.item, NAME_LENGTH, placeholder="...") for rule in rules]
    if same := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(
            f"items that are the same in their first {NAME_LENGTH} characters: {', '.join(same)}",
            expected=f"names of at most {NAME_LENGTH} characters, as Marketo's tokens have",
            next_step="shorten these items in the scorecard",
        )
    return names


def _campaign(name: str, rule: Rule, rules: tuple[Rule, ...]) -> dict[str, Any]:
    return {
        "campaign": rule.item,
        "when": when_met(rule, rules),
        "flow": f"Change Score by {{{{my.{name}}}}}",
    }
