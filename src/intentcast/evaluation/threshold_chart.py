"""Volume against precision and conversions as a picture, with the bands of the coming weeks."""

import re
from collections.abc import Sequence
from typing import Any

from intentcast.evaluation import charts
from intentcast.thresholds.calibration import Calibration

_SIZE = re.compile(r' width="([\d.]+)" height="([\d.]+)"')
_HEIGHT = 210


def draw_thresholds(found: Calibration) -> str:
    """Return the picture as SVG, self-contained: precision above, conversions a week below.

    Each point is a threshold; the further right, the lower it is. The line is what was measured,
    the shade the 95 % band of the coming weeks; hot and warm are marked.
    """
    rows = [
        {
            "threshold": point.threshold,
            "volume": point.forecast.per_week()["volume"].past,
            **_ends("precision", point.forecast.precision),
            **_ends("conversions", point.forecast.per_week()["conversions"]),
        }
        for point in found.curve
    ]
    marks = [
        {
            "name": f"{name} from {threshold:.1%}".replace("%", " %"),
            "volume": told.per_week()["volume"].past,
            "precision": told.precision.past,
            "conversions": told.per_week()["conversions"].past,
        }
        for name, threshold, told in (
            ("hot", found.tiers.hot, found.hot),
            ("warm", found.tiers.warm, found.warm),
        )
    ]
    return stacked(
        [
            _panel(rows, marks, "precision", "Share of hand-offs that convert", is_share=True),
            _panel(rows, marks, "conversions", "Conversions a week", is_share=False),
        ],
        label=_label(found),
    )


def _ends(name: str, band: Any) -> dict[str, float]:
    return {name: band.past, f"{name}_low": band.low, f"{name}_high": band.high}


def _panel(
    rows: Sequence[charts.Row],
    marks: Sequence[charts.Row],
    name: str,
    title: str,
    *,
    is_share: bool,
) -> str:
    import altair as alt

    blue = charts.COLOURS["model"]
    x = alt.X(
        "volume:Q",
        title="Hand-offs a week, as measured",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~r", tickCount=6),
    )
    # Room of one width for the labels, so that the two panels stand under each other.
    axis: dict[str, Any] = {"minExtent": 44, "tickCount": 5}
    if is_share:
        axis["labelExpr"] = charts._PERCENT
    y = alt.Y(f"{name}:Q", title=title, scale=alt.Scale(zero=True), axis=alt.Axis(**axis))
    base = alt.Chart(charts._data(rows))
    band = base.mark_area(color=blue, opacity=0.18).encode(
        x=x, y=alt.Y(f"{name}_low:Q"), y2=f"{name}_high:Q"
    )
    line = base.mark_line(color=blue, strokeWidth=2.5).encode(
        x=x, y=y, order=alt.Order("threshold:Q", sort="descending")
    )
    marked = alt.Chart(charts._data(marks))
    rule = marked.mark_rule(color=charts._INK, strokeDash=[4, 3]).encode(x=x)
    dot = marked.mark_point(filled=True, size=90, opacity=1, color=blue).encode(x=x, y=f"{name}:Q")
    texts = []
    for mark in marks:
        # The lower threshold may be at the right edge, and both close together.
        is_hot = mark is marks[0]
        text = alt.Chart(charts._data([mark])).mark_text(
            align="left" if is_hot else "right",
            dx=5 if is_hot else -5,
            fontSize=12,
            color=charts._INK,
            baseline="top",
        )
        texts.append(text.encode(x=x, y=alt.value(2 if is_hot else 18), text="name:N"))
    return charts._svg(
        alt.layer(band, line, rule, dot, *texts),
        name=f"thresholds-{name}",
        label=title,
        height=_HEIGHT,
    )


def stacked(panels: Sequence[str], *, label: str) -> str:
    """Return pictures one below the other as one."""
    from html import escape

    inner, top, width = [], 0.0, 0.0
    for panel in panels:
        size = _SIZE.search(panel)
        if size is None:
            raise ValueError("a panel without a size")
        # As plain text: what is marked as safe would escape what is put into it.
        inner.append(str(panel).replace("<svg ", f'<svg y="{top:g}" ', 1))
        top += float(size[2])
        width = max(width, float(size[1]))
    return (
        f'<svg role="img" aria-label="{escape(label)}" width="{width:g}" height="{top:g}" '
        f'viewBox="0 0 {width:g} {top:g}">{"".join(inner)}</svg>'
    )


def _label(found: Calibration) -> str:
    told = []
    for name, threshold, bring in (
        ("Hot", found.tiers.hot, found.hot),
        ("Warm", found.tiers.warm, found.warm),
    ):
        week = bring.per_week()
        told.append(
            f"{name} from {threshold:.1%}: {week['volume'].past:.1f} hand-offs a week, "
            f"{week['conversions'].past:.1f} conversions, precision "
            f"{bring.precision.past:.1%}."
        )
    return " ".join(told)
