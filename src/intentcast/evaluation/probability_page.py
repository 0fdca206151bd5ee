"""The report's part on whether the probabilities are true."""

from collections.abc import Mapping
from typing import Any

from intentcast.evaluation import charts
from intentcast.evaluation.formats import format_number, format_percent

CHAMPION = "champion"


def reliability_part(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return the reliability diagram and its groups."""
    bins = [b for b in summary["reliability"] if None not in b.values()]
    if not bins:
        return {"bins": [], "svg": "", "groups_svg": ""}
    groups = [
        {
            **b,
            "group": f"{format_percent(b['mean_probability'])}\n"
            f"{format_number(b['n_converted'])}\nof\n{format_number(b['n_leads'])}",
        }
        for b in bins
    ]
    said = "; ".join(
        f"{format_percent(b['mean_probability'])} said, {format_percent(b['share_converted'])}"
        f" converted of {format_number(b['n_leads'])}"
        for b in bins
    )
    return {
        "bins": bins,
        "usual": min(bins, key=lambda b: abs(b["mean_probability"] - (summary["base_rate"] or 0))),
        "top": bins[-1],
        "svg": charts.draw_reliability(bins, label=f"Reliability diagram: {said}"),
        "groups_svg": charts.draw_groups(groups, label=f"The same by group: {said}"),
    }


def quarters_part(summary: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was said and what came by quarter, drawn."""
    rows = summary.get("quarters", [])
    groups = [
        {
            **row,
            "low": row["share_converted"] if row["low"] is None else row["low"],
            "high": row["share_converted"] if row["high"] is None else row["high"],
            "group": f"{row['quarter']}\n{format_percent(row['mean_probability'])}\n"
            f"{format_number(row['n_converted'])}\nof\n{format_number(row['n_snapshots'])}",
        }
        for row in rows
    ]
    said = "; ".join(
        f"{row['quarter']}: {format_percent(row['mean_probability'])} said, "
        f"{format_percent(row['share_converted'])} converted"
        for row in rows
    )
    title = "Quarter; what the model said; converted of scored"
    label = f"Said and realized by quarter: {said}"
    svg = charts.draw_groups(groups, label=label, title=title) if rows else ""
    return {"rows": rows, "svg": svg}


def spread_in_words(summary: Mapping[str, Any]) -> str:
    """Return the champion's figures with their 95 % intervals, in words."""
    of_champion = summary["contenders"][CHAMPION]
    words = (
        ("auc", "AUC", 3),
        ("average_precision", "average precision", 3),
        ("brier", "Brier score", 4),
        ("log_loss", "log loss", 4),
        ("calibration_slope", "calibration slope", 2),
    )
    parts = []
    for key, name, places in words:
        ends = of_champion.get("ci95", {}).get(key)
        if ends and None not in ends and of_champion[key] is not None:
            low, high = (format_number(end, places=places) for end in ends)
            parts.append(f"{name} {format_number(of_champion[key], places=places)} ({low}–{high})")
    return ", ".join(parts)
