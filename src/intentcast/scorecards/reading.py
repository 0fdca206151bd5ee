"""Scorecard files in: one-line errors that name the file, the rule and the key."""

from pathlib import Path
from typing import Any

from pydantic import RootModel

from intentcast.config import parse_settings, read_settings
from intentcast.errors import ConfigError
from intentcast.scorecards.card import AttributeRule, BehaviourRule, Scorecard
from intentcast.scorecards.decay import DECAYS

_Raw = RootModel[dict[str, Any]]


def read_scorecard(path: Path) -> Scorecard:
    """Read and check a points table.

    Raises:
        ConfigError: If the file is missing, is not TOML, or a key is unknown or wrong.
    """
    if not path.is_file():
        raise ConfigError(
            f"no scorecard {path}",
            expected="a TOML file with a name, [classes], and [[attributes]] or [[behaviours]]",
            next_step="check the path, or copy a built-in scorecard and edit it",
        )
    return parse_scorecard(read_settings(path, _Raw).root, source=str(path))


def parse_scorecard(raw: dict[str, Any], *, source: str) -> Scorecard:
    """Turn a mapping into a scorecard; `source` names it in errors.

    Raises:
        ConfigError: If a key is unknown or wrong.
    """
    # Part by part first: an error then names the rule and knows which keys are possible there.
    for kind, model in (("attributes", AttributeRule), ("behaviours", BehaviourRule)):
        rules = raw.get(kind, [])
        for position, rule in enumerate(rules if isinstance(rules, list) else [], start=1):
            named = repr(rule["item"]) if isinstance(rule, dict) and rule.get("item") else ""
            where = f"{kind} rule {position}{f' ({named})' if named else ''} of {source}"
            parse_settings(rule, model, source=where)
    decay = raw.get("decay")
    if isinstance(decay, dict) and decay.get("kind") in DECAYS:
        parse_settings(decay, DECAYS[decay["kind"]], source=f"[decay] of {source}")
    return parse_settings(raw, Scorecard, source=source)
