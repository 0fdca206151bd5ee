"""The report's part on what sales should do: what `revops.html.j2` shows, from `revops`."""

from collections.abc import Callable, Mapping
from typing import Any

from intentcast.evaluation import charts
from intentcast.evaluation.revops_chart import draw_volumes

# What RevOps runs next; DATA is the data set's folder.
COMMANDS = (
    ("calibrate DATA --per-week {per_week} --out policy.json", "writes the limits as a file"),
    ("score DATA --policy policy.json", "scores today’s leads and gives them these tiers"),
    ("reprice DATA --scorecard TABLE.toml --out new.toml", "refits a points table to outcomes"),
    ("distil DATA --scorecard TABLE.toml --out new.toml", "fits a points table to the model"),
    ("export new.toml --to hubspot", "writes a table for HubSpot, Marketo or a spreadsheet"),
    ("feedback DATA", "what sales accepted and sent back, and why"),
    ("forecast DATA", "when each hot or warm lead drops a tier if it stays silent"),
    ("explore DATA --scores scores.parquet --per-week 2", "draws a few leads below hot at random"),
)
_KINDS: Mapping[str, charts.Kind] = {"new points win": "model", "old points win": "rules"}


def revops_part(summary: Mapping[str, Any], in_words: Callable[[str], str]) -> dict[str, Any]:
    """Return what the template shows; empty where the summary has no `revops`.

    Args:
        summary: What `summarise` returned.
        in_words: What to call a contender in a sentence.
    """
    found = summary.get("revops")
    if not found:
        return {}
    told = found["thresholds"]
    per_week = f"{summary['dataset']['handoffs_per_week']:g}"
    return {
        "refused": told["refused"],
        "limits": [] if told["refused"] else _limits(told),
        "rates": [] if told["refused"] else _rates(told),
        "lost": told.get("lost"),
        "most_lost": told.get("most_lost"),
        "weeks": None if told["refused"] else told["bands"]["hot"]["weeks"],
        "evidence": told.get("evidence"),
        "curve": _curve(found["curve"], in_words),
        "repriced": _repriced(found["repriced"], in_words),
        "commands": [(command.format(per_week=per_week), what) for command, what in COMMANDS],
    }


def _limits(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    tiers = told["tiers"]
    return [
        {
            "tier": tier,
            "name": name,
            "enter": tiers[tier],
            "leave": tiers.get(f"{tier}_leave"),
            **told["bands"][tier]["per_week"],
            "precision": told["bands"][tier]["precision"],
        }
        for tier, name in (("hot", "hot"), ("warm", "warm or hot"))
    ]


def _rates(told: Mapping[str, Any]) -> list[dict[str, Any]]:
    tiers, n_times = told["tiers"], told["evidence"]["n_as_of_times"]
    lowest = tiers.get("deprioritise")
    begins = {"hot": tiers["hot"], "warm": tiers["warm"], "cold": lowest or 0.0}
    all_won = sum(rate["n_converted"] for rate in told["rates"])
    return [
        {
            **rate,
            "begins": begins.get(rate["tier"], 0.0),
            "at_a_time": rate["n_rows"] / n_times,
            "share_of_conversions": rate["n_converted"] / all_won if all_won else None,
        }
        for rate in told["rates"]
    ]


def _curve(found: Mapping[str, Any], in_words: Callable[[str], str]) -> dict[str, Any]:
    points = [p for p in found["points"] if p["n_handoffs"]]
    present = next((p for p in points if p["multiple"] == 1), None)
    if present is None:
        return {"svg": ""}
    double = next((p for p in points if p["multiple"] == 2), None)
    kinds: tuple[charts.Kind, ...] = ("model", "rules") if found["rival"] else ("model",)
    names = {"model": "the model", "rules": in_words(found["rival"] or "")}
    curves = [
        {
            "name": names[kind],
            "kind": kind,
            "points": [
                {"handoffs_per_week": p["handoffs_per_week"], **p[kind]}
                for p in points
                if p[kind]["precision"] is not None
            ],
        }
        for kind in kinds
    ]
    said = "; ".join(
        f"{names[kind]} {present[kind]['conversions_per_week']:.1f} conversions" for kind in kinds
    )
    at = present["handoffs_per_week"]
    return {
        "present": present,
        "double": double,
        "more": _more(present, double) if double else None,
        "svg": draw_volumes(
            curves,
            per_week=at,
            label=f"Hand-offs a week against the share that converts and conversions a week. At "
            f"{at:.1f} hand-offs a week: {said}",
        ),
    }


def _more(present: Mapping[str, Any], double: Mapping[str, Any]) -> dict[str, float]:
    """Return what the model would find in the second as many hand-offs."""
    handoffs = double["handoffs_per_week"] - present["handoffs_per_week"]
    won = double["model"]["conversions_per_week"] - present["model"]["conversions_per_week"]
    return {"handoffs": handoffs, "conversions": won, "precision": won / handoffs}


def _repriced(
    found: Mapping[str, Any] | None, in_words: Callable[[str], str]
) -> dict[str, Any] | None:
    if found is None:
        return None
    low, high = found["ci95"]
    advice = {
        "new points win": "Use the new points.",
        "old points win": "Keep the points as they are.",
    }.get(found["verdict"], "Keep the points as they are: chance alone can explain the gap.")
    return {
        **found,
        "table": in_words(found["b"]),
        "low": low,
        "high": high,
        "kind": _KINDS.get(found["verdict"], "neutral"),
        "advice": advice,
    }
