"""Scorecard files in: one-line errors that name the file, the line, the rule and the key."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, RootModel, ValidationError

from intentcast.config import parse_settings, read_settings
from intentcast.errors import ConfigError
from intentcast.scorecards.card import AttributeRule, BehaviourRule, Scorecard
from intentcast.scorecards.decay import DECAYS
from intentcast.scorecards.lines import Path as Key
from intentcast.scorecards.lines import key_lines, line_of

Model = TypeVar("Model", bound=BaseModel)
_Raw = RootModel[dict[str, Any]]
# What pydantic puts into the place of an error beside keys: which member of a union it tried.
_KINDS = frozenset(DECAYS)


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
    raw = read_settings(path, _Raw).root
    lines = key_lines(path.read_text(encoding="utf-8-sig"))
    return parse_scorecard(raw, source=str(path), lines=lines)


def parse_scorecard(
    raw: dict[str, Any], *, source: str, lines: Mapping[Key, int] | None = None
) -> Scorecard:
    """Turn a mapping into a scorecard; `source` names it in errors.

    Args:
        raw: What the file says.
        source: The file.
        lines: From `lines.key_lines`: errors then name the line.

    Raises:
        ConfigError: If a key is unknown or wrong.
    """
    at = lines or {}
    # Part by part first: an error then names the rule and knows which keys are possible there.
    for kind, model in (("attributes", AttributeRule), ("behaviours", BehaviourRule)):
        rules = raw.get(kind, [])
        for number, rule in enumerate(rules if isinstance(rules, list) else []):
            named = repr(rule["item"]) if isinstance(rule, dict) and rule.get("item") else ""
            where = f"{kind} rule {number + 1}{f' ({named})' if named else ''} of {source}"
            _parse(rule, model, source=where, under=(kind, number), lines=at)
    decay = raw.get("decay")
    if isinstance(decay, dict) and decay.get("kind") in DECAYS:
        _parse(
            decay, DECAYS[decay["kind"]], source=f"[decay] of {source}", under=("decay",), lines=at
        )
    return _parse(raw, Scorecard, source=source, under=(), lines=at)


def _parse(
    raw: dict[str, Any],
    model: type[Model],
    *,
    source: str,
    under: Key,
    lines: Mapping[Key, int],
) -> Model:
    """Parse one part; `under` is where it is in the file."""
    try:
        return parse_settings(raw, model, source=source)
    except ConfigError as error:
        wrong = error.__context__
        found = _lines(wrong, under, lines) if isinstance(wrong, ValidationError) else []
        if not found:
            raise
        numbers = ", ".join(map(str, found))
        raise ConfigError(
            f"{error.found}, line{'s' if len(found) > 1 else ''} {numbers}",
            expected=error.expected,
            next_step=error.next_step,
        ) from None


def _lines(error: ValidationError, under: Key, lines: Mapping[Key, int]) -> list[int]:
    """Return the lines of the keys that are wrong, rising, each once."""
    places = [
        tuple(step for step in item["loc"] if step not in _KINDS)
        for item in error.errors(include_url=False, include_context=False)
    ]
    found = {line_of(lines, (*under, *place)) for place in places}
    return sorted(line for line in found if line is not None)
