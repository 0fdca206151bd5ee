"""A backtest as one HTML file for the people who decide on it: verdict first, then the evidence."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from intentcast.evaluation import charts
from intentcast.evaluation.formats import MISSING, format_number, format_percent
from intentcast.evaluation.pages import page_environment
from intentcast.evaluation.phrases import feature_in_words, name_in_words
from intentcast.evaluation.probability_page import (
    quarters_part,
    reliability_part,
    spread_in_words,
)
from intentcast.evaluation.revops_page import revops_part
from intentcast.evaluation.segment_words import segment_in_words, segment_verdict
from intentcast.features.spec import slug

_CHAMPION = "champion"
_SCORECARD = "scorecard:"
_FEWEST_CONVERSIONS = 10
_N_DRIVERS = 15
_LEARNERS = {
    _CHAMPION: "the model",
    "base_rate": "same probability for everyone",
    "logistic": "logistic regression",
    "lightgbm": "LightGBM model",
    "hazard": "LightGBM hazard model",
    "blend": "mean of regression and hazard model",
}
_REASON_WORDS = {
    r"\blogistic\b(?! regression)": "logistic regression",
    r"\blightgbm\b": "LightGBM",
    r"\bhazard\b": "LightGBM hazard model",
    r"\bblend\b": "the mean of both",
    r"\bsnapshots\b": "scorings",
    r"\baccount folds\b": "judged on accounts held back",
    r"\blater slice\b": "judged on a later slice of the training time",
}
_CALIBRATIONS = {
    "none": "left as they were, because no correction was clearly better",
    "level": "moved up or down as a whole",
    "platt": "corrected by a Platt curve",
    "beta": "corrected by a beta curve",
    "isotonic": "corrected by an isotonic curve",
}


class Verdict(NamedTuple):
    """What the backtest says, in words.

    Attributes:
        badge: Two or three words.
        kind: Whose colour it takes.
        sentence: The comparison with its numbers.
        advice: What to make of it.
    """

    badge: str
    kind: charts.Kind
    sentence: str
    advice: str


def render_report(summary: Mapping[str, Any]) -> str:
    """Return a self-contained HTML page of what `summarise` returned.

    It has no script and loads nothing; every name from the data is escaped.
    """
    environment = page_environment("intentcast.evaluation")
    environment.filters |= {"contender": contender_in_words, "judged": segment_in_words}
    return environment.get_template("report.html.j2").render(
        s=summary,
        verdict=state_verdict(summary),
        order=_contenders(summary),
        facts=_facts(summary),
        why=_why(summary),
        revops=revops_part(summary, contender_in_words),
        gains=_gains(summary),
        reliability=reliability_part(summary),
        quarters=quarters_part(summary),
        spread=spread_in_words(summary),
        precision=_precision(summary),
        paired=_paired(summary),
        drivers=_drivers(summary),
        segments=_segments(summary),
        segment_verdict=segment_verdict(summary["segments"]),
        fewest=_FEWEST_CONVERSIONS,
    )


def contender_in_words(name: str) -> str:
    """Return what to call a contender in a sentence."""
    if name.startswith(_SCORECARD):
        return f"{name_in_words(name.removeprefix(_SCORECARD))} points table"
    return _LEARNERS.get(name, name_in_words(name))


def state_verdict(summary: Mapping[str, Any]) -> Verdict:
    """Return who won against the points table that found most, as a person would say it."""
    headline = summary["headline"]
    per_week = format_number(summary["dataset"]["handoffs_per_week"])
    start = f"At {per_week} hand-offs a week, the model found"
    if headline is None:
        alone = summary["contenders"][_CHAMPION]["precision_at_capacity"]
        return Verdict(
            "No comparison",
            "neutral",
            f"{start} {format_number(alone['n_converted'])} conversions in "
            f"{format_number(alone['n_handoffs'])} hand-offs ({format_percent(alone['expected'])})."
            " There is no points table to compare with.",
            "This test cannot say whether the model beats the rules that the team works by: give "
            "their points table as a scorecard to find out.",
        )
    places = _places(headline)
    gap, low, high = (round(v, places) for v in (headline["difference"], *headline["ci95"]))

    def count(value: float) -> str:
        return format_number(abs(value), places=places)

    def gained(value: float) -> str:
        return f"{count(value)} {'fewer' if value < 0 else 'more'}" if value else "no more"

    compared = (
        f"{start} {count(headline['conversions_a'])} conversions where the "
        f"{contender_in_words(headline['b'])} found {count(headline['conversions_b'])}: "
        f"{gained(gap) if gap else 'as many'}"
    )
    if headline["verdict"] == "model wins":
        return Verdict(
            "The model wins",
            "model",
            f"{compared} (95 % interval {count(low)} to {count(high)}). The model wins.",
            "For the same work, sales would meet more leads that convert.",
        )
    if headline["verdict"] == "rules win":
        return Verdict(
            "The rules win",
            "rules",
            f"{compared} (95 % interval {count(high)} to {count(low)} fewer). The rules win.",
            "Keep the points table: for the same work, it leads sales to more conversions.",
        )
    return Verdict(
        "No difference",
        "neutral",
        f"{compared} (95 % interval from {gained(low)} to {gained(high)}). No difference: do not "
        "switch on this evidence.",
        "Chance alone can explain a gap of this size, in either direction.",
    )


def _places(pair: Mapping[str, Any]) -> int:
    """Return the fewest decimals at which the figures add up and no bound becomes a zero."""
    figures = (pair["conversions_a"], pair["conversions_b"], pair["difference"], *pair["ci95"])
    for places in range(3):
        a, b, gap, low, high = (round(v, places) for v in figures)
        is_kept = all((r == 0) == (v == 0) for r, v in zip((low, high), figures[3:], strict=True))
        if is_kept and math.isclose(a - b, gap, abs_tol=1e-6):
            return places
    return 1


def _kind(name: str) -> charts.Kind:
    if name == _CHAMPION:
        return "model"
    if name.startswith(_SCORECARD):
        return "rules"
    return "neutral" if name == "base_rate" else "learner"


def _contenders(summary: Mapping[str, Any]) -> list[str]:
    """Return the model, points tables, learners, base rate; of each kind the most precise first."""
    place = ["model", "rules", "learner", "neutral"]

    def rank(name: str) -> tuple[int, float, str]:
        precision = summary["contenders"][name]["precision_at_capacity"]["expected"] or 0.0
        return place.index(_kind(name)), -precision, name

    return sorted(summary["contenders"], key=rank)


def _facts(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return figures that the summary implies: weeks, volume, how they relate to capacity."""
    weeks = next(
        (t["n_leads"] / t["leads_per_week"] for t in summary["tiers"] if t["leads_per_week"]), None
    )
    headline = summary["headline"]
    alone = summary["contenders"][_CHAMPION]["precision_at_capacity"]
    handoffs = headline["handoffs"] if headline else alone["n_handoffs"]
    found = headline["conversions_a"] if headline else alone["n_converted"]
    rules = headline["conversions_b"] if headline else None
    return {
        "weeks": weeks,
        "windows": sum(1 for fold in summary["folds"] if fold["n_test"]),
        "handoffs": handoffs,
        "per_week": handoffs / weeks if weeks else None,
        "found": found,
        "found_by_rules": rules,
        "places": _places(headline) if headline else 0,
        "precision": found / handoffs if handoffs else None,
        "precision_by_rules": rules / handoffs if handoffs and rules is not None else None,
        "share_handed_over": handoffs / max(summary["n_leads"], 1),
        "set_aside": sum(summary["dataset"]["quarantined"].values()),
    }


def _why(summary: Mapping[str, Any]) -> dict[str, Any]:
    champion = summary["champion"]
    reason = champion["reason"]
    for pattern, words in _REASON_WORDS.items():
        reason = re.sub(pattern, words, reason)
    kinds = {
        days: _CALIBRATIONS.get(k, name_in_words(k)) for days, k in champion["calibration"].items()
    }
    return {
        "step": contender_in_words(champion["step"]),
        "steps": [contender_in_words(step) for step in champion["steps"]],
        "reason": reason,
        "calibration": kinds.get(str(summary["primary_horizon_days"]), MISSING),
    }


def _paired(summary: Mapping[str, Any]) -> dict[str, Any]:
    winner: dict[str, charts.Kind] = {"model wins": "model", "rules win": "rules"}
    rows = sorted(
        (
            {
                **pair,
                "name": contender_in_words(pair["b"]),
                "kind": winner.get(pair["verdict"], "neutral"),
                "low": pair["ci95"][0],
                "high": pair["ci95"][1],
            }
            for pair in summary["paired"]
        ),
        key=lambda row: row["difference"],
    )
    said = "; ".join(
        f"against the {r['name']} {format_number(r['difference'], places=1)} "
        f"({format_number(r['low'], places=1)} to {format_number(r['high'], places=1)})"
        for r in rows
    )
    label = f"Conversions that the model found more, with 95 % intervals: {said}"
    return {"rows": rows, "svg": charts.draw_differences(rows, label=label) if rows else ""}


def _gains(summary: Mapping[str, Any]) -> dict[str, Any]:
    curves = [
        {
            "name": contender_in_words(name),
            "kind": _kind(name),
            "points": summary["gains"][name],
        }
        for name in _contenders(summary)
        if name in summary["gains"] and _kind(name) in ("model", "rules")
    ]
    at = min((x for x, _ in summary["gains"][_CHAMPION]), key=lambda x: abs(x - 0.2))
    reached = [
        {"name": c["name"], "share": min(c["points"], key=lambda p: abs(p[0] - at))[1]}
        for c in curves
    ]
    said = ", ".join(f"{r['name']} {format_percent(r['share'])}" for r in reached)
    label = f"Gains curves. Of the conversions, the top {format_percent(at)} hold: {said}"
    return {"at": at, "reached": reached, "svg": charts.draw_gains(curves, label=label)}


def _precision(summary: Mapping[str, Any]) -> dict[str, Any]:
    rows = [
        {
            "name": contender_in_words(name),
            "kind": _kind(name),
            **summary["contenders"][name]["precision_at_capacity"],
        }
        for name in _contenders(summary)
    ]
    drawn = [
        r | {"shown": format_percent(r["expected"])} for r in rows if r["expected"] is not None
    ]
    said = ", ".join(f"{r['name']} {r['shown']}" for r in drawn)
    label = f"Precision at capacity: {said}"
    svg = charts.draw_precision(drawn, base_rate=summary["base_rate"], label=label) if drawn else ""
    return {"rows": rows, "svg": svg}


def _drivers(summary: Mapping[str, Any]) -> dict[str, Any]:
    levels: dict[str, dict[str, str]] = {}
    for row in summary["segments"]:
        levels.setdefault(row["attribute"], {})[slug(row["level"])] = row["level"]
    found = [(name, weight) for name, weight in summary["drivers"][:_N_DRIVERS] if weight]
    rows: list[dict[str, Any]] = [
        {"name": feature_in_words(name, levels), "weight": 100 * weight / found[0][1]}
        for name, weight in found
    ]
    label = "What the model leans on most: " + "; ".join(row["name"] for row in rows[:5])
    return {"rows": rows, "svg": charts.draw_drivers(rows, label=label) if rows else ""}


def _segments(summary: Mapping[str, Any]) -> list[tuple[str, Sequence[Mapping[str, Any]]]]:
    grouped: dict[str, list[Mapping[str, Any]]] = {}
    for row in summary["segments"]:
        grouped.setdefault(name_in_words(row["attribute"]), []).append(row)
    return list(grouped.items())
