"""A points table as CSV: one row per rule and setting, everything expressed, for any spreadsheet.

Columns: `part` (attribute, behaviour or setting), `place` (an attribute's axis, a behaviour's
group), `item`, `condition` (keys of the scorecard file), `points` (of a setting, its value).
UTF-8, RFC 4180 (https://www.rfc-editor.org/rfc/rfc4180). A text that a spreadsheet would run as a
formula gets an apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection).
"""

import csv
import io
import json

from intentcast.scorecards.card import Scorecard
from intentcast.scorecards.export_parts import Exported, condition_of, in_words, plain, settings_of
from intentcast.scorecards.hits import rules_of

_COLUMNS = ("part", "place", "item", "condition", "points")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def to_csv(card: Scorecard) -> Exported:
    """Return the table as CSV."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    for position, rule in enumerate(rules_of(card)):
        is_attribute = position < len(card.attributes)
        condition = condition_of(rule)
        place = condition.pop("axis", None) or condition.pop("group", None) or ""
        for key in ("bands", "weight"):
            # Not when the rule is met but what it is then worth: points alone would not say it.
            if key in (raw := rule.model_dump(exclude_defaults=True)):
                condition[key] = plain(raw[key])
        writer.writerow(
            (
                "attribute" if is_attribute else "behaviour",
                _cell(place),
                _cell(rule.item),
                _cell(in_words(condition)),
                plain(rule.points),
            )
        )
    for key, value in settings_of(card).items():
        shown = value if isinstance(value, int | float) else json.dumps(value, ensure_ascii=False)
        writer.writerow(("setting", "", _cell(key), "", _cell(shown)))
    return Exported(buffer.getvalue().encode())


def _cell(value: object) -> object:
    risky = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if risky else value
