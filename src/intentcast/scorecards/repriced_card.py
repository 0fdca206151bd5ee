"""A refitted points table as a file: the team's own file with other numbers, comments kept.

Only `points`, thresholds, `name` and `description` change, each on its own
line, so that a diff shows the new points and nothing else. A file written in another way (inline
tables, several rules on a line) is written anew from what was read.
"""

import json
import re
import tomllib
from decimal import Decimal

import numpy as np
import tomli_w

from intentcast.errors import ConfigError
from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.export_parts import plain
from intentcast.scorecards.reading import parse_scorecard
from intentcast.scorecards.repricing import Repricing

_HEADER = re.compile(r"^\s*\[\[?\s*([A-Za-z_]+)\s*\]\]?\s*(#.*)?$")
_SETTING = re.compile(r"^(\s*)([A-Za-z_]+)(\s*=\s*)([^#]*?)(\s*#.*)?$")
_DESCRIPTION_LENGTH = 200


def card_text(repricing: Repricing, original: str) -> str:
    """Return the refitted table as TOML text that `read_scorecard` reads back as `repricing.new`.

    Args:
        repricing: The refit.
        original: Text of the file of the present table.
    """
    new = repricing.new.model_copy(update={"description": _description(repricing)})
    kept = _edited(original, new)
    if not _says(kept, new):
        kept = tomli_w.dumps(plain(new.model_dump(exclude_unset=True, exclude_none=True)))
    if not _says(kept, new):
        raise ConfigError(
            f"the refitted table {new.name} cannot be written as TOML",
            expected="a table that reads back as it was",
            next_step="report this as a defect",
        )
    return "".join(f"# {line}\n" for line in provenance(repricing)) + "#\n" + kept


def provenance(repricing: Repricing) -> list[str]:
    """Return what the points were fitted to and when, in lines of at most 98 characters."""
    chosen = repricing.chosen
    how = "kept as they were" if np.isinf(chosen.penalty) else f"penalty {chosen.penalty:g}"
    marked = [rule.item for rule in repricing.rules if not rule.has_support]
    lines = [
        f"Points refitted by `intentcast`: {repricing.old.name} fitted to {repricing.source}.",
        f"Known by {repricing.known_by:%Y-%m-%d %H:%M} UTC; as-of times {repricing.first:%Y-%m-%d} "
        f"to {repricing.last:%Y-%m-%d}.",
        f"{repricing.n_snapshots:,} snapshots of {repricing.n_leads:,} leads, "
        f"{repricing.n_converted:,} {counted(repricing)}; {how}, judged by {chosen.judge}.",
        f"Held equal: {repricing.anchor.threshold}, {repricing.anchor.n_old:.10g} before and "
        f"{repricing.anchor.n_new:.10g} after. Caps, decay and conditions are unchanged.",
    ]
    if repricing.fitted_to == "probabilities":
        lines.append("Then hot and warm moved to where as many leads reach them as by the model.")
    return lines + [f"Nobody met it, scaled with the rest: {item}" for item in marked]


def counted(repricing: Repricing) -> str:
    """Return what `n_converted` counts, in words."""
    return "of them converted" if repricing.fitted_to == "outcomes" else "expected conversions"


def _description(repricing: Repricing) -> str:
    text = f"{repricing.old.description or repricing.old.name}, points refitted to "
    return (text + repricing.source)[:_DESCRIPTION_LENGTH]


def _edited(original: str, new: Scorecard) -> str:
    """Put new numbers into the lines of a file, in the order of its rules."""
    points = {
        "attributes": [rule.points for rule in new.attributes],
        "behaviours": [rule.points for rule in new.behaviours],
    }
    classes = {key: getattr(new.classes, key) for key in ("warm", "hot", "hot_needs_attributes")}
    at = {"attributes": -1, "behaviours": -1}
    section, lines = "", []
    describes = re.search(r"^description\s*=", original, flags=re.MULTILINE)
    for line in original.splitlines():
        if header := _HEADER.match(line):
            section = header[1]
            if section in at:
                at[section] += 1
        found = _SETTING.match(line)
        value = None
        if found and section in at and found[2] == "points" and at[section] < len(points[section]):
            value = _number(points[section][at[section]])
        elif found and section == "classes" and classes.get(found[2]) is not None:
            value = _number(classes[found[2]])
        elif found and not section and found[2] in ("name", "description"):
            value = json.dumps(getattr(new, found[2]), ensure_ascii=False)
        lines.append(
            line
            if value is None or not found
            else f"{found[1]}{found[2]}{found[3]}{value}{found[5] or ''}"
        )
        if found and not section and found[2] == "name" and not describes:
            lines.append(f"description = {json.dumps(new.description, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def _says(text: str, card: Scorecard) -> bool:
    try:
        return parse_scorecard(tomllib.loads(text), source="the refitted table") == card
    except (tomllib.TOMLDecodeError, ConfigError):
        return False


def _number(points: Decimal | None) -> str:
    return "0" if points is None else f"{points.normalize():f}"
