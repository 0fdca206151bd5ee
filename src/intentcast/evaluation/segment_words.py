"""What was found of the segments, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from intentcast.evaluation.phrases import name_in_words

_SAID = {"too low": "no, said too little", "too high": "no, said too much"}


def segment_in_words(row: Mapping[str, Any]) -> str:
    """Return whether the probability is true in a segment: a table's cell."""
    if row["p_value"] is None:
        return "too few"
    p = "p < 0.001" if row["p_adjusted"] < 0.001 else f"p {row['p_adjusted']:.2g}"
    return f"{_SAID.get(row['verdict'], 'as far as seen')} ({p})"


def segment_verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return one or two sentences on all segments."""
    tested = [row for row in rows if row["p_value"] is not None]
    wrong = [row for row in tested if row["verdict"] in _SAID]
    if not tested:
        return "No segment has enough conversions to say whether the probability is true in it."
    if not wrong:
        return (
            f"In none of {len(tested)} segments does what the model said differ from what "
            "converted by more than chance."
        )
    named = "; ".join(
        f"{name_in_words(row['attribute'])} {row['level']} ({row['mean_probability']:.1%} said, "
        f"{row['share_converted']:.1%} converted)".replace("%", " %")
        for row in wrong
    )
    return (
        f"In {len(wrong)} of {len(tested)} segments what the model said differs from what "
        f"converted by more than chance: {named}. Look before you trust it there."
    )
