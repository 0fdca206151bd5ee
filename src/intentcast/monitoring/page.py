"""The traffic-light page: one file without script, the lights first, then what they rest on."""

from collections.abc import Sequence
from typing import Any

from intentcast.evaluation import charts
from intentcast.evaluation.formats import format_number, format_percent
from intentcast.evaluation.pages import page_environment, style_sheet
from intentcast.evaluation.phrases import feature_in_words
from intentcast.monitoring.charts import draw_course, draw_drift
from intentcast.monitoring.drift import MOVED, SHIFTED
from intentcast.monitoring.early import EarlyTime
from intentcast.monitoring.realized import Quality, TimeFound
from intentcast.monitoring.run import Monitored
from intentcast.monitoring.state import group_key

_N_FEATURES = 12
_FEWEST_TIMES = 2


def render_page(found: Monitored) -> str:
    """Return a self-contained HTML page; every name from the data is escaped."""
    from markupsafe import Markup

    environment = page_environment("intentcast.monitoring")
    environment.filters |= {
        "kept": lambda text: text.replace(" %", "\u00a0%"),
        "day": lambda moment: f"{moment.day} {moment:%b %Y}",
        "moment": lambda moment: f"{moment.day} {moment:%b %Y %H:%M} UTC",
    }
    template = environment.get_template("monitor.html.j2")
    return template.render(
        m=found,
        style=Markup(style_sheet()),
        drift=_drift(found),
        main=_main(found),
        early=_early(found),
        changes=[
            (q, found.changes.get(group_key(q.version, q.horizon_days))) for q in found.qualities
        ],
        flows=[v for v in found.volumes if v.flow != "usual"],
        sentence=_sentence(found),
    )


def _sentence(found: Monitored) -> str:
    """Return the whole in one sentence."""
    if found.light == "green":
        return "Nothing needs to be done."
    if found.light == "grey":
        return "There is too little to judge yet."
    named = [s.name for s in found.signals if s.light == found.light]
    start = "Someone must look at" if found.light == "red" else "Keep an eye on"
    return f"{start}: {'; '.join(named)}."


def _drift(found: Monitored) -> dict[str, Any]:
    shown = [f for f in found.drift or () if f.psi > 0][:_N_FEATURES]
    rows: list[dict[str, Any]] = [
        {
            "name": feature_in_words(f.name, {}),
            "psi": f.psi,
            "kind": "neutral" if f.status == "stable" else "rules",
            "feature": f,
        }
        for f in shown
    ]
    drawn = [{key: row[key] for key in ("name", "psi", "kind")} for row in rows]
    said = "; ".join(f"{row['name']} {format_number(row['psi'], places=2)}" for row in rows[:5])
    label = f"Shift against training: {said}"
    svg = draw_drift(drawn, bands=(MOVED, SHIFTED), label=label) if drawn else ""
    return {"rows": rows, "svg": svg}


def _main(found: Monitored) -> dict[str, Any] | None:
    """Return the pictures of the bundle's own quality at its primary horizon."""
    mine = [q for q in found.qualities if q.version == found.bundle["version"] and q.tiers]
    if not mine:
        return None
    quality: Quality = mine[0]
    bins = [b._asdict() for b in quality.reliability]
    said = "; ".join(
        f"{format_percent(b['mean_probability'])} said, {format_percent(b['share_converted'])} "
        f"converted of {format_number(b['n_leads'])}"
        for b in bins
    )
    return {
        "quality": quality,
        "course": _course(quality.times, "course"),
        "reliability": charts.draw_reliability(bins, label=f"Reliability diagram: {said}"),
    }


def _early(found: Monitored) -> str:
    return _course(found.early.times, "early") if found.early else ""


def _course(times: Sequence[TimeFound | EarlyTime], name: str) -> str:
    if len(times) < _FEWEST_TIMES:
        return ""
    rows: list[dict[str, Any]] = [
        {"as_of": f"{t.as_of:%Y-%m-%d}", "expected": t.expected, "observed": t.observed}
        for t in times
    ]
    expected, observed = (sum(row[key] for row in rows) for key in ("expected", "observed"))
    label = (
        f"Conversions per as-of time: {format_number(expected)} expected in all, "
        f"{format_number(observed)} came"
    )
    return draw_course(rows, name=name, label=label)
