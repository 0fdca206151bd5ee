"""The monitoring page's own charts, in the style of the backtest's."""

from collections.abc import Sequence

from intentcast.evaluation import charts

_ROW_HEIGHT = 26


def draw_drift(rows: Sequence[charts.Row], *, bands: tuple[float, float], label: str) -> str:
    """Return how far features have shifted, one row each, with the bands of the index.

    Args:
        rows: `name`, `psi`, `kind`; in the order to show.
        bands: Where a shift begins to count, and where it is large.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    rows, names = charts._wrapped(rows)
    base = alt.Chart(charts._data(rows))
    end = 1.1 * max(bands[1] * 1.2, *(row["psi"] for row in rows))
    x = alt.X(
        "psi:Q",
        title="Shift against training (population stability index beyond chance)",
        scale=alt.Scale(domain=[0, end], nice=False),
        axis=alt.Axis(tickCount=6),
    )
    y = alt.Y("name:N", sort=names, title=None)
    bars = base.mark_bar(height=12).encode(x=x, y=y, color=charts._kind_colour())
    lines = (
        alt.Chart(charts._data([{"at": band} for band in bands]))
        .mark_rule(color=charts._INK, strokeDash=[4, 3])
        .encode(x="at:Q")
    )
    height = (36 if any("\n" in name for name in names) else _ROW_HEIGHT) * len(rows)
    return charts._svg(bars + lines, name="drift", label=label, width=400, height=height)


def draw_course(rows: Sequence[charts.Row], *, name: str, label: str) -> str:
    """Return conversions expected (a line) and come (dots) per as-of time.

    Args:
        rows: `as_of` (ISO day), `expected`, `observed`.
        name: Distinguishes it from the page's other charts.
        label: What the chart says, for those who cannot see it.
    """
    import altair as alt

    base = alt.Chart(charts._data(rows))
    x = alt.X("as_of:T", title="Scored", axis=alt.Axis(format="%-d %b %Y", tickCount=4))
    line = base.mark_line(color=charts.COLOURS["model"], strokeWidth=2.5).encode(
        x=x, y=alt.Y("expected:Q", title="Conversions", scale=alt.Scale(zero=True))
    )
    dots = base.mark_point(filled=True, size=60, opacity=1, color=charts.COLOURS["rules"]).encode(
        x=x, y="observed:Q"
    )
    return charts._svg(line + dots, name=name, label=label, height=190)
