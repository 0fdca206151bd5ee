"""Half-lives as a picture: a dot and an interval per group, the points table's own as a line."""

from collections.abc import Iterator
from typing import Any

from intentcast.evaluation import charts
from intentcast.evaluation.half_life_page import best, span
from intentcast.evaluation.half_lives import GroupHalfLife, HalfLifeReport, Memory
from intentcast.propensity.half_lives import HALF_LIVES_DAYS

_FIRST, _LAST = HALF_LIVES_DAYS[0], HALF_LIVES_DAYS[-1]
_TICKS = [1, 2, 3, 7, 14, 30, 60, 90, 180]
_SERIES = ("on its own", "added to the others of its kind")
_ROW_HEIGHT = 34


def draw_half_lives(report: HalfLifeReport) -> str:
    """Return the picture as SVG, self-contained; an empty string where no group has an effect.

    An interval that reaches beyond the grid ends in an arrow there. A group with an effect but no
    half-life, or none of the two, has no dot.
    """
    import altair as alt

    rows = list(_rows(report))
    if not rows:
        return ""
    names = list(dict.fromkeys(row["name"] for row in rows))
    y = alt.Y("name:N", sort=names, title=None)
    offset = alt.YOffset("series:N", sort=list(_SERIES), scale=alt.Scale(paddingOuter=0.25))
    colour = alt.Color(
        "series:N",
        sort=list(_SERIES),
        scale=alt.Scale(
            domain=list(_SERIES), range=[charts.COLOURS["model"], charts.COLOURS["learner"]]
        ),
        legend=alt.Legend(title=None, orient="top"),
    )
    x = alt.X(
        "low:Q",
        title="Half-life in days, with its 90 % interval",
        scale=alt.Scale(type="log", domain=[_FIRST, _LAST], nice=False),
        axis=alt.Axis(values=_TICKS, format="d"),
    )
    base = alt.Chart(charts._data(rows))
    shared: dict[str, Any] = {"y": y, "yOffset": offset, "color": colour}
    layers = [base.mark_rule(strokeWidth=3).encode(x=x, x2="high:Q", **shared)]
    for field, angle in (("low", 270), ("high", 90)):
        arrow = base.transform_filter(f"datum.is_open_{field}").mark_point(
            shape="triangle", angle=angle, filled=True, size=70, opacity=1
        )
        layers.append(arrow.encode(x=f"{field}:Q", **shared))
    dots = base.transform_filter("isValid(datum.best)").mark_point(filled=True, size=90, opacity=1)
    layers.append(dots.encode(x="best:Q", **shared))
    if report.rule_days is not None and _FIRST <= report.rule_days <= _LAST:
        layers = [*_rule_layers(report), *layers]
    height = _ROW_HEIGHT * len(names)
    return charts._svg(alt.layer(*layers), name="half-lives", label=_label(report), height=height)


def standalone(svg: str) -> str:
    """Return a picture of a page as a file of its own, dark on white."""
    head = '<svg xmlns="http://www.w3.org/2000/svg" style="background:#fff;color:#0b0b0c" '
    return str(svg).replace("<svg ", head, 1)


def _rows(report: HalfLifeReport) -> Iterator[dict[str, Any]]:
    for group in report.groups:
        name = _name(group)
        for series, memory in zip(_SERIES, (group.alone, group.beside), strict=True):
            if memory is not None and memory.verdict != "no evidence":
                is_known = memory.verdict == "known"
                yield {
                    "name": name,
                    "series": series,
                    "best": memory.best_days if is_known else None,
                    "low": memory.low_days or _FIRST,
                    "high": memory.high_days or _LAST,
                    "is_open_low": memory.low_days is None,
                    "is_open_high": memory.high_days is None,
                }


def _name(group: GroupHalfLife) -> str:
    return group.kind if group.kind == "all activity" else f"{group.name} ({group.kind})"


def _rule_layers(report: HalfLifeReport) -> list[Any]:
    import altair as alt

    text = f"{report.scorecard}: {report.rule_days} days"
    at = alt.Chart(charts._data([{"rule": report.rule_days, "text": text}]))
    orange = charts.COLOURS["rules"]
    line = at.mark_rule(color=orange, strokeWidth=2, strokeDash=[6, 4]).encode(x="rule:Q")
    label = at.mark_text(color=orange, align="left", dx=5, dy=-6, fontSize=12, baseline="bottom")
    return [line, label.encode(x="rule:Q", y=alt.value(0), text="text:N")]


def _label(report: HalfLifeReport) -> str:
    told = []
    for group in report.groups:
        memory: Memory | None = group.alone
        if memory is not None and memory.verdict == "known":
            told.append(f"{_name(group)} {best(memory)} [{span(memory)}]")
    rule = (
        f" Points of {report.scorecard} halve after {report.rule_days}." if report.rule_days else ""
    )
    return f"Half-lives in days, on their own: {', '.join(told) or 'none known'}.{rule}"
