"""Weekly volume against precision and conversions as a picture: the model and the points table."""

from collections.abc import Sequence

from intentcast.evaluation import charts
from intentcast.evaluation.threshold_chart import stacked

_HEIGHT = 200


def draw_volumes(curves: Sequence[charts.Row], *, per_week: float, label: str) -> str:
    """Return the picture as SVG: precision above, conversions a week below, capacity marked.

    Args:
        curves: `name`, `kind`, `points` (each with `handoffs_per_week`, `precision`,
            `conversions_per_week`); the first is drawn solid.
        per_week: Hand-offs that sales can take on in a week.
        label: What the chart says, for those who cannot see it.
    """
    from markupsafe import Markup

    panels = [
        _panel(curves, "precision", "Share that converts", per_week),
        _panel(curves, "conversions_per_week", "Conversions a week", per_week),
    ]
    # Each panel has escaped its own text.
    return Markup(stacked(panels, label=label))


def _panel(curves: Sequence[charts.Row], name: str, title: str, per_week: float) -> str:
    import altair as alt

    is_first = name == "precision"
    rows = [
        {"name": curve["name"], "volume": p["handoffs_per_week"], "found": p[name]}
        for curve in curves
        for p in curve["points"]
    ]
    names = [curve["name"] for curve in curves]
    x = alt.X(
        "volume:Q",
        title="Hand-offs a week",
        scale=alt.Scale(type="log", nice=False),
        axis=alt.Axis(format="~r", tickCount=6),
    )
    # Room of one width for the labels, so that the two panels stand under each other.
    extent, ticks = 44, 5
    axis = (
        alt.Axis(minExtent=extent, tickCount=ticks, labelExpr=charts._PERCENT)
        if is_first
        else alt.Axis(minExtent=extent, tickCount=ticks)
    )
    legend = (
        alt.Legend(
            title=None, orient="top", columnPadding=60, symbolSize=900, symbolStrokeWidth=2.5
        )
        if is_first
        else None
    )
    dashes = [[1, 0], *(charts._DASHES[i] for i in range(len(names) - 1))]
    colours = [charts.COLOURS[curve["kind"]] for curve in curves]
    lines = (
        alt.Chart(charts._data(rows))
        .mark_line(strokeWidth=2.5)
        .encode(
            x=x,
            y=alt.Y("found:Q", title=title, scale=alt.Scale(zero=True), axis=axis),
            color=alt.Color(
                "name:N",
                sort=names,
                legend=legend,
                scale=alt.Scale(domain=names, range=colours),
            ),
            strokeDash=alt.StrokeDash(
                "name:N", sort=names, legend=legend, scale=alt.Scale(domain=names, range=dashes)
            ),
        )
    )
    at = alt.Chart(charts._data([{"volume": per_week, "name": f"capacity: {per_week:,g}"}]))
    rule = at.mark_rule(color=charts._INK, strokeDash=[4, 3]).encode(x=x)
    # Precision falls and conversions rise, so there is room above the one and below the other.
    marked = (
        at.mark_text(align="left", dx=5, baseline="top", fontSize=12, color=charts._INK)
        if is_first
        else at.mark_text(align="left", dx=5, baseline="bottom", fontSize=12, color=charts._INK)
    )
    text = marked.encode(x=x, y=alt.value(2 if is_first else _HEIGHT - 4), text="name:N")
    return charts._svg(
        alt.layer(lines, rule, text), name=f"volumes-{name}", label=title, height=_HEIGHT
    )
